import { EACCES, EAGAIN, EINVAL, PAGE_SIZE, POLLIN } from '../abi/index.ts'
import { type MmapRequest, OpenFile } from './open-file.ts'
import type { TracePipe } from './trace-pipe.ts'
import type { Mapping } from './types.ts'

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

/** /sys/kernel/btf/vmlinux: may be mapped, to be read and not shared. Source: btf_sysfs_vmlinux_mmap() of Linux. */
export class KernelTypesFile extends StaticFile {
  readonly #types: Uint8Array

  constructor(types: Uint8Array) {
    super(types)
    this.#types = types
  }

  override mmap({ lengthBytes, writable, shared, offsetBytes }: MmapRequest): Mapping | number {
    if (offsetBytes !== 0) return -EINVAL
    if (writable || shared) return -EACCES
    const whole = Math.ceil(this.#types.length / PAGE_SIZE) * PAGE_SIZE
    if (lengthBytes > whole) return -EINVAL
    const pages = new Uint8Array(lengthBytes)
    pages.set(this.#types.subarray(0, lengthBytes))
    return {
      lengthBytes,
      writable: false,
      bytes: (start, sizeBytes) => pages.subarray(start, start + sizeBytes),
      close: () => {},
    }
  }
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
