import { Btf, type BtfError } from '../btf/index.ts'
import type { KernelTypes } from './kernel-types.ts'
import { OpenFile } from './open-file.ts'
import { Counted } from './reference.ts'

/** Type information that user space loaded, or the operating system's own. */
export class BtfObject extends Counted {
  readonly id: number
  /** `vmlinux`, or empty for what user space loaded. */
  readonly name: string
  #bytes: Uint8Array | undefined
  readonly #make: (() => KernelTypes) | undefined
  #types: Btf | BtfError | undefined
  #declared: ReadonlySet<string> = new Set()
  readonly #onEnd: (object: BtfObject) => void

  /** The operating system's own are made when they are first asked for. */
  constructor(
    id: number,
    bytes: Uint8Array | (() => KernelTypes),
    name: string,
    onEnd: (object: BtfObject) => void,
  ) {
    super()
    this.id = id
    this.#bytes = typeof bytes === 'function' ? undefined : bytes
    this.#make = typeof bytes === 'function' ? bytes : undefined
    this.name = name
    this.#onEnd = onEnd
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) {
      const made = this.#make?.()
      this.#bytes = made?.bytes ?? new Uint8Array(0)
      this.#types = made?.types
      if (made !== undefined) this.#declared = made.declared
    }
    return this.#bytes
  }

  get isKernel(): boolean {
    return this.name !== ''
  }

  /** The bytes as types; undefined where they are none. */
  get types(): Btf | undefined {
    const { bytes } = this
    // Loading has checked what user space brings.
    this.#types ??= this.isKernel ? Btf.parse(bytes) : Btf.parseTrusted(bytes)
    return this.#types instanceof Btf ? this.#types : undefined
  }

  /** Whether the struct of this name was added to the operating system's types, and is none of its own. */
  declares(struct: string): boolean {
    return this.bytes.length > 0 && this.#declared.has(struct)
  }

  protected end(): void {
    this.#onEnd(this)
  }
}

export class BtfFile extends OpenFile {
  readonly object: BtfObject

  constructor(object: BtfObject) {
    super()
    this.object = object.get()
  }

  override describe(): string {
    return `btf_id:\t${this.object.id}\n`
  }

  protected end(): void {
    this.object.put()
  }
}
