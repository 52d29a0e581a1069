import { EAGAIN, EINVAL, POLLIN } from '../abi/index.ts'
import { OpenFile } from './open-file.ts'
import type { TracePipe } from './trace-pipe.ts'

/** A file whose contents are known when it is opened. */
export class StaticFile extends OpenFile {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(contents: string | Uint8Array) {
    super()
    this.#bytes = typeof contents === 'string' ? new TextEncoder().encode(contents) : contents
  }

  override read(length: number): Uint8Array {
    const piece = this.#bytes.slice(this.#position, this.#position + length)
    this.#position += piece.length
    return piece
  }

  override poll(): number {
    return POLLIN
  }

  protected end(): void {}
}

/** /sys/kernel/tracing/trace_pipe: reading takes the lines away. */
export class TracePipeFile extends OpenFile {
  readonly #pipe: TracePipe
  readonly #stopListening: () => void

  constructor(pipe: TracePipe) {
    super()
    this.#pipe = pipe
    this.#stopListening = pipe.onLine(() => this.wakeUp())
  }

  override read(length: number): Uint8Array | number {
    if (length === 0) return -EINVAL
    return this.#pipe.isEmpty ? -EAGAIN : this.#pipe.take(length)
  }

  override poll(): number {
    return this.#pipe.isEmpty ? 0 : POLLIN
  }

  protected end(): void {
    this.#stopListening()
  }
}
