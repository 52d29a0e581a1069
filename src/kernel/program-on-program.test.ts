/** Programs that replace functions of other programs, and programs that trace them, on both engines. */
import { describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_LINK_INFO_SIZE,
  BPF_LINK_TYPE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  bpfLinkInfoTracing,
  bpfProgInfo,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOTSUPP,
  linkCreateTracingAttr,
  objGetInfoAttr,
  progTestRunAttr,
  rawTracepointAttr,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import { loadTyped, type TypedProgram } from './testing/typed-program.ts'

const { BPF_PROG_TYPE_EXT, BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS } = BPF_PROG_TYPE
const { BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN } = BPF_ATTACH_TYPE

/** 2 * 20 + 1, by `twice`, which is inlined where nothing is attached. */
const MAIN = `
  r6 = r1
  r1 = 20
  call twice
  r0 += 1
  exit
twice:
  r0 = r1
  r0 += r0
  exit`
const FUNCTIONS = ['int main(struct xdp_md *context)', 'int twice(int number)'] as const

function setUp(engine: 'interpreter' | 'jit' = 'jit', instructionBudget?: number) {
  const port = new TinyPort()
  const budget = instructionBudget === undefined ? {} : { instructionBudget }
  const kernel = createKernel({ port, engine, ...budget })
  const client = kernel.openClient()
  const caller = new Caller(client)
  const values = caller.createArray(8 * 16)
  const target = loadTyped(caller, MAIN, FUNCTIONS)
  const extend = (
    source: string,
    declaration: string,
    of: TypedProgram = target,
    name = 'twice',
    more: Parameters<typeof loadTyped>[3] = {},
  ) =>
    loadTyped(caller, source, [declaration], {
      prog_type: BPF_PROG_TYPE_EXT,
      attach_prog_fd: of.fd,
      attach_btf_id: of.id(name),
      ...more,
    })
  const trace = (attachType: number, source: string, of: TypedProgram = target, name = 'twice') =>
    loadTyped(caller, source, ['int tracer(u64 *context)'], {
      prog_type: BPF_PROG_TYPE_TRACING,
      expected_attach_type: attachType,
      attach_prog_fd: of.fd,
      attach_btf_id: of.id(name),
    })
  const attach = (program: TypedProgram, attach_type = 0, more = {}) =>
    caller.bpf('BPF_LINK_CREATE', linkCreateTracingAttr.encode({ prog_fd: program.fd, attach_type, ...more }))
  /** r0 of a test run, its low half; or -errno. */
  const run = (prog_fd = target.fd, repeat = 1) => {
    const data = new Uint8Array(64)
    const attr = progTestRunAttr.encode({ prog_fd, repeat, data_in: caller.put(data), data_size_in: 64 })
    const result = caller.bpf('BPF_PROG_TEST_RUN', attr)
    return result < 0 ? result : progTestRunAttr.read(attr).retval
  }
  const seen = () => {
    const bytes = caller.lookup(values, u32(0), 128) as Uint8Array
    return [...new BigInt64Array(bytes.slice().buffer)]
  }
  const programInfo = (bpf_fd: number) => {
    const info = client.memory.allocate(bpfProgInfo.size)
    caller.bpf('BPF_OBJ_GET_INFO_BY_FD', objGetInfoAttr.encode({ bpf_fd, info, info_len: bpfProgInfo.size }))
    return bpfProgInfo.read(client.memory.view(info, bpfProgInfo.size))
  }
  return { port, kernel, client, caller, values, target, extend, trace, attach, run, seen, programInfo }
}

const TEN_TIMES = 'r0 = r1\nr0 *= 10\nexit'
const ZERO = 'r0 = 0\nexit'
const RESULT = 'int mine(int number)'

/** Stores words of the context into the map's value, in a row, and counts behind them. */
const store = (map: number, ...words: number[]) => `
  r6 = r1
  r7 = map[fd:${map}][0]
  ${words.map((word, n) => `r1 = *(u64 *)(r6 +${8 * word})\n*(u64 *)(r7 +${8 * n}) = r1`).join('\n')}
  r1 = 1
  lock *(u64 *)(r7 +${8 * words.length}) += r1
  r0 = 0
  exit`

describe.each(['interpreter', 'jit'] as const)('by the %s', (engine) => {
  describe('an extension', () => {
    test('replaces a function while its link is open', () => {
      const { extend, attach, run, client } = setUp(engine)
      expect(run()).toBe(41)
      const extension = extend(TEN_TIMES, RESULT)
      expect(extension.log).toContain('processed 3 insns')
      expect(run()).toBe(41)
      const link = attach(extension)
      expect(link).toBeGreaterThan(0)
      expect(run()).toBe(201)
      expect(run(undefined, 3)).toBe(201)
      client.close(extension.fd)
      expect(run()).toBe(201)
      client.close(link)
      expect(run()).toBe(41)
    })

    test('replaces the whole program, with its context', () => {
      const { extend, attach, run, client } = setUp(engine)
      const length = `
        r2 = *(u32 *)(r1 +4)
        r3 = *(u32 *)(r1 +0)
        r2 -= r3
        r0 = r2
        exit`
      const link = attach(extend(length, 'int mine(struct xdp_md *context)', undefined, 'main'))
      expect(run()).toBe(64)
      client.close(link)
      expect(run()).toBe(41)
    })

    test('changes packets where the original may, and has up to five arguments', () => {
      const { caller, extend, attach, run } = setUp(engine)
      const five = 'int five(struct xdp_md *c, u64 a, u64 b, u64 d, u64 e)'
      const target = loadTyped(
        caller,
        `
        r2 = 1
        r3 = 2
        r4 = 3
        r5 = 4
        call five
        exit
      five:
        r2 = 0
        call bpf_xdp_adjust_head
        r0 = 0
        exit`,
        [FUNCTIONS[0], five],
      )
      expect(target.log).toContain('processed')
      const source = `
        r6 = r1
        r7 = r2
        r7 *= 10
        r7 += r3
        r7 *= 10
        r7 += r4
        r7 *= 10
        r7 += r5
        r2 = 14
        call bpf_xdp_adjust_head
        r2 = *(u32 *)(r6 +4)
        r3 = *(u32 *)(r6 +0)
        r2 -= r3
        r0 = r2
        r0 *= 10000
        r0 += r7
        exit`
      const extension = extend(source, five.replace('five(', 'mine('), target, 'five')
      expect(attach(extension)).toBeGreaterThan(0)
      expect(run(target.fd)).toBe(501234)
    })

    test('goes to another function of the same kind, by name of its program', () => {
      const { caller, target, extend, attach, run, client } = setUp(engine)
      const other = loadTyped(caller, MAIN, FUNCTIONS)
      const extension = extend(TEN_TIMES, RESULT)
      const place = { target_fd: other.fd, target_btf_id: other.id('twice') }
      const second = attach(extension, 0, place)
      expect(second).toBeGreaterThan(0)
      expect([run(), run(other.fd)]).toEqual([41, 201])
      // What it was loaded for is forgotten; it can still be named.
      expect(attach(extension)).toBe(-EINVAL)
      const first = attach(extension, 0, { target_fd: target.fd, target_btf_id: target.id('twice') })
      expect(first).toBeGreaterThan(0)
      expect([run(), run(other.fd)]).toEqual([201, 201])
      expect(attach(extension, 0, place)).toBe(-EBUSY)
      client.close(second)
      expect([run(), run(other.fd)]).toEqual([201, 41])
    })
  })

  describe('a tracing program', () => {
    test('sees arguments and results of a function that is called', () => {
      const { values, trace, attach, run, seen, client } = setUp(engine)
      const entry = attach(trace(BPF_TRACE_FENTRY, store(values, 0)), BPF_TRACE_FENTRY)
      expect(run()).toBe(41)
      expect(seen().slice(0, 2)).toEqual([20n, 1n])
      client.close(entry)
      const exit = attach(trace(BPF_TRACE_FEXIT, store(values, 0, 1)), BPF_TRACE_FEXIT)
      expect(run()).toBe(41)
      expect(seen().slice(0, 3)).toEqual([20n, 40n, 1n])
      client.close(exit)
      expect(run()).toBe(41)
      expect(seen()[2]).toBe(1n)
    })

    test('sees the result of a whole program, and its context as the kernel has it', () => {
      const { values, trace, attach, run, seen } = setUp(engine)
      // The packet by bpf_probe_read_kernel, since what the kernel has is no packet to the verifier.
      const source = `
        r6 = r1
        r7 = map[fd:${values}][0]
        r1 = *(u64 *)(r6 +8)
        *(u64 *)(r7 +0) = r1
        r2 = *(u64 *)(r6 +0)
        r3 = *(u32 *)(r2 +12)
        *(u64 *)(r7 +8) = r3
        r3 = *(u64 *)(r2 +24)
        r4 = *(u64 *)(r2 +32)
        r4 -= r3
        *(u64 *)(r7 +16) = r4
        r0 = 0
        exit`
      const tracer = trace(BPF_TRACE_FEXIT, source, undefined, 'main')
      expect(tracer.log).toContain('processed')
      expect(attach(tracer, BPF_TRACE_FEXIT)).toBeGreaterThan(0)
      expect(run()).toBe(41)
      expect(seen().slice(0, 3)).toEqual([41n, 1n, 64n])
    })

    test('may ask for arguments, result and cookie', () => {
      const { values, trace, attach, run, seen } = setUp(engine)
      const ask = `
        r6 = r1
        r7 = map[fd:${values}][0]
        call bpf_get_func_arg_cnt
        *(u64 *)(r7 +0) = r0
        r1 = r6
        r2 = 0
        r3 = r10
        r3 += -8
        call bpf_get_func_arg
        r1 = *(u64 *)(r10 -8)
        *(u64 *)(r7 +8) = r1
        r1 = r6
        r2 = r10
        r2 += -8
        call bpf_get_func_ret
        *(u64 *)(r7 +16) = r0
        r1 = *(u64 *)(r10 -8)
        *(u64 *)(r7 +24) = r1
        r1 = r6
        call bpf_get_attach_cookie
        *(u64 *)(r7 +32) = r0
        r1 = r6
        call bpf_get_func_ip
        *(u64 *)(r7 +40) = r0
        r0 = 0
        exit`
      attach(trace(BPF_TRACE_FEXIT, ask), BPF_TRACE_FEXIT, { cookie: 99n })
      run()
      expect(seen().slice(0, 5)).toEqual([1n, 20n, 0n, 40n, 99n])
      expect(BigInt.asUintN(64, seen()[5] as bigint) >> 32n).toBe(0xffff_ffffn)
    })

    test('is one of several: the last that came runs first', () => {
      const { values, trace, attach, run, seen } = setUp(engine)
      const order = (number: number) => `
        r7 = map[fd:${values}][0]
        r1 = *(u64 *)(r7 +0)
        r1 *= 10
        r1 += ${number}
        *(u64 *)(r7 +0) = r1
        r0 = 0
        exit`
      for (const n of [1, 2]) attach(trace(BPF_TRACE_FENTRY, order(n)), BPF_TRACE_FENTRY)
      for (const n of [3, 4]) attach(trace(BPF_TRACE_FEXIT, order(n)), BPF_TRACE_FEXIT)
      run()
      expect(seen()[0]).toBe(2143n)
    })

    test('may trace a tracing program, and an extension', () => {
      const { values, target, extend, trace, attach, run, seen } = setUp(engine)
      const inner = trace(BPF_TRACE_FENTRY, ZERO)
      attach(inner, BPF_TRACE_FENTRY)
      // Not called with what its type says, so that there are five words before the result.
      const outer = trace(BPF_TRACE_FEXIT, store(values, 5), inner, 'tracer')
      expect(outer.log).toContain('processed')
      expect(attach(outer, BPF_TRACE_FEXIT)).toBeGreaterThan(0)
      run()
      expect(seen().slice(0, 2)).toEqual([0n, 1n])
      const third = trace(BPF_TRACE_FENTRY, ZERO, outer, 'tracer')
      expect(third.fd).toBe(-EINVAL)
      expect(third.log).toContain('Cannot nest tracing program attach more than once')

      const extension = extend(TEN_TIMES, RESULT, target)
      // Its function is traced already.
      expect(attach(extension)).toBe(-EBUSY)
      expect(
        attach(trace(BPF_TRACE_FEXIT, store(values, 0, 1), extension, 'mine'), BPF_TRACE_FEXIT),
      ).toBeGreaterThan(0)
    })

    test('runs in a program that runs at a probe', () => {
      const { caller, port, values, trace, attach, seen } = setUp(engine)
      const probed = loadTyped(
        caller,
        'r1 = 5\ncall twice\nr0 = 0\nexit\ntwice:\nr0 = r1\nr0 += r0\nexit',
        ['int main(u64 *context)', FUNCTIONS[1]],
        { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE },
      )
      expect(probed.fd).toBeGreaterThan(0)
      caller.link(probed.fd, caller.openProbe('add_one'))
      attach(trace(BPF_TRACE_FEXIT, store(values, 0, 1), probed), BPF_TRACE_FEXIT)
      expect(port.call('add_one', 1n)).toBe(2n)
      expect(seen().slice(0, 3)).toEqual([5n, 10n, 1n])
    })
  })
})

describe('what is refused', () => {
  test('a second extension, one where others trace, and those where it is', () => {
    const { extend, trace, attach, client } = setUp()
    const tracer = trace(BPF_TRACE_FENTRY, ZERO)
    const traced = attach(tracer, BPF_TRACE_FENTRY)
    expect(attach(extend(TEN_TIMES, RESULT))).toBe(-EBUSY)
    client.close(traced)
    const link = attach(extend(TEN_TIMES, RESULT))
    expect(link).toBeGreaterThan(0)
    expect(attach(extend(TEN_TIMES, RESULT))).toBe(-EBUSY)
    expect(attach(trace(BPF_TRACE_FEXIT, ZERO), BPF_TRACE_FEXIT)).toBe(-EBUSY)
    client.close(link)
    expect(attach(trace(BPF_TRACE_FEXIT, ZERO), BPF_TRACE_FEXIT)).toBeGreaterThan(0)
  })

  test('to trace once more what a link has let go of, or twice', () => {
    const { trace, attach, client } = setUp()
    const tracer = trace(BPF_TRACE_FENTRY, ZERO)
    const link = attach(tracer, BPF_TRACE_FENTRY)
    expect(attach(tracer, BPF_TRACE_FENTRY)).toBe(-EINVAL)
    client.close(link)
    expect(attach(tracer, BPF_TRACE_FENTRY)).toBe(-EINVAL)
    expect(attach(trace(BPF_TRACE_FENTRY, ZERO), BPF_TRACE_FEXIT)).toBe(-EINVAL)
  })

  test('a 39th tracing program', () => {
    const { trace, attach } = setUp()
    for (let n = 0; n < 38; n++) attach(trace(BPF_TRACE_FENTRY, ZERO), BPF_TRACE_FENTRY)
    expect(attach(trace(BPF_TRACE_FEXIT, ZERO), BPF_TRACE_FEXIT)).toBe(-7)
  })

  test('places that are none', () => {
    const { caller, values, target, extend, trace, attach } = setUp()
    const extension = extend(TEN_TIMES, RESULT)
    expect(attach(extension, 0, { target_fd: target.fd })).toBe(-EINVAL)
    expect(attach(extension, 0, { target_btf_id: 1 })).toBe(-EINVAL)
    expect(attach(extension, 0, { target_fd: 999, target_btf_id: 1 })).toBe(-EBADF)
    expect(attach(extension, 0, { target_fd: values, target_btf_id: 1 })).toBe(-EINVAL)
    expect(attach(extension, 0, { target_fd: target.fd, target_btf_id: target.id('main') })).toBe(-EINVAL)
    const place = { target_fd: target.fd, target_btf_id: target.id('twice') }
    expect(attach(trace(BPF_TRACE_FENTRY, ZERO), BPF_TRACE_FENTRY, place)).toBe(-EINVAL)
    const other = loadTyped(caller, MAIN, ['int main(struct __sk_buff *context)', FUNCTIONS[1]], {
      prog_type: BPF_PROG_TYPE_SCHED_CLS,
    })
    expect(attach(extension, 0, { target_fd: other.fd, target_btf_id: other.id('twice') })).toBe(-EINVAL)
    expect(attach(extension)).toBeGreaterThan(0)
  })

  test('what cannot be loaded, each with its reason', () => {
    const { caller, values, target, extend, trace } = setUp()
    const load = (attr: Parameters<typeof loadTyped>[3]) => {
      const { fd, log } = loadTyped(caller, TEN_TIMES, [RESULT], { prog_type: BPF_PROG_TYPE_EXT, ...attr })
      return `${fd}: ${log.split('\n')[0]}`
    }
    const fd = target.fd
    expect(load({})).toBe('-22: Tracing programs must provide btf_id')
    expect(load({ attach_prog_fd: fd })).toBe('-22: Tracing programs must provide btf_id')
    expect(load({ attach_prog_fd: fd, attach_btf_id: 500 })).toBe('-22: attach_btf_id 500 is invalid')
    expect(load({ attach_prog_fd: fd, attach_btf_id: 1 })).toBe("-22: Subprog int doesn't exist")
    expect(load({ attach_btf_id: 1 })).toBe('-22: Cannot replace kernel functions')
    expect(load({ attach_prog_fd: values, attach_btf_id: 1 })).toBe('-22: ')
    expect(load({ attach_prog_fd: fd, attach_btf_id: 1, expected_attach_type: 1 })).toBe('-22: ')
    expect(load({ attach_prog_fd: fd, attach_btf_id: 1, prog_type: BPF_PROG_TYPE_XDP })).toBe('-22: ')
    expect(load({ attach_prog_fd: caller.load(ZERO), attach_btf_id: 1 })).toBe(
      '-22: FENTRY/FEXIT program can only be attached to another program annotated with BTF',
    )
    expect(extend(TEN_TIMES, 'int mine(u64 number)').log).toContain(
      'arg0 in mine() has size 8 while twice() has 4\n',
    )
    const extension = extend(TEN_TIMES, RESULT)
    expect(extend(TEN_TIMES, RESULT, extension, 'mine').log).toContain('Cannot recursively attach\n')
    const tracer = loadTyped(caller, MAIN.replace('r0 += 1', 'r0 = 0'), ['int main(u64 *c)', FUNCTIONS[1]], {
      prog_type: BPF_PROG_TYPE_TRACING,
      expected_attach_type: BPF_TRACE_FENTRY,
      attach_prog_fd: target.fd,
      attach_btf_id: target.id('twice'),
    })
    expect(extend(TEN_TIMES, RESULT, tracer).log).toContain('Cannot extend fentry/fexit\n')
    expect(extend(ZERO, 'int mine(u64 *c)', tracer, 'main').log).toContain(
      'Cannot replace static functions\n',
    )
    expect(trace(BPF_MODIFY_RETURN, ZERO).log).toContain("can't modify return codes of BPF programs\n")
  })

  test('functions that nothing calls, and static ones', () => {
    const { caller, extend, trace } = setUp()
    const source = `
      r1 = 20
      if r1 == 21 goto never
      call hidden
      exit
    never:
      call unused
      exit
    hidden:
      r0 = r1
      exit
    unused:
      r0 = 1
      exit`
    const target = loadTyped(caller, source, [
      FUNCTIONS[0],
      'static int hidden(int number)',
      'int unused(int number)',
    ])
    expect(target.fd).toBeGreaterThan(0)
    expect(extend(TEN_TIMES, RESULT, target, 'hidden').log).toContain('hidden() is not a global function\n')
    expect(extend(TEN_TIMES, RESULT, target, 'unused').log).toContain("Subprog unused doesn't exist\n")
    expect(trace(BPF_TRACE_FENTRY, ZERO, target, 'hidden').fd).toBeGreaterThan(0)
  })

  test('to go on where what stands for a function could not', () => {
    const { extend, attach, run, kernel } = setUp('interpreter', 100)
    expect(run()).toBe(41)
    attach(extend('r0 = 50\nnext:\nr0 += -1\nif r0 != 0 goto next\nexit', RESULT))
    expect(run()).toBe(-EFAULT)
    expect(kernel.faults().map(({ message }) => message)).toEqual([
      'instruction 2: the budget of 100 instructions is used up',
      expect.stringMatching(
        /^instruction 5: program \d+ in its place: instruction 2: the budget of 100 instructions is used up$/,
      ),
    ])
  })

  test('a test run of an extension', () => {
    const { extend, run } = setUp()
    expect(run(extend(TEN_TIMES, RESULT).fd)).toBe(-ENOTSUPP)
  })
})

describe('program arrays', () => {
  function withArray() {
    const made = setUp()
    const array = made.caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 2,
    })
    const put = (fd: number) => made.caller.update(array, u32(0), u32(fd))
    return { ...made, array, put }
  }

  test('take no extension, and no program whose functions are replaced', () => {
    const { target, extend, attach, client, put } = withArray()
    const extension = extend(TEN_TIMES, RESULT)
    expect(put(extension.fd)).toBe(-EINVAL)
    const link = attach(extension)
    expect(put(target.fd)).toBe(-EBUSY)
    client.close(link)
    expect(put(target.fd)).toBe(0)
  })

  test('keep their programs from being extended, not from being traced', () => {
    const { caller, array, target, extend, trace, attach, put } = withArray()
    expect(put(target.fd)).toBe(0)
    const extension = extend(TEN_TIMES, RESULT)
    expect(attach(extension)).toBe(-EBUSY)
    expect(attach(trace(BPF_TRACE_FENTRY, ZERO), BPF_TRACE_FENTRY)).toBeGreaterThan(0)
    expect(caller.remove(array, u32(0))).toBe(0)
    const other = loadTyped(caller, MAIN, FUNCTIONS)
    const place = { target_fd: other.fd, target_btf_id: other.id('twice') }
    expect(attach(extension, 0, place)).toBeGreaterThan(0)
  })

  test('of programs of another kind: the proof is told, and the program refused', () => {
    const { caller, array, put } = withArray()
    expect(put(loadTyped(caller, 'r0 = 5\nexit', [FUNCTIONS[0]]).fd)).toBe(0)
    const source = `r2 = map[fd:${array}]\nr3 = 0\ncall bpf_tail_call\nr0 = 7\nexit`
    const main = 'int main(struct __sk_buff *context)'
    const { fd, log } = loadTyped(caller, source, [main], { prog_type: BPF_PROG_TYPE_SCHED_CLS })
    expect([fd, log]).toEqual([-EINVAL, expect.stringContaining('processed 5 insns')])
  })

  test('may be called by extensions, as by what they extend', () => {
    const { caller, array, extend, attach, run, put } = withArray()
    const five = loadTyped(caller, 'r0 = 5\nexit', [FUNCTIONS[0]])
    expect(put(five.fd)).toBe(0)
    const leaves = `r2 = map[fd:${array}]\nr3 = 0\ncall bpf_tail_call\nr0 = 7\nexit`
    const source = 'r6 = 1\ncall step\nr0 += r6\nexit\nstep:\n'
    const target = loadTyped(caller, source + leaves, [FUNCTIONS[0], 'int step(struct xdp_md *c)'])
    expect(target.log).toContain('processed')
    expect(attach(extend(leaves, 'int mine(struct xdp_md *c)', target, 'step'))).toBeGreaterThan(0)
    expect(run(target.fd)).toBe(6)
  })
})

