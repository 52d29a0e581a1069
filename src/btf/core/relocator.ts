/**
 * CO-RE: fitting an object to the types of the kernel that it is loaded into.
 *
 * Rules, the same as libbpf's: the candidates for a type of the object are all types of the target that have its
 * name, flavours aside, and its kind. All candidates in which the access is found must give the same number, else
 * the target is ambiguous; those in which it is not found are out of question for later relocations of the same type.
 * Where no candidate has it, questions (exists, size) are answered with 0, and everything else becomes an
 * instruction that the verifier refuses unless a branch guards it.
 */
import type { Btf } from '../btf.ts'
import type { BtfId, CoreRelocation } from '../types.ts'
import { type Access, formatAccess, formatRecord, parseAccess } from './access.ts'
import { CoreError, type CoreErrorCode } from './error.ts'
import { CORE_KIND } from './kinds.ts'
import { locate } from './locate.ts'
import { areKindsCompatible, essentialName, NAMELESS } from './names.ts'
import { type CorePatch, isWidthAdjustable, patchInstruction } from './patch.ts'
import { type CoreValue, coreValue, missingValue } from './value.ts'

/** A type of a target that may be what a type of the object means. */
interface Candidate {
  readonly btf: Btf
  readonly id: BtfId
}

/** What is to be done for one record, wherever its instruction is. */
type Decision =
  | { readonly kind: 'patch'; readonly patch: CorePatch; readonly text: string }
  | { readonly kind: 'failure'; readonly code: CoreErrorCode; readonly reason: string; readonly text: string }

/** A relocation that was done. */
export interface AppliedRelocation {
  /** Slot index, as in the record. */
  readonly instruction: number
  /** As `formatAccess` writes it, on the object's types. */
  readonly relocation: string
  /**
   * Why the instruction must not run and was replaced: the target has nothing that answers, or has a signed number of
   * another width. `undefined` where it holds the target's number.
   */
  readonly poisoned: 'missing' | 'width' | undefined
}

export class CoreRelocator {
  readonly #local: Btf
  readonly #targets: () => Iterable<Btf>
  readonly #candidates = new Map<BtfId, readonly Candidate[]>()
  readonly #decisions = new Map<string, Decision>()
  /** Names that records will ask for, so that they are all looked for at once. */
  readonly #names = new Set<string>()
  readonly #named = new Map<Btf, Map<string, readonly BtfId[]>>()

  /**
   * `local` is the object's BTF. `targets` are the kernel's and, behind it, those of its modules, in which a type is
   * looked for only where none before has it; they are asked for when first needed.
   */
  constructor(local: Btf, targets: Iterable<Btf> | (() => Iterable<Btf>)) {
    this.#local = local
    this.#targets = typeof targets === 'function' ? targets : () => targets
  }

  /** Says that a record will come: what it asks for is looked up together with what others ask for. */
  announce(relocation: CoreRelocation): void {
    if (relocation.kind === CORE_KIND.TYPE_ID_LOCAL || this.#local.id(relocation.type) === undefined) return
    this.#names.add(essentialName(this.#local.nameOf(relocation.type)))
  }

  /** The names that the announced records ask for. */
  get names(): ReadonlySet<string> {
    return this.#names
  }

  /**
   * Settles a record without patching anything. The order in which records are first seen decides which
   * candidates remain for later ones; libbpf's is that of `.BTF.ext`.
   */
  prepare(relocation: CoreRelocation): void {
    this.#decisionOf(relocation)
  }

  /** Patches `instructions` at the record's slot. On an error they are unchanged. */
  apply(instructions: Uint8Array, relocation: CoreRelocation): AppliedRelocation | CoreError {
    const decision = this.#decisionOf(relocation)
    const { instructionOffset: slot } = relocation
    if (decision.kind === 'failure') return new CoreError(decision.code, decision.text, slot, decision.reason)
    const done = patchInstruction(instructions, slot, decision.patch, this.#isLittleEndian)
    if (typeof done !== 'string') return new CoreError(done.code, decision.text, slot, done.reason)
    const why = decision.patch.kind === 'poison' ? 'missing' : 'width'
    const poisoned = done === 'poisoned' ? why : undefined
    return { instruction: slot, relocation: decision.text, poisoned }
  }

  get #isLittleEndian(): boolean {
    return this.#local.byteOrder === 'little'
  }

  #decisionOf(relocation: CoreRelocation): Decision {
    const key = `${relocation.type}+${relocation.kind}+${relocation.access}`
    let decision = this.#decisions.get(key)
    if (decision === undefined) {
      decision = this.#decide(relocation)
      this.#decisions.set(key, decision)
    }
    return decision
  }

