/** Programs that replace and trace functions of other programs: when each runs, and what it finds. */
import {
  BPF_CMD,
  bpfLinkInfoTracing,
  bpfProgInfo,
  linkDetachAttr,
  linkUpdateAttr,
  objGetInfoAttr,
} from '../../../src/abi/index.ts'
import { bpf } from '../../../src/client/calls.ts'
import type { Collection, Link, Program } from '../../../src/client/index.ts'
import { UserBuffer } from '../../../src/client/owner.ts'
import { loaded, type Scenes, type Stage, specOf, type Told, tryAttach, tryLoad } from './scene.ts'

const PINS = '/sys/fs/bpf'
const ENTRIES = 4
const MOST_TRACING = 38
const MOST_NOTES = 512

/** Programs of `stacked.bpf.c`, which all write into one map; what is loaded and attached is gone at the end. */
class Stack implements Disposable {
  readonly #stage: Stage
  readonly #spec
  readonly #collections: Collection[] = []
  readonly #links: Link[] = []

  constructor(stage: Stage) {
    this.#stage = stage
    this.#spec = specOf(stage, 'stacked')
  }

  load(name: string, on?: { readonly fd: number }): Program {
    const options = on === undefined ? {} : { targetPrograms: { [name]: on } }
    const collection = loaded(this.#stage, this.#spec, { programs: [name], ...options })
    this.#collections.push(collection)
    if (this.#collections.length === 1) this.#begin(collection)
    return collection.program(name)
  }

  /** Why the program cannot be loaded. */
  refusal(name: string, on: { readonly fd: number }): Told {
    const answer = tryLoad(this.#stage, this.#spec, { programs: [name], targetPrograms: { [name]: on } })
    if (typeof answer === 'string') return answer
    answer[Symbol.dispose]()
    return 'taken'
  }

  /** Loads a program for a function of another one, and attaches it. */
  attach(name: string, on: { readonly fd: number }, cookie = 0n): Link {
    return this.attachLoaded(this.load(name, on), cookie)
  }

  /** The link, or the error's number. */
  tryLink(program: Program, cookie = 0n, targetProgram?: { readonly fd: number }): Link | number {
    const collection = this.#collections.find((one) => one.programs.get(program.name) === program)
    const link = tryAttach(collection as Collection, program.name, {
      ...(cookie === 0n ? {} : { cookie }),
      ...(targetProgram === undefined ? {} : { targetProgram }),
    })
    if (typeof link !== 'number') this.#links.push(link)
    return link
  }

  attachLoaded(program: Program, cookie = 0n): Link {
    const link = this.tryLink(program, cookie)
    if (typeof link === 'number') throw new Error(`${program.name}: ${link}`)
    return link
  }

  /** What the kernel says of where a program goes. */
  toldOf(program: Program, on: Program): Told {
    const info = this.#info(program.fd, bpfProgInfo)
    const isThere = info.attach_btf_obj_id === this.#info(on.fd, bpfProgInfo).btf_id
    return [info.type, info.attach_btf_id, isThere || info.attach_btf_obj_id]
  }

  /** What it says of a link, and to who would change it. */
  toldOfLink({ fd }: Link, program: Program, on: Program): Told {
    const { syscalls } = this.#stage
    const info = this.#info(fd, bpfLinkInfoTracing)
    const update = linkUpdateAttr.encode({ link_fd: fd, new_prog_fd: program.fd })
    return [
      ...[info.type, info.attach_type, info.target_btf_id],
      info.prog_id === this.#info(program.fd, bpfProgInfo).id,
      info.target_obj_id === this.#info(on.fd, bpfProgInfo).id,
      bpf(syscalls, BPF_CMD.BPF_LINK_UPDATE, update),
      bpf(syscalls, BPF_CMD.BPF_LINK_DETACH, linkDetachAttr.encode({ link_fd: fd })),
    ]
  }

  #info<T extends typeof bpfProgInfo | typeof bpfLinkInfoTracing>(
    fd: number,
    struct: T,
  ): ReturnType<T['read']> {
    const { syscalls } = this.#stage
    using buffer = new UserBuffer(syscalls.memory, struct.size)
    const attr = objGetInfoAttr.encode({ bpf_fd: fd, info: buffer.pointer, info_len: struct.size })
    const result = bpf(syscalls, BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, attr)
    if (result < 0) throw new Error(`BPF_OBJ_GET_INFO_BY_FD: ${result}`)
    return struct.read(buffer.bytes) as ReturnType<T['read']>
  }

  /** What a run returns, its low 32 bits, and what was noted meanwhile. */
  run(program: Program, repeat = 1): Told {
    const result = program.testRun({ data: new Uint8Array(64), repeat })
    const returned = 'returnValue' in result ? result.returnValue : -result.errno
    return [returned, ...this.#notes()]
  }

  /** Has an entry of the program array go to the program, or nowhere; an error's number. */
  jump(index: number, program?: Program): number {
    const { handle } = (this.#collections[0] as Collection).map('stacked_jumps')
    const key = word(index)
    return program === undefined ? handle.remove(key) : handle.update(key, word(program.fd), 0)
  }

  #begin(collection: Collection): void {
    collection.map('stacked_notes').set(0, { count: 0n, values: new Array<bigint>(MOST_NOTES).fill(0n) })
    this.#noJumps()
  }

  #noJumps(): void {
    for (let index = 0; index < ENTRIES; index++) this.jump(index)
  }

  #notes(): readonly Told[] {
    const map = (this.#collections[0] as Collection).map('stacked_notes')
    const { count, values } = map.get(0) as { count: bigint; values: readonly bigint[] }
    map.set(0, { count: 0n, values })
    return values
      .slice(0, Math.min(Number(count), MOST_NOTES))
      .map((value) => String(BigInt.asIntN(64, value)))
  }

  [Symbol.dispose](): void {
    for (const link of this.#links.reverse()) link[Symbol.dispose]()
    if (this.#collections.length > 0) this.#noJumps()
    this.#collections[0]?.unpin(PINS)
    for (const collection of this.#collections.reverse()) collection[Symbol.dispose]()
  }
}

const word = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)

const scene =
  (tellIt: (stack: Stack) => Told) =>
  (stage: Stage): Told => {
    using stack = new Stack(stage)
    return tellIt(stack)
  }

/** Attaches them in this order, one run; ends the links in the same order, with a run after each. */
const withAll = (target: string, ...tracers: readonly string[]) =>
  scene((stack) => {
    const program = stack.load(target)
    const before = stack.run(program)
    const links = tracers.map((name) => stack.attach(name, program))
    const told: Told[] = [before, stack.run(program)]
    for (const link of links) {
      link[Symbol.dispose]()
      told.push(stack.run(program))
    }
    return told
  })

const of = (...names: readonly string[]) => names.flatMap((name) => [`entry_${name}`, `exit_${name}`])

export const stackedScenes: Scenes = {
  'arguments and results': withAll(
    'calls_all',
    ...of('five', 'hidden', 'nothing', 'outer'),
    'exit_calls_all',
  ),
  'one function, each of its kinds alone': scene((stack) => {
    const program = stack.load('calls_all')
    return ['five', 'hidden', 'nothing', 'outer'].flatMap((name) =>
      of(name).map((tracer) => {
        using _link = stack.attach(tracer, program)
        return stack.run(program)
      }),
    )
  }),
  'a function that is called by a traced one': withAll('calls_all', 'exit1', ...of('outer'), 'entry2'),
  'several at one function': withAll('calls', 'entry1', 'exit1', 'entry2', 'exit2', 'entry3', 'exit3'),
  'one comes and goes among others': scene((stack) => {
    const program = stack.load('calls')
    const [one, , two] = ['entry1', 'entry2', 'exit1', 'exit2'].map((name) => stack.attach(name, program))
    const told = [stack.run(program)]
    one?.[Symbol.dispose]()
    stack.attach('entry3', program)
    told.push(stack.run(program))
    two?.[Symbol.dispose]()
    stack.attach('entry1', program)
    stack.attach('exit3', program)
    told.push(stack.run(program))
    return told
  }),
  'arguments, results and cookies by helpers': scene((stack) => {
    const program = stack.load('calls_all')
    stack.attach('entry_asks', program, 77n)
    stack.attach('exit_asks', program, 2n ** 63n + 5n)
    return stack.run(program)
  }),
  'a callback': withAll('calls_back', ...of('back')),
  'a callback for elements of a map': withAll('calls_back_for_elements', ...of('element')),
  'memory of the stack': withAll('calls_with_memory', ...of('add')),
  'many runs': scene((stack) => {
    const program = stack.load('calls')
    stack.attach('entry4', program)
    stack.attach('exit3', program)
    return stack.run(program, 50)
  }),
  'a program that is a function of itself': withAll('calls', 'exit_calls', 'entry1'),
  'a replacement': scene((stack) => {
    const program = stack.load('calls')
    const told = [stack.run(program)]
    const thrice = stack.load('thrice', program)
    told.push(stack.run(program))
    const link = stack.tryLink(thrice)
    if (typeof link === 'number') return link
    told.push(stack.run(program), stack.run(program, 3))
    link[Symbol.dispose]()
    told.push(stack.run(program))
    const again = stack.tryLink(thrice)
    told.push(typeof again === 'number' ? again : 'attached again')
    stack.attach('ten_times', program)
    told.push(stack.run(program))
    return told
  }),
  'as many as there may be': scene((stack) => {
    const program = stack.load('calls')
    const told: Told[] = []
    for (let n = 0; n < MOST_TRACING + 2; n++) {
      const link = stack.tryLink(stack.load(n % 2 === 0 ? 'entry4' : 'exit3', program))
      told.push(typeof link === 'number' ? link : 'attached')
    }
    return [...told, stack.run(program)]
  }),
  'a program that tail calls go to, and its replacement': scene((stack) => {
    const program = stack.load('calls')
    const told: Told[] = [stack.jump(3, program)]
    const attempt = (name: string) => {
      const link = stack.tryLink(stack.load(name, program))
      told.push(typeof link === 'number' ? link : 'attached', stack.run(program))
    }
    attempt('thrice')
    attempt('entry1')
    told.push(stack.jump(3))
    attempt('thrice')
    attempt('replaces_calls')
    told.push(stack.jump(3, program))
    return told
  }),
  'what is said of links': scene((stack) => {
    const program = stack.load('calls')
    return ['replaces_calls', 'entry1', 'exit1'].map((name) => {
      const tracer = stack.load(name, program)
      const before = stack.toldOf(tracer, program)
      const link = stack.attachLoaded(tracer, 5n)
      return [before, stack.toldOf(tracer, program), stack.toldOfLink(link, tracer, program)]
    })
  }),
  'a replacement elsewhere': scene((stack) => {
    const [program, other] = [stack.load('calls'), stack.load('calls')]
    const thrice = stack.load('thrice', program)
    const links = [stack.tryLink(thrice, 0n, other), stack.tryLink(thrice, 0n, program)]
    const told: Told[] = links.map((link) => (typeof link === 'number' ? link : 'attached'))
    for (const link of [undefined, ...links]) {
      if (typeof link === 'object') link[Symbol.dispose]()
      told.push(stack.run(program), stack.run(other))
    }
    return told
  }),
  'a replacement with five arguments': withAll('calls_all', 'replaces_five', 'exit1'),
  'a replacement of the whole program': withAll('calls', 'replaces_calls'),
  'a replacement that is traced': scene((stack) => {
    const program = stack.load('calls')
    const thrice = stack.load('thrice', program)
    stack.attach('exit_thrice', thrice)
    const told = [stack.run(program)]
    const link = stack.tryLink(thrice)
    const entry = stack.attach('entry_thrice', thrice)
    const inner = stack.attach('exit_three_times', thrice)
    told.push(stack.run(program))
    for (const one of [entry, link, inner]) {
      if (typeof one === 'object') one[Symbol.dispose]()
      told.push(stack.run(program))
    }
    return told
  }),
  'a tracing program that is traced': scene((stack) => {
    const program = stack.load('calls')
    const entry = stack.load('entry1', program)
    const link = stack.tryLink(entry)
    const told = [typeof link, stack.run(program)]
    const outer = stack.attach('traces_entry1', entry)
    told.push(stack.run(program))
    const behind = stack.attach('traces_entry1_exit', entry)
    told.push(stack.run(program))
    outer[Symbol.dispose]()
    told.push(stack.run(program))
    if (typeof link === 'object') link[Symbol.dispose]()
    told.push(stack.run(program))
    behind[Symbol.dispose]()
    return told
  }),
  'tracing programs one upon another': scene((stack) => {
    const entry = stack.load('entry1', stack.load('calls'))
    stack.tryLink(entry)
    const outer = stack.load('traces_entry1', entry)
    return [typeof stack.tryLink(outer), stack.refusal('traces_traces', outer)]
  }),
  'a tail call to a traced program': scene((stack) => {
    const [leaves, arrives] = [stack.load('leaves'), stack.load('arrives')]
    const told: Told[] = [stack.jump(0, arrives), stack.run(leaves)]
    const links = [
      stack.attach('exit_leaves', leaves),
      ...of('arrives').map((name) => stack.attach(name, arrives)),
    ]
    told.push(stack.run(leaves), stack.run(arrives))
    for (const link of links) {
      link[Symbol.dispose]()
      told.push(stack.run(leaves), stack.run(arrives))
    }
    told.push(stack.jump(0), stack.run(leaves))
    return told
  }),
  'a tail call out of a traced function': scene((stack) => {
    const [leaves, arrives] = [stack.load('leaves_inside'), stack.load('arrives')]
    stack.jump(0, arrives)
    const told: Told[] = [stack.run(leaves)]
    for (const tracer of of('step')) {
      stack.attach(tracer, leaves)
      told.push(stack.run(leaves))
    }
    stack.attach('entry_arrives', arrives)
    told.push(stack.run(leaves), stack.jump(0), stack.run(leaves))
    return told
  }),
  'a tail call out of a replacement': scene((stack) => {
    const [leaves, arrives] = [stack.load('leaves_inside_tc'), stack.load('arrives_tc')]
    stack.jump(0, arrives)
    const told: Told[] = [stack.run(leaves)]
    stack.attach('replaces_step_tc', leaves)
    told.push(stack.run(leaves))
    stack.attach('exit_arrives_tc', arrives)
    told.push(stack.run(leaves), stack.jump(0), stack.run(leaves))
    return told
  }),
  // XDP programs are loaded with the type of their attachment, replacements without.
  'a replacement that may not use the array of what it replaces': scene((stack) =>
    stack.refusal('replaces_step', stack.load('leaves_inside')),
  ),
  ...Object.fromEntries(
    [[], ['entry_turn'], ['exit_turn'], of('turn'), of('circles'), [...of('turn'), 'exit_circles']].map(
      (tracers) => [
        `tail calls through a function until there are no more, traced by ${tracers.join(', ') || 'none'}`,
        scene((stack) => {
          const circles = stack.load('circles')
          stack.jump(1, circles)
          for (const tracer of tracers) stack.attach(tracer, circles)
          return [stack.run(circles), stack.run(circles)]
        }),
      ],
    ),
  ),
  'what cannot be': scene((stack) => {
    const [program, other, arrives] = ['calls', 'calls_all', 'arrives'].map((name) => stack.load(name)) as [
      Program,
      Program,
      Program,
    ]
    const told: Told[] = []
    const attempt = (name: string, on: Program, place?: Program) => {
      const link = stack.tryLink(stack.load(name, on), 0n, place)
      told.push(typeof link === 'number' ? `${name}: ${link}` : `${name}: attached`)
      return link
    }
    const refuse = (name: string, on: Program) => told.push(`${name}: ${stack.refusal(name, on)}`)
    refuse('changes', program)
    refuse('entry_five', program)
    refuse('replaces_five', program)
    refuse('exit_calls', other)
    refuse('entry_sleeps', program)
    const entry = stack.load('entry1', program)
    told.push(typeof stack.tryLink(entry), String(stack.tryLink(entry)))
    attempt('thrice', program)
    attempt('replaces_calls', program)
    const thrice = stack.load('thrice', other)
    told.push(typeof stack.tryLink(thrice))
    attempt('ten_times', other)
    attempt('exit1', other)
    attempt('thrice', other, arrives)
    attempt('entry1', other, program)
    refuse('replaces_thrice', thrice)
    told.push(stack.jump(2, other), stack.jump(2, thrice), stack.jump(2, program))
    told.push(stack.run(thrice), stack.run(program), stack.run(other))
    return told
  }),
}

/** The first Linux that does it, as major * 1000 + minor. */
export const stackedSince = {
  'a tracing program that is traced': 6_008,
  'tracing programs one upon another': 6_008,
}
