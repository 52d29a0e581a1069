/** A struct_ops map at work: it takes programs, and the part of the kernel that it is for calls them. */
import { BPF_PROG_TYPE, EBADF, EINVAL } from '../../abi/index.ts'
import type { StructOpsHost, StructOpsMap, StructOpsMember } from '../../maps/index.ts'
import { programOf } from '../bpf/descriptors.ts'
import type { KernelCore } from '../core.ts'
import type { MapObject } from '../map-object.ts'
import type { ProgramObject } from '../program-object.ts'
import { callProgram } from './call.ts'
import type { KnownStructOps } from './registry.ts'
import type { StructOps } from './types.ts'

export class StructOpsInstance implements StructOpsHost<ProgramObject>, StructOps {
  readonly known: KnownStructOps
  readonly #core: KernelCore
  readonly #object: MapObject
  readonly #map: StructOpsMap<ProgramObject>

  constructor(core: KernelCore, object: MapObject, known: KnownStructOps) {
    this.#core = core
    this.#object = object
    this.#map = object.map as StructOpsMap<ProgramObject>
    this.known = known
  }

  get name(): string {
    return this.#map.definition.name
  }

  get data(): Uint8Array {
    return this.#map.data
  }

  has(member: string): boolean {
    return this.#programOf(member) !== undefined
  }

  call(member: string, args: readonly (bigint | Uint8Array)[], cpu = 0): bigint | undefined {
    const program = this.#programOf(member)
    return program === undefined ? undefined : callProgram(this.#core, program, args, cpu)
  }

  initMember({ name }: StructOpsMember, bytes: Uint8Array): number {
    return this.known.type.initMember?.({ name, bytes }) ?? 0
  }

  resolve(member: StructOpsMember, fd: number): ProgramObject | number {
    const { updating } = this.#core
    if (updating === undefined) return -EBADF
    const program = programOf(updating.process, fd)
    if (typeof program === 'number') return program
    const { type, attach, expectedAttachType } = program.loaded
    const isForIt =
      type.type === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS &&
      attach?.btfId === this.known.typeId &&
      expectedAttachType === member.index
    return isForIt ? program.get() : -EINVAL
  }

  idOf(program: ProgramObject): number {
    return program.id
  }

  release(program: ProgramObject): void {
    program.put()
  }

  validate(): number {
    return this.known.type.validate?.(this) ?? 0
  }

  /** What is registered stays, whoever closes the map. */
  register(): number {
    const error = this.known.type.register(this)
    if (error === 0) this.#object.get()
    return error
  }

  unregister(): void {
    this.known.type.unregister(this)
    this.#object.put()
  }

  references(): number {
    return this.#object.kernelReferences
  }

  #programOf(name: string): ProgramObject | undefined {
    const member = this.#map.layout.members.find((one) => one.name === name)
    return member === undefined ? undefined : this.#map.programAt(member.index)
  }
}
