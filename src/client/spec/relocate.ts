/**
 * From ELF relocations to what instructions mean: maps, data, functions, externs.
 *
 * Rules: only calls and `ldimm64` can be relocated, and what they mean follows from the instruction and the
 * symbol; the relocation's type adds nothing. Compilers leave calls inside one section unrelocated, so calls are
 * found by reading the code. Relocations outside every function belong to code that the linker overrode.
 *
 * Source: Documentation/bpf/llvm_reloc.rst; libbpf's documentation.
 */
import { BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, BPF_PSEUDO_KFUNC_CALL } from '../../abi/bpf.ts'
import { ElfError, type ElfSymbol, hasGnuAddends, SHN, STT } from '../../elf/index.ts'
import type { DeclaredMap } from './btf-maps.ts'
import type { DataMap } from './data-maps.ts'
import type { Externs } from './externs.ts'
import type { FunctionDraft, FunctionTable } from './functions.ts'
import { ObjectError } from './object-error.ts'
import { fromElfError, isCode, type ObjectFile } from './object-file.ts'
import { CALL, LDIMM64, SLOT_BYTES, Slots } from './slots.ts'
import type { RelocationSpec } from './types.ts'

/** What symbols can stand for. */
export interface Targets {
  readonly functions: FunctionTable
  readonly declaredMaps: readonly DeclaredMap[]
  readonly dataMaps: readonly DataMap[]
  readonly externs: Externs
}

/** Fills the `relocations` of all functions. */
export function relocateFunctions(file: ObjectFile, targets: Targets): ObjectError | undefined {
  const finder = new TargetFinder(file, targets)
  const bySlot = new Map<FunctionDraft, Map<number, ElfSymbol>>()
  for (const section of file.elf.sections) {
    if (!isCode(section)) continue
    const relocations = file.elf.relocations(section)
    if (relocations instanceof ElfError) return fromElfError(relocations)
    for (const { offset, symbol: symbolIndex, type } of relocations) {
      if (type === 0) continue
      const place = { section: section.name, offset }
      if (offset % SLOT_BYTES !== 0) {
        return new ObjectError(
          'bad-relocation',
          `expected an offset that is a multiple of ${SLOT_BYTES}`,
          place,
        )
      }
      const symbol = file.symbols[symbolIndex]
      if (symbol === undefined) {
        return new ObjectError(
          'bad-relocation',
          `expected one of ${file.symbols.length} symbols, found index ${symbolIndex}`,
          place,
        )
      }
      const one = targets.functions.containing(section.index, offset)
      if (one === undefined) continue
      let slots = bySlot.get(one)
      if (slots === undefined) {
        slots = new Map()
        bySlot.set(one, slots)
      }
      slots.set((offset - one.sectionOffset) / SLOT_BYTES, symbol)
    }
  }
  const none = new Map<number, ElfSymbol>()
  for (const one of targets.functions.all) {
    // Aliases share the relocations of the first of them.
    if (targets.functions.startingAt(one.sectionIndex, one.sectionOffset) !== one) continue
    const error = relocateFunction(file, one, bySlot.get(one) ?? none, finder)
    if (error !== undefined) return error
  }
  return undefined
}

function relocateFunction(
  file: ObjectFile,
  one: FunctionDraft,
  symbols: ReadonlyMap<number, ElfSymbol>,
  finder: TargetFinder,
): ObjectError | undefined {
  const slots = new Slots(one.instructions, file.little)
  const bad = (slot: number, reason: string): ObjectError =>
    new ObjectError('bad-relocation', reason, {
      program: one.name,
      instruction: slot,
      section: one.section,
      offset: one.sectionOffset + slot * SLOT_BYTES,
    })
  for (let slot = 0; slot < slots.count; slot++) {
    const opcode = slots.opcode(slot)
    const symbol = symbols.get(slot)
    if (opcode === LDIMM64 || opcode === CALL) {
      const meaning =
        opcode === CALL ? finder.call(one, slots, slot, symbol) : finder.load(one, slots, slot, symbol)
      if (typeof meaning === 'string') return bad(slot, meaning)
      if (meaning !== undefined) one.relocations.push(meaning)
      if (opcode === LDIMM64) {
        slot++
        if (slot >= slots.count)
          return bad(slot - 1, 'expected a second slot of ldimm64, found the end of the function')
        if (symbols.has(slot)) return bad(slot, 'expected no relocation inside ldimm64')
      }
    } else if (symbol !== undefined) {
      const found = `opcode 0x${opcode.toString(16)}`
      return bad(
        slot,
        `expected a call or ldimm64 to relocate against '${file.symbolName(symbol)}', found ${found}`,
      )
    }
  }
  return undefined
}

/** Finds what an instruction refers to: a relocation, nothing, or the reason why it is wrong. */
class TargetFinder {
  readonly #file: ObjectFile
  readonly #functions: FunctionTable
  readonly #externs: Externs
  readonly #dataMaps: ReadonlyMap<number, string>
  /** By section and offset. */
  readonly #declaredMaps = new Map<string, string>()
  readonly #mapSections = new Set<number>()
  readonly #hasGnuAddends: boolean

