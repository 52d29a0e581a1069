/**
 * Functions of the kernel that programs may call, found by their BTF id.
 *
 * What BTF says: name, parameters, result. What it does not say (who may call it, what it acquires and releases) is in
 * `rows.ts`.
 */
import { BTF_KIND, type Btf, type BtfId, type BtfPrototype } from '../../btf/index.ts'
import type { Instruction } from '../../isa/index.ts'
import type { DescriptorEntry } from '../program.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import { type KfuncFlag, type KfuncRow, kfuncRows } from './rows.ts'

export interface Parameter {
  readonly name: string
  readonly type: BtfId
}

export interface Kfunc {
  readonly name: string
  readonly id: number
  readonly btf: Btf
  readonly prototype: BtfPrototype
  readonly parameters: readonly Parameter[]
  readonly flags: ReadonlySet<KfuncFlag>
  /** Program types that may call it; undefined: all. */
  readonly programTypes: readonly number[] | undefined
  readonly isKnown: boolean
  readonly isIteratorNext: boolean
  readonly isSleepable: boolean
}

/** What a network device says of a packet: for programs that were loaded for one device. */
const DEVICE_METADATA: ReadonlySet<string> = new Set([
  'bpf_xdp_metadata_rx_hash',
  'bpf_xdp_metadata_rx_timestamp',
  'bpf_xdp_metadata_rx_vlan_tag',
])

const byName: ReadonlyMap<string, KfuncRow> = new Map(kfuncRows.map((row) => [row.name, row]))

export class KfuncTable {
  readonly #kernel: Btf | undefined
  readonly #descriptors: readonly (DescriptorEntry | undefined)[]
  readonly #known = new Map<string, Kfunc | undefined>()

  constructor(kernel: Btf | undefined, descriptors: readonly (DescriptorEntry | undefined)[]) {
    this.#kernel = kernel
    this.#descriptors = descriptors
  }

  find(id: number, offset: number): Kfunc | undefined {
    const key = `${offset}:${id}`
    if (this.#known.has(key)) return this.#known.get(key)
    const kfunc = this.#look(id, offset)
    this.#known.set(key, kfunc)
    return kfunc
  }

  nameOf(id: number, offset: number): string | undefined {
    return this.find(id, offset)?.name
  }

  #look(id: number, offset: number): Kfunc | undefined {
    const btf = offset === 0 ? this.#kernel : this.#descriptors[offset & 0xffff]?.btf
    const typeId = btf?.id(id)
    if (btf === undefined || typeId === undefined) return undefined
    const type = btf.typeById(typeId)
    if (type.kind !== BTF_KIND.FUNC) return undefined
    const prototype = btf.typeById(type.type)
    if (prototype.kind !== BTF_KIND.FUNC_PROTO) return undefined
    const row = byName.get(type.name)
    const flags = new Set(row?.flags ?? [])
    return {
      name: type.name,
      id,
      btf,
      prototype,
      parameters: prototype.parameters,
      flags,
      programTypes: row?.types,
      isKnown: row !== undefined,
      isIteratorNext: flags.has('ITER_NEXT'),
      isSleepable: flags.has('SLEEPABLE'),
    }
  }

  /** A call was found in the program: is there such a function? */
  add(p: Proof, insn: Instruction): void {
    if (insn.imm === 0 && insn.offset === 0) return
    const btf = insn.offset === 0 ? this.#kernel : this.#descriptors[insn.offset & 0xffff]?.btf
    if (btf === undefined) throw p.refuse(EINVAL, 'failed to find BTF for kernel function')
    const id = btf.id(insn.imm)
    const type = id === undefined ? undefined : btf.typeById(id)
    if (type?.kind !== BTF_KIND.FUNC) {
      throw p.refuse(EINVAL, `kernel btf_id ${insn.imm >>> 0} is not a function`)
    }
    if (btf.typeById(type.type).kind !== BTF_KIND.FUNC_PROTO) {
      throw p.refuse(EINVAL, `kernel function btf_id ${insn.imm >>> 0} does not have a valid func_proto`)
    }
    if (DEVICE_METADATA.has(type.name)) {
      throw p.refuse(EINVAL, 'metadata kfuncs require device-bound program')
    }
  }
}