describe('what the kernel tells', () => {
  test('of the link', () => {
    const { caller, client, target, extend, attach, programInfo } = setUp()
    const extension = extend(TEN_TIMES, RESULT)
    const bpf_fd = attach(extension, BPF_TRACE_FEXIT, { cookie: 5n })
    const info = client.memory.allocate(BPF_LINK_INFO_SIZE)
    const attr = objGetInfoAttr.encode({ bpf_fd, info, info_len: BPF_LINK_INFO_SIZE })
    expect(caller.bpf('BPF_OBJ_GET_INFO_BY_FD', attr)).toBe(0)
    const id = programInfo(target.fd).id
    expect(bpfLinkInfoTracing.read(client.memory.view(info, BPF_LINK_INFO_SIZE))).toMatchObject({
      type: BPF_LINK_TYPE.BPF_LINK_TYPE_TRACING,
      prog_id: programInfo(extension.fd).id,
      attach_type: BPF_TRACE_FEXIT,
      target_obj_id: id,
      target_btf_id: target.id('twice'),
      cookie: 5n,
    })
    expect(caller.readText(`/proc/self/fdinfo/${bpf_fd}`)).toContain(
      `attach_type:\t25\ntarget_obj_id:\t${id}\ntarget_btf_id:\t${target.id('twice')}\ncookie:\t5\n`,
    )
  })

  test('of the program, until it is attached', () => {
    const { target, extend, attach, programInfo } = setUp()
    const extension = extend(TEN_TIMES, RESULT)
    const { btf_id } = programInfo(target.fd)
    expect(programInfo(extension.fd)).toMatchObject({
      type: BPF_PROG_TYPE_EXT,
      attach_btf_obj_id: btf_id,
      attach_btf_id: target.id('twice'),
    })
    attach(extension)
    expect(programInfo(extension.fd)).toMatchObject({
      attach_btf_obj_id: 0,
      attach_btf_id: target.id('twice'),
    })
  })

  test('BPF_RAW_TRACEPOINT_OPEN without a name attaches, too', () => {
    const { caller, extend, run } = setUp()
    const { fd: prog_fd } = extend(TEN_TIMES, RESULT)
    const open = (name: bigint) =>
      caller.bpf('BPF_RAW_TRACEPOINT_OPEN', rawTracepointAttr.encode({ prog_fd, name }))
    expect(open(caller.put('twice'))).toBe(-EINVAL)
    expect(open(0n)).toBeGreaterThan(0)
    expect(run()).toBe(201)
    expect(open(0n)).toBe(-EINVAL)
  })

  test('everything goes when nobody holds it', () => {
    const { kernel, client, target, extend, trace, attach } = setUp()
    const before = kernel.stats().programs
    const extension = extend(TEN_TIMES, RESULT)
    const tracer = trace(BPF_TRACE_FENTRY, ZERO, extension, 'mine')
    const links = [attach(extension), attach(tracer, BPF_TRACE_FENTRY)]
    for (const fd of [target.fd, extension.fd, tracer.fd]) client.close(fd)
    expect(kernel.stats()).toMatchObject({ programs: before + 2, links: 2 })
    client.close(links[0] as number)
    client.close(links[1] as number)
    expect(kernel.stats()).toMatchObject({ programs: 0, links: 0 })
  })
})
