import { Btf, type BtfError } from '../btf/index.ts'
import { OpenFile } from './open-file.ts'
import { Counted } from './reference.ts'

/** Type information that user space loaded, or the operating system's own. */
export class BtfObject extends Counted {
  readonly id: number
  /** `vmlinux`, or empty for what user space loaded. */
  readonly name: string
  #bytes: Uint8Array | (() => Uint8Array)
  #types: Btf | BtfError | undefined
  readonly #onEnd: (object: BtfObject) => void

  /** `bytes` may be made when they are first asked for. */
  constructor(
    id: number,
    bytes: Uint8Array | (() => Uint8Array),
    name: string,
    onEnd: (object: BtfObject) => void,
  ) {
    super()
    this.id = id
    this.#bytes = bytes
    this.name = name
    this.#onEnd = onEnd
  }

  get bytes(): Uint8Array {
    if (typeof this.#bytes === 'function') this.#bytes = this.#bytes()
    return this.#bytes
  }

  get isKernel(): boolean {
    return this.name !== ''
  }

  /** The bytes as types; undefined where they are none. */
  get types(): Btf | undefined {
    this.#types ??= Btf.parse(this.bytes)
    return this.#types instanceof Btf ? this.#types : undefined
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
