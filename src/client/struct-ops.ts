/** struct_ops: a struct of functions that loaded programs implement, to be registered with a part of the kernel. */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_F_LINK,
  BPF_F_VTYPE_BTF_OBJ_FD,
  BPF_MAP_TYPE,
  errnoName,
  linkCreatePerfEventAttr,
  type Syscalls,
} from '../abi/index.ts'
import { bpf, createMap } from './calls.ts'
import { AttachError, LoadError } from './errors.ts'
import { kernelName } from './kernel-name.ts'
import type { Link } from './link.ts'
import { MapHandle } from './map-handle.ts'
import { Descriptor } from './owner.ts'
import type { Program } from './program.ts'
import type { StructOpsPlan } from './struct-ops-plan.ts'

const KEY = new Uint8Array(4)

export class StructOps implements Disposable {
  readonly plan: StructOpsPlan
  readonly handle: MapHandle
  readonly #syscalls: Syscalls
  readonly #value: Uint8Array
  #isWritten = false

  private constructor(syscalls: Syscalls, plan: StructOpsPlan, handle: MapHandle) {
    this.plan = plan
    this.handle = handle
    this.#syscalls = syscalls
    this.#value = plan.value.slice()
  }

  /** Its map. `btfFd`: of the object's types, which the kernel wants to see. */
  static create(syscalls: Syscalls, plan: StructOpsPlan, btfFd: number | undefined): StructOps | LoadError {
    const isModule = plan.btfFd !== 0
    const map = createMap(syscalls, {
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS,
      key_size: KEY.length,
      value_size: plan.value.length,
      max_entries: 1,
      map_flags: (plan.isLinked ? BPF_F_LINK : 0) | (isModule ? BPF_F_VTYPE_BTF_OBJ_FD : 0),
      map_name: kernelName(plan.name),
      btf_fd: btfFd ?? 0,
      btf_vmlinux_value_type_id: plan.valueTypeId,
      ...(isModule ? { value_type_btf_obj_fd: plan.btfFd } : {}),
    })
    if (typeof map === 'number') {
      const message = `struct_ops '${plan.name}' cannot be created: ${errnoName(map)}`
      return new LoadError('map', plan.name, message, -map)
    }
    const sizes = { keySize: KEY.length, valueBytes: plan.value.length, maxEntries: 1 }
    return new StructOps(syscalls, plan, new MapHandle(syscalls, map, sizes))
  }

  get name(): string {
    return this.plan.name
  }

  /** Enters the loaded programs; those that were not loaded are left out. */
  setPrograms(programs: ReadonlyMap<string, Program>): void {
    const view = new DataView(this.#value.buffer)
    for (const { program, offset } of this.plan.functions) {
      const loaded = programs.get(program)
      if (loaded !== undefined) view.setBigUint64(offset, BigInt(loaded.fd), true)
    }
  }

  /**
   * Registers it with the kernel, by a link where its section is `.struct_ops.link`; disposing of what is returned ends
   * that. A struct without a link that is not disposed of stays registered when the process ends.
   */
  attach(): Link | AttachError {
    const { name, plan, handle } = this
    const refused = (call: string, result: number) =>
      new AttachError(
        'refused',
        name,
        name,
        `registering struct_ops '${name}': ${call}: ${errnoName(result)}`,
        -result,
      )
    if (!this.#isWritten || !plan.isLinked) {
      const written = handle.update(KEY, this.#value, 0)
      if (written < 0) return refused('BPF_MAP_UPDATE_ELEM', written)
      this.#isWritten = true
    }
    const target = { kind: 'structOps', name } as Link['target']
    if (!plan.isLinked) {
      let isAttached = true
      return {
        program: name,
        target,
        fd: handle.fd,
        [Symbol.dispose]() {
          if (isAttached) handle.remove(KEY)
          isAttached = false
        },
      }
    }
    const attr = linkCreatePerfEventAttr.encode({
      prog_fd: handle.fd,
      attach_type: BPF_ATTACH_TYPE.BPF_STRUCT_OPS,
    })
    const fd = bpf(this.#syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
    if (fd < 0) return refused('BPF_LINK_CREATE', fd)
    const link = new Descriptor(this.#syscalls, fd)
    return { program: name, target, fd, [Symbol.dispose]: () => link[Symbol.dispose]() }
  }

  [Symbol.dispose](): void {
    this.handle[Symbol.dispose]()
  }
}
