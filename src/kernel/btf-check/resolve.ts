/**
 * The second pass over BTF: what types refer to. A reference is followed with a stack of bounded depth, in which a
 * type that is met again is a loop; pointers end the way through structs and arrays, and these the way through
 * pointers, so that a struct may point to itself.
 *
 * Source: btf_check_all_types(), btf_resolve() and the *_resolve functions of kernel/bpf/btf.c of Linux.
 */
import { E2BIG, EEXIST, EINVAL } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import { type BtfLog, BtfRefusal } from './log.ts'
import { checkMember, isRegularInt } from './members.ts'
import {
  hasNoSize,
  hasSize,
  isModifier,
  isSourceOnly,
  isStruct,
  needsResolving,
  type RawType,
  type RawTypes,
} from './raw-types.ts'

const K = BTF_KIND
const MOST_DEPTH = 32
const POINTER_BYTES = 8
const U32_MAX = 0xffff_ffff

const VISITED = 1
const RESOLVED = 2

type Mode = 'undecided' | 'pointer' | 'struct or array'

interface Visit {
  readonly type: RawType
  next: number
}

export class Resolver {
  readonly #types: RawTypes
  readonly #log: BtfLog
  readonly #states: Uint8Array
  readonly #resolvedIds: Uint32Array
  readonly #resolvedSizes: Uint32Array
  /** Empty between types. */
  readonly #stack: Visit[] = []
  #mode: Mode = 'undecided'

  constructor(types: RawTypes, log: BtfLog) {
    this.#types = types
    this.#log = log
    this.#states = new Uint8Array(types.count)
    this.#resolvedIds = new Uint32Array(types.count)
    this.#resolvedSizes = new Uint32Array(types.count)
  }

  /** Throws a refusal. */
  checkAll(): void {
    this.#log.isResolving = true
    for (let id = 1; id < this.#types.count; id++) {
      const type = this.#types.get(id) as RawType
      if (needsResolving(type) && !this.#isResolved(id)) this.#resolve(type)
      if (type.kind === K.FUNC_PROTO) this.#checkPrototype(type, id)
    }
  }

  #isResolved(id: number): boolean {
    return this.#states[id] === RESOLVED
  }

