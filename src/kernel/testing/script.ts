/**
 * System calls as data, so that the same ones can be made of this kernel and of the machine's own Linux
 * (linux-driver.c) and the answers compared.
 */
import { BPF_CMD, type UserPointer } from '../../abi/index.ts'
import type { Client } from '../types.ts'

/** A buffer of the script. */
export interface BufferRef {
  readonly buffer: number
}

/** The result of a call of the script. */
export interface ResultRef {
  readonly call: number
}

/** Members of a buffer, by their offset, that are only known when the script runs. */
export type Patches = Readonly<Record<number, BufferRef | ResultRef>>

type Command = keyof typeof BPF_CMD | number

/** A line for the driver, and the same for a client: an answer, or undefined where there is none. */
interface Step {
  readonly text: string
  readonly run: (state: State) => number | string | undefined
  readonly answers: boolean
}

interface State {
  readonly client: Client
  readonly pointers: UserPointer[]
  readonly results: number[]
}

const hexOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')

const BAD_POINTER = 16n

export class Script {
  readonly #steps: Step[] = []
  #buffers = 0
  #calls = 0

  /** How many lines of answer it gives. */
  get answers(): number {
    return this.#steps.filter((step) => step.answers).length
  }

  /** The script in the driver's language. */
  toText(): string {
    return `${['case', ...this.#steps.map((step) => step.text)].join('\n')}\n`
  }

  /** Runs it on a client; the same lines as the driver prints. */
  run(client: Client): string[] {
    const state: State = { client, pointers: [], results: [] }
    const lines: string[] = []
    for (const step of this.#steps) {
      const answer = step.run(state)
      if (typeof answer === 'number') lines.push(answer > 0 ? 'fd' : `${answer}`)
      else if (answer !== undefined) lines.push(answer)
    }
    return lines
  }

  buffer(content: Uint8Array | string | number, patches: Patches = {}): BufferRef {
    const index = this.#buffers++
    let bytes: Uint8Array
    if (typeof content === 'string') bytes = new TextEncoder().encode(`${content}\0`)
    else bytes = typeof content === 'number' ? new Uint8Array(content) : content.slice()
    const hex = bytes.some((byte) => byte !== 0) ? hexOf(bytes) : '-'
    this.#add(`buffer ${index} ${bytes.length} ${hex}`, ({ client, pointers }) => {
      // one more byte, as the driver has
      pointers[index] = client.memory.allocate(bytes.length + 1)
      client.memory.view(pointers[index], bytes.length).set(bytes)
    })
    for (const [offset, of] of Object.entries(patches)) this.#patch(index, Number(offset), of)
    return { buffer: index }
  }

  bpf(cmd: Command, attr: Uint8Array, patches: Patches = {}, size = attr.length): ResultRef {
    return this.bpfOn(cmd, this.buffer(attr, patches), size)
  }

  /** bpf(2) with an attribute that is there already; undefined: a bad pointer. */
  bpfOn(cmd: Command, attr: BufferRef | undefined, size: number): ResultRef {
    const number = typeof cmd === 'number' ? cmd : BPF_CMD[cmd]
    const index = attr?.buffer ?? -1
    return this.#call(`bpf`, `${number} ${index} ${size}`, ({ client, pointers }) =>
      client.bpf(number, pointers[index] ?? BAD_POINTER, size),
    )
  }

  perf(attr: BufferRef | undefined, pid = -1, cpu = 0, group: ResultRef | undefined = undefined, flags = 8) {
    const index = attr?.buffer ?? -1
    const words = `${index} ${pid} ${cpu} ${group?.call ?? -1} ${flags}`
    return this.#call('perf', words, ({ client, pointers, results }) => {
      const groupFd = group === undefined ? -1 : (results[group.call] as number)
      return client.perfEventOpen(pointers[index] ?? BAD_POINTER, pid, cpu, groupFd, BigInt(flags))
    })
  }

  ioctl(fd: ResultRef, request: number, argument: number | BufferRef | ResultRef): ResultRef {
    let word = `n ${argument}`
    if (typeof argument === 'object') {
      word = 'call' in argument ? `r ${argument.call}` : `b ${argument.buffer}`
    }
    return this.#call('ioctl', `${fd.call} ${request} ${word}`, ({ client, pointers, results }) => {
      let value: bigint
      if (typeof argument === 'number') value = BigInt(argument)
      else if ('call' in argument) value = BigInt(results[argument.call] as number)
      else value = pointers[argument.buffer] as bigint
      return client.ioctl(results[fd.call] as number, request, value)
    })
  }

  mmap(fd: ResultRef, length: number, prot: number, flags: number, offset: number): ResultRef {
    const words = `${fd.call} ${length} ${prot} ${flags} ${offset}`
    return this.#call('mmap', words, ({ client, results }) => {
      const address = client.mmap(0n, length, prot, flags, results[fd.call] as number, offset)
      return address < 0n ? Number(address) : 1
    })
  }

  close(fd: ResultRef): ResultRef {
    return this.#call('close', `${fd.call}`, ({ client, results }) =>
      client.close(results[fd.call] as number),
    )
  }

  /** open(2) with `flags`, mkdir(2), rmdir(2), unlink(2). */
  path(verb: 'open' | 'mkdir' | 'rmdir' | 'unlink', path: string, flags = 0): ResultRef {
    return this.#call('path', `${verb} ${flags} ${path}`, ({ client }) =>
      verb === 'open' ? client.open(path, flags) : client[verb](path),
    )
  }

  /** Compares what a buffer holds now. */
  dump(of: BufferRef, offset: number, size: number): void {
    this.#steps.push({
      text: `dump ${of.buffer} ${offset} ${size}`,
      run: ({ client, pointers }) =>
        hexOf(client.memory.view((pointers[of.buffer] as bigint) + BigInt(offset), size)),
      answers: true,
    })
  }

  #patch(into: number, offset: number, of: BufferRef | ResultRef): void {
    const text =
      'buffer' in of ? `pointer ${into} ${offset} ${of.buffer}` : `result ${into} ${offset} ${of.call}`
    this.#add(text, ({ client, pointers, results }) => {
      const bytes = client.memory.view((pointers[into] as bigint) + BigInt(offset), 'buffer' in of ? 8 : 4)
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      if ('buffer' in of) view.setBigUint64(0, pointers[of.buffer] as bigint, true)
      else view.setInt32(0, results[of.call] as number, true)
    })
  }

  #add(text: string, run: (state: State) => void): void {
    this.#steps.push({
      text,
      run: (state) => {
        run(state)
        return undefined
      },
      answers: false,
    })
  }

  #call(verb: string, words: string, run: (state: State) => number): ResultRef {
    const call = this.#calls++
    this.#steps.push({
      text: `${verb} ${call} ${words}`,
      run: (state) => {
        const result = run(state)
        state.results[call] = result
        return result
      },
      answers: true,
    })
    return { call }
  }
}