  #decide(relocation: CoreRelocation): Decision {
    const access = parseAccess(this.#local, relocation)
    if (typeof access === 'string') {
      return {
        kind: 'failure',
        code: 'bad-record',
        reason: access,
        text: formatRecord(this.#local, relocation),
      }
    }
    const text = formatAccess(access)
    const fail = (code: CoreErrorCode, reason: string): Decision => ({ kind: 'failure', code, reason, text })
    if (relocation.kind === CORE_KIND.TYPE_ID_LOCAL) {
      const value = BigInt(access.root)
      return {
        kind: 'patch',
        text,
        patch: { kind: 'number', expected: undefined, value, width: undefined },
      }
    }
    if (access.root === 0 || this.#local.nameOf(access.root) === '') {
      return fail('anonymous-type', NAMELESS)
    }
    const ours = coreValue(access, this.#isLittleEndian)
    if (typeof ours === 'string') return fail('unsatisfiable', ours)
    const expected = ours.isCertain ? ours.value : undefined

    const answer = this.#askCandidates(access)
    if (answer.kind === 'failure') return fail(answer.code, answer.reason)
    if (answer.kind === 'none') {
      const value = missingValue(relocation.kind)
      const patch: CorePatch =
        value === undefined ? { kind: 'poison' } : { kind: 'number', expected, value, width: undefined }
      return { kind: 'patch', text, patch }
    }
    const { value: theirs, btf } = answer
    const width = widthChange(this.#local, ours, btf, theirs)
    return { kind: 'patch', text, patch: { kind: 'number', expected, value: theirs.value, width } }
  }

  #askCandidates(access: Access) {
    const candidates = this.#candidatesOf(access.root)
    const matching: Candidate[] = []
    let first: { readonly access: Access; readonly value: CoreValue; readonly btf: Btf } | undefined
    for (const candidate of candidates) {
      const location = locate(access, candidate.btf, candidate.id)
      if (location.kind === 'none') continue
      if (location.kind === 'error') return failure('unsatisfiable', location.reason)
      const value = coreValue(location.access, this.#isLittleEndian)
      if (typeof value === 'string') {
        return failure('unsatisfiable', `in the target's ${formatAccess(location.access)}: ${value}`)
      }
      matching.push(candidate)
      first ??= { access: location.access, value, btf: candidate.btf }
      if (location.access.bitOffset !== first.access.bitOffset || value.value !== first.value.value) {
        return failure(
          'ambiguous',
          `the target answers ${first.value.value} by ${formatAccess(first.access)}, ` +
            `but ${value.value} by ${formatAccess(location.access)}`,
        )
      }
    }
    if (first === undefined) return { kind: 'none' } as const
    this.#candidates.set(access.root, matching)
    return { kind: 'found', value: first.value, btf: first.btf } as const
  }

  #candidatesOf(root: BtfId): readonly Candidate[] {
    let found = this.#candidates.get(root)
    if (found === undefined) {
      found = this.#findCandidates(root)
      this.#candidates.set(root, found)
    }
    return found
  }

  #findCandidates(root: BtfId): readonly Candidate[] {
    const kind = this.#local.kindOf(root)
    const essential = essentialName(this.#local.nameOf(root))
    let isFirst = true
    const found: Candidate[] = []
    for (const btf of this.#targets()) {
      // Split BTF of modules repeats the kernel's types, which have been searched.
      const from = isFirst ? 1 : btf.firstId
      for (const id of this.#idsNamed(btf, essential)) {
        if (id >= from && areKindsCompatible(btf.kindOf(id), kind)) found.push({ btf, id })
      }
      if (isFirst && found.length > 0) break
      isFirst = false
    }
    return found
  }

  /** Types of the name, with and without flavours, rising. */
  #idsNamed(btf: Btf, essential: string): readonly BtfId[] {
    const named = this.#named.get(btf) ?? new Map<string, readonly BtfId[]>()
    this.#named.set(btf, named)
    let ids = named.get(essential)
    if (ids === undefined) {
      this.#names.add(essential)
      // Modules are asked for what the kernel does not have, which is little.
      const together = btf.base === undefined ? [...this.#names] : [essential]
      for (const [name, found] of btf.findWithFlavours(together)) {
        // Of a name with a flavour of its own, what is left of it is another essential name.
        named.set(
          name,
          found.filter((id) => essentialName(btf.nameOf(id)) === name),
        )
      }
      ids = named.get(essential) ?? []
    }
    return ids
  }
}

const failure = (code: CoreErrorCode, reason: string) => ({ kind: 'failure', code, reason }) as const

function widthChange(local: Btf, ours: CoreValue, target: Btf, theirs: CoreValue) {
  if (ours.memory === undefined && theirs.memory === undefined) return undefined
  const [from, to] = [ours.memory?.bytes ?? 0, theirs.memory?.bytes ?? 0]
  if (from === to) return undefined
  const isSafe =
    ours.memory !== undefined &&
    theirs.memory !== undefined &&
    isWidthAdjustable(local, ours.memory.type, target, theirs.memory.type)
  return { from, to, isSafe }
}