  constructor(file: ObjectFile, targets: Targets) {
    this.#file = file
    this.#functions = targets.functions
    this.#externs = targets.externs
    this.#hasGnuAddends = hasGnuAddends(file.elf)
    this.#dataMaps = new Map(targets.dataMaps.map((map) => [map.sectionIndex, map.spec.name]))
    for (const map of targets.declaredMaps) {
      this.#declaredMaps.set(`${map.sectionIndex}+${map.offset}`, map.spec.name)
      this.#mapSections.add(map.sectionIndex)
    }
  }

  call(
    one: FunctionDraft,
    slots: Slots,
    slot: number,
    symbol: ElfSymbol | undefined,
  ): RelocationSpec | string | undefined {
    const source = slots.source(slot)
    if (symbol === undefined) {
      if (source !== BPF_PSEUDO_CALL) return undefined
      // A call inside the section counts slots from the next instruction.
      const target = one.sectionOffset + (slot + 1 + slots.immediate(slot)) * SLOT_BYTES
      return this.#callOf(one.sectionIndex, target, slot)
    }
    if (symbol.sectionIndex === SHN.UNDEF) {
      const name = this.#file.symbolName(symbol)
      if (!this.#externs.byName.has(name)) return `expected a known symbol to call, found undefined '${name}'`
      return { kind: 'externCall', instruction: slot, name }
    }
    if (source !== BPF_PSEUDO_CALL && source !== BPF_PSEUDO_KFUNC_CALL) {
      return `expected a call of a function, found a helper call relocated against '${this.#file.symbolName(symbol)}'`
    }
    // Against a section symbol the immediate holds the place in the section; against a function it is -1.
    const target = Number(symbol.value) + (this.#addend(slots, slot, symbol) + 1) * SLOT_BYTES
    return this.#callOf(symbol.sectionIndex, target, slot)
  }

  #callOf(sectionIndex: number, target: number, slot: number): RelocationSpec | string {
    const callee = this.#functions.startingAt(sectionIndex, target)
    if (callee === undefined)
      return `expected the start of a function, found ${this.#place(sectionIndex, target)}`
    return { kind: 'call', instruction: slot, callee: callee.index, name: callee.name }
  }

  load(
    one: FunctionDraft,
    slots: Slots,
    slot: number,
    symbol: ElfSymbol | undefined,
  ): RelocationSpec | string | undefined {
    const immediate = slots.immediate(slot)
    if (symbol === undefined) {
      if (slots.source(slot) !== BPF_PSEUDO_FUNC) return undefined
      const target = one.sectionOffset + (slot + 1 + immediate) * SLOT_BYTES
      return this.#addressOf(one.sectionIndex, target, slot)
    }
    const { sectionIndex } = symbol
    const name = this.#file.symbolName(symbol)
    if (sectionIndex === SHN.UNDEF) {
      if (!this.#externs.byName.has(name)) return `expected a known symbol, found undefined '${name}'`
      return { kind: 'extern', instruction: slot, name }
    }
    if (sectionIndex === SHN.COMMON) {
      return `expected a variable in a section, found '${name}' without one; give it an initial value or compile with -fno-common`
    }
    const section = this.#file.elf.sections[sectionIndex]
    if (section === undefined)
      return `expected a symbol in a section, found '${name}' in section ${sectionIndex}`
    const target = Number(symbol.value) + this.#addend(slots, slot, symbol)
    if (isCode(section)) return this.#addressOf(sectionIndex, target, slot)
    if (this.#mapSections.has(sectionIndex)) {
      // A map with a name is meant as a whole, whatever the instruction holds.
      const place = symbol.type === STT.SECTION ? target : Number(symbol.value)
      const map = this.#declaredMaps.get(`${sectionIndex}+${place}`)
      if (map === undefined) return `expected the start of a map, found ${this.#place(sectionIndex, place)}`
      return { kind: 'map', instruction: slot, map }
    }
    const map = this.#dataMaps.get(sectionIndex)
    if (map === undefined)
      return `expected a map, data or a function, found '${name}' in section '${section.name}'`
    return { kind: 'mapValue', instruction: slot, map, offset: target >>> 0 }
  }

  /** What the instruction adds to the symbol. */
  #addend(slots: Slots, slot: number, symbol: ElfSymbol): number {
    const immediate = slots.immediate(slot)
    const isCounted = this.#hasGnuAddends && symbol.type !== STT.SECTION
    return isCounted ? immediate - Number(symbol.value) : immediate
  }

  #addressOf(sectionIndex: number, target: number, slot: number): RelocationSpec | string {
    const callee = this.#functions.startingAt(sectionIndex, target)
    if (callee === undefined)
      return `expected the start of a function, found ${this.#place(sectionIndex, target)}`
    return { kind: 'functionAddress', instruction: slot, callee: callee.index, name: callee.name }
  }

  #place(sectionIndex: number, offset: number): string {
    const section = this.#file.elf.sections[sectionIndex]
    return `offset ${offset} of section '${section?.name ?? sectionIndex}'`
  }
}