  #refuse(type: RawType, message: string, id = type.id): never {
    this.#log.type(this.#types, type, id, message)
    throw new BtfRefusal(EINVAL)
  }

  /** Follows all that `type` refers to. */
  #resolve(type: RawType): void {
    this.#mode = 'undecided'
    let error = this.#push(type)
    const stack = this.#stack
    while (error === 0 && stack.length > 0) error = this.#step(stack[stack.length - 1] as Visit)
    if (error === 0) return
    const message = error === E2BIG ? `Exceeded max resolving depth:${MOST_DEPTH}` : 'Loop detected'
    this.#log.type(this.#types, type, type.id, message)
    throw new BtfRefusal(error)
  }

  /** 0, or why the type cannot be entered. */
  #push(type: RawType): number {
    if (this.#stack.length === MOST_DEPTH) return E2BIG
    if (this.#states[type.id] !== 0) return EEXIST
    this.#states[type.id] = VISITED
    this.#stack.push({ type, next: 0 })
    if (this.#mode === 'undecided') {
      if (type.kind === K.PTR) this.#mode = 'pointer'
      else if (isStruct(type) || type.kind === K.ARRAY) this.#mode = 'struct or array'
    }
    return 0
  }

  #pop(type: RawType, resolvedId: number, sizeBytes: number): number {
    this.#stack.pop()
    this.#resolvedIds[type.id] = resolvedId
    this.#resolvedSizes[type.id] = sizeBytes
    this.#states[type.id] = RESOLVED
    return 0
  }

  /** Whether the way ends at this type. */
  #isSink(type: RawType): boolean {
    switch (this.#mode) {
      case 'undecided':
        return !needsResolving(type)
      case 'pointer':
        return !isModifier(type) && type.kind !== K.PTR
      case 'struct or array':
        return !isModifier(type) && type.kind !== K.ARRAY && !isStruct(type)
    }
  }

  #mustEnter(type: RawType): boolean {
    return !this.#isSink(type) && !this.#isResolved(type.id)
  }

  #sizeOf = (id: number): { readonly type: RawType; readonly sizeBytes: number } | undefined => {
    let type = this.#types.get(id)
    if (type === undefined || hasNoSize(type)) return undefined
    if (isModifier(type) || type.kind === K.VAR) {
      type = this.#types.get(this.#resolvedIds[id] as number)
      if (type === undefined || hasNoSize(type)) return undefined
    }
    if (hasSize(type)) return { type, sizeBytes: type.word }
    if (type.kind === K.ARRAY) return { type, sizeBytes: this.#resolvedSizes[type.id] as number }
    return type.kind === K.PTR ? { type, sizeBytes: POINTER_BYTES } : undefined
  }

  #step(visit: Visit): number {
    const { type } = visit
    switch (type.kind) {
      case K.PTR:
        return this.#reference(type, true)
      case K.ARRAY:
        return this.#array(type)
      case K.STRUCT:
      case K.UNION:
        return this.#struct(visit)
      case K.VAR:
        return this.#variable(type)
      case K.FUNC:
        return this.#function(type)
      case K.DECL_TAG:
        return this.#tag(type)
      case K.DATASEC:
        return this.#section(visit)
      default:
        return this.#reference(type, false)
    }
  }

  /** What a reference names, where that may be referred to at all. */
  #target(type: RawType): RawType {
    const next = this.#types.get(type.word)
    return next === undefined || isSourceOnly(next) ? this.#refuse(type, 'Invalid type_id') : next
  }

  /** The pointer that a modifier resolved to before, if the way has to go on from there. */
  #pointerBehind(type: RawType): RawType | undefined {
    if (!isModifier(type)) return undefined
    const resolved = this.#types.get(this.#resolvedIds[type.id] as number)
    return resolved?.kind === K.PTR && this.#mustEnter(resolved) ? resolved : undefined
  }

  #reference(type: RawType, isPointer: boolean): number {
    let next = this.#target(type)
    if (this.#mustEnter(next)) return this.#push(next)
    const behind = isPointer ? this.#pointerBehind(next) : undefined
    if (behind !== undefined) return this.#push(behind)
    const sized = this.#sizeOf(next.id)
    if (sized !== undefined) return this.#pop(type, sized.type.id, 0)
    if (this.#isResolved(next.id)) next = this.#types.get(this.#resolvedIds[next.id] as number) as RawType
    const mayLackSize = next.kind === K.UNKN || next.kind === K.FWD || next.kind === K.FUNC_PROTO
    return mayLackSize ? this.#pop(type, next.id, 0) : this.#refuse(type, 'Invalid type_id')
  }

  #variable(type: RawType): number {
    const next = this.#target(type)
    if (this.#mustEnter(next)) return this.#push(next)
    const behind = this.#pointerBehind(next)
    if (behind !== undefined) return this.#push(behind)
    const sized = this.#sizeOf(next.id)
    return sized === undefined ? this.#refuse(type, 'Invalid type_id') : this.#pop(type, sized.type.id, 0)
  }

  #array(type: RawType): number {
    const types = this.#types
    const elementId = types.extra(type, 0)
    const indexId = types.extra(type, 1)
    const count = types.extra(type, 2)
    const index = types.get(indexId)
    if (index === undefined || isSourceOnly(index) || hasNoSize(index)) {
      return this.#refuse(type, 'Invalid index')
    }
    if (this.#mustEnter(index)) return this.#push(index)
    const counter = this.#sizeOf(indexId)?.type
    if (counter?.kind !== K.INT || !isRegularInt(types, counter)) return this.#refuse(type, 'Invalid index')
    const element = types.get(elementId)
    if (element === undefined || isSourceOnly(element) || hasNoSize(element)) {
      return this.#refuse(type, 'Invalid elem')
    }
    if (this.#mustEnter(element)) return this.#push(element)
    const sized = this.#sizeOf(elementId)
    if (sized === undefined) return this.#refuse(type, 'Invalid elem')
    if (sized.type.kind === K.INT && !isRegularInt(types, sized.type)) {
      return this.#refuse(type, 'Invalid array of int')
    }
    if (count > 0 && sized.sizeBytes > Math.floor(U32_MAX / count)) {
      return this.#refuse(type, 'Array size overflows U32_MAX')
    }
    return this.#pop(type, sized.type.id, sized.sizeBytes * count)
  }

  #struct(visit: Visit): number {
    const { type } = visit
    const types = this.#types
    if (visit.next > 0) this.#checkMember(type, visit.next - 1)
    for (let index = visit.next; index < type.vlen; index++) {
      const member = types.get(types.extra(type, 3 * index + 1))
      if (member === undefined || isSourceOnly(member) || hasNoSize(member)) {
        return this.#refuseMember(type, index, 'Invalid member')
      }
      if (this.#mustEnter(member)) {
        visit.next = index + 1
        return this.#push(member)
      }
      this.#checkMember(type, index)
    }
    return this.#pop(type, 0, 0)
  }

  #checkMember(type: RawType, index: number): void {
    const types = this.#types
    const id = types.extra(type, 3 * index + 1)
    const place = types.extra(type, 3 * index + 2)
    const fault = checkMember(types, this.#sizeOf, type, id, place)
    if (fault !== undefined) this.#refuseMember(type, index, fault.message, fault.type)
  }

  #refuseMember(type: RawType, index: number, message: string, as?: number): never {
    this.#log.member(this.#types, type, index, type.id, message, as)
    throw new BtfRefusal(EINVAL)
  }

  #section(visit: Visit): number {
    const { type } = visit
    const types = this.#types
    this.#mode = 'undecided'
    for (let index = visit.next; index < type.vlen; index++) {
      const variable = types.get(types.extra(type, 3 * index))
      if (variable?.kind !== K.VAR) return this.#refuseVariable(type, index, 'Not a VAR kind member')
      if (this.#mustEnter(variable)) {
        visit.next = index + 1
        return this.#push(variable)
      }
      const sized = this.#sizeOf(variable.word)
      if (sized === undefined) return this.#refuseVariable(type, index, 'Invalid type')
      if (types.extra(type, 3 * index + 2) < sized.sizeBytes)
        return this.#refuseVariable(type, index, 'Invalid size')
    }
    return this.#pop(type, 0, 0)
  }

  #refuseVariable(type: RawType, index: number, message: string): never {
    this.#log.variable(this.#types, type, index, type.id, message)
    throw new BtfRefusal(EINVAL)
  }

  #function(type: RawType): number {
    const types = this.#types
    const prototype = types.get(type.word)
    if (prototype?.kind !== K.FUNC_PROTO) return this.#refuse(type, 'Invalid type_id')
    for (let index = 0; index < prototype.vlen; index++) {
      const isNamed = types.extra(prototype, 2 * index) !== 0
      if (!isNamed && types.extra(prototype, 2 * index + 1) !== 0)
        this.#refuse(type, `Invalid arg#${index + 1}`)
    }
    return this.#pop(type, type.word, 0)
  }

  #tag(type: RawType): number {
    const next = this.#types.get(type.word)
    const isTarget =
      next !== undefined &&
      (next.kind === K.FUNC || isStruct(next) || next.kind === K.VAR || next.kind === K.TYPEDEF)
    if (!isTarget) return this.#refuse(type, 'Invalid type_id')
    if (this.#mustEnter(next)) return this.#push(next)
    const component = this.#types.extra(type, 0) | 0
    if (component !== -1) {
      if (next.kind === K.VAR || next.kind === K.TYPEDEF) this.#refuse(type, 'Invalid component_idx')
      const holder = next.kind === K.FUNC ? this.#types.get(next.word) : next
      if (component >= (holder?.vlen ?? 0)) this.#refuse(type, 'Invalid component_idx')
    }
    return this.#pop(type, next.id, 0)
  }

  #checkPrototype(type: RawType, id: number): void {
    const types = this.#types
    if (type.word !== 0 && !this.#mayPass(type.word)) this.#refuse(type, 'Invalid return type', id)
    let count = type.vlen
    if (count === 0) return
    if (types.extra(type, 2 * count - 1) === 0) {
      if (types.extra(type, 2 * count - 2) !== 0) this.#refuse(type, `Invalid arg#${count}`, id)
      count--
    }
    for (let index = 0; index < count; index++) {
      const name = types.extra(type, 2 * index)
      const isNameRight = name === 0 || (types.isNameOffset(name) && types.isIdentifier(name))
      if (!isNameRight || !this.#mayPass(types.extra(type, 2 * index + 1)))
        this.#refuse(type, `Invalid arg#${index + 1}`, id)
    }
  }

  /** Whether a function may take or return a value of the type. */
  #mayPass(id: number): boolean {
    const type = this.#types.get(id)
    if (type === undefined || isSourceOnly(type)) return false
    if (needsResolving(type) && !this.#isResolved(id)) this.#resolve(type)
    return this.#sizeOf(id) !== undefined
  }
}
