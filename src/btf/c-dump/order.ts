/**
 * In what order C wants types to be defined.
 *
 * A struct that is embedded must be complete before the struct that holds it; behind a pointer its name is enough.
 * An anonymous struct is written where it is used, so whatever it embeds must be complete there, pointer or not.
 * Definitions come out in the order of a depth-first walk, each before those that need it; the same walk as
 * libbpf's, so that the results can be compared byte for byte.
 */
import type { Btf } from '../btf.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfId } from '../types.ts'

/** Deepest chain of types that is followed; real ones have some forty. */
const MAX_DEPTH = 1500

const VISITING = 1
const DONE = 2

/** Why types cannot be put in order. */
export interface OrderFailure {
  readonly id: BtfId
  readonly reason: string
}

/** How a type holds another: complete, or by a name that can be declared beforehand. */
type Hold = 'complete' | 'by-name'

export class DefinitionOrder {
  readonly #btf: Btf
  readonly #states: Uint8Array
  /** Types that others refer to: nameless enums among them are written where they are used. */
  readonly #isReferenced: Uint8Array
  #queue: BtfId[] = []
  #steps = 0
  readonly #maxSteps: number

  constructor(btf: Btf) {
    this.#btf = btf
    this.#states = new Uint8Array(btf.typeCount)
    this.#states[0] = DONE
    this.#isReferenced = new Uint8Array(btf.typeCount)
    let references = btf.typeCount
    for (const id of btf.ids()) {
      for (const other of referencesOf(btf, id)) {
        this.#isReferenced[other] = 1
        references++
      }
    }
    // Each reference is followed a few times at most in what compilers write.
    this.#maxSteps = 1000 + 100 * references
  }

  /** What must be defined for the type, itself last, as far as it has not been given before. */
  definitionsFor(id: BtfId): readonly BtfId[] | OrderFailure {
    this.#queue = []
    const hold = this.#visit(id, false, 0)
    return typeof hold === 'string' ? this.#queue : hold
  }

  #visit(id: BtfId, isThroughPointer: boolean, depth: number): Hold | OrderFailure {
    if (this.#states[id] === DONE) return 'complete'
    if (depth > MAX_DEPTH || this.#steps++ > this.#maxSteps) {
      return { id, reason: 'expected types that C can name, found them nested too deep' }
    }
    const type = this.#btf.typeById(id)
    const isComposite = type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION
    if (this.#states[id] === VISITING) {
      if (isComposite && isThroughPointer && type.name !== '') return 'by-name'
      return { id, reason: 'expected types that end, found one that holds itself' }
    }
    switch (type.kind) {
      case BTF_KIND.INT:
      case BTF_KIND.FLOAT:
        this.#states[id] = DONE
        return 'by-name'
      case BTF_KIND.PTR: {
        const hold = this.#visit(type.type, true, depth + 1)
        this.#states[id] = DONE
        return hold
      }
      case BTF_KIND.ARRAY:
        return this.#visit(type.element, false, depth + 1)
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        if (isThroughPointer && type.name !== '') return 'by-name'
        this.#states[id] = VISITING
        for (const member of type.members) {
          const hold = this.#visit(member.type, false, depth + 1)
          if (typeof hold !== 'string') return hold
        }
        if (type.name !== '') this.#queue.push(id)
        this.#states[id] = DONE
        return 'complete'
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FWD:
        if (type.name !== '' || this.#isReferenced[id] === 0) this.#queue.push(id)
        this.#states[id] = DONE
        return 'complete'
      case BTF_KIND.TYPEDEF: {
        const hold = this.#visit(type.type, isThroughPointer, depth + 1)
        if (typeof hold !== 'string' || (isThroughPointer && hold === 'by-name')) return hold
        this.#queue.push(id)
        this.#states[id] = DONE
        return 'complete'
      }
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
        return this.#visit(type.type, isThroughPointer, depth + 1)
      case BTF_KIND.FUNC_PROTO: {
        const parts = [type.returns, ...type.parameters.map((parameter) => parameter.type)]
        // The `...` counts as void, which is complete.
        let most: Hold = type.isVariadic ? 'complete' : 'by-name'
        for (const part of parts) {
          const hold = this.#visit(part, isThroughPointer, depth + 1)
          if (typeof hold !== 'string') return hold
          if (hold === 'complete') most = hold
        }
        return most
      }
      case BTF_KIND.FUNC:
      case BTF_KIND.VAR:
      case BTF_KIND.DATASEC:
      case BTF_KIND.DECL_TAG:
      case BTF_KIND.UNKN:
        this.#states[id] = DONE
        return 'by-name'
      default: {
        const unreachable: never = type
        throw new Error(`no order for ${JSON.stringify(unreachable)}`)
      }
    }
  }
}

/** Types that a type is made of; what a function returns does not count, as in libbpf. */
function referencesOf(btf: Btf, id: BtfId): readonly BtfId[] {
  const type = btf.typeById(id)
  switch (type.kind) {
    case BTF_KIND.PTR:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
    case BTF_KIND.TYPE_TAG:
    case BTF_KIND.FUNC:
    case BTF_KIND.VAR:
    case BTF_KIND.DECL_TAG:
      return [type.type]
    case BTF_KIND.ARRAY:
      return [type.element, type.index]
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return type.members.map((member) => member.type)
    case BTF_KIND.FUNC_PROTO:
      return type.parameters.map((parameter) => parameter.type)
    case BTF_KIND.DATASEC:
      return type.variables.map((variable) => variable.type)
    default:
      return []
  }
}
