/**
 * Types as a C header that a compiler takes, in the words of `bpftool btf dump file FILE format c`.
 *
 * Rules: what is used complete is defined before; what is used behind a pointer is declared before, where it is not
 * defined yet; nameless types are written where they are used. A second type of one name gets `___2` behind it, a
 * third `___3`: the flavours that CO-RE sees through. Structs, unions and enums have one space of names, typedefs and
 * constants of enums another.
 */
import type { Btf } from '../btf.ts'
import { BtfError } from '../error.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfComposite, BtfEnum, BtfForward, BtfId, BtfModifier, BtfType } from '../types.ts'
import { DefinitionOrder } from './order.ts'
import { type Hole, paddingOf } from './padding.ts'

/** Deepest nesting of nameless types and declarators; real ones have some ten. */
const MAX_DEPTH = 500

/** Work that a type may take on average; Linux's take some three steps. */
const STEPS_PER_TYPE = 100
const LEAST_STEPS = 1_000_000

/** Types that compilers have built in, so that a definition of them would not compile. */
const BUILT_IN = '__builtin_va_list'

/** GCC's names for vectors of polynomials, which other compilers do not know. */
const POLYNOMIALS: Readonly<Record<string, string>> = {
  __Poly8_t: 'unsigned char',
  __Poly16_t: 'unsigned short',
  __Poly64_t: 'unsigned long long',
  __Poly128_t: 'unsigned __int128',
}

/** All types as a header, in pieces that follow one another, or what of them C cannot say. */
export function dumpC(btf: Btf): readonly string[] | BtfError {
  const dump = new CDump(btf)
  const order = new DefinitionOrder(btf)
  for (const id of btf.ids()) {
    const definitions = order.definitionsFor(id)
    if (!('length' in definitions)) return failure(btf, definitions.id, definitions.reason)
    const failed = dump.define(definitions)
    if (failed !== undefined) return failure(btf, id, failed)
  }
  return [HEADER, ...dump.pieces, FOOTER]
}

const failure = (btf: Btf, id: BtfId, reason: string): BtfError => {
  const [expected, found = ''] = reason.replace(/^expected /, '').split(', found ')
  const place = { section: '.BTF', offset: btf.offsetInSection(id) ?? 0, typeId: id }
  return new BtfError('not-c', place, expected as string, found)
}

const HEADER = `#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

`

const FOOTER = `#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
`

const EMITTING = 1
const EMITTED = 2

/** A hostile type that C cannot say: found deep inside, reported at the top. */
class TooMuch extends Error {}

class CDump {
  readonly pieces: string[] = []
  readonly #btf: Btf
  readonly #states: Uint8Array
  readonly #isDeclared: Uint8Array
  readonly #names = new Map<BtfId, string>()
  /** How often each name was given out: of structs, unions and enums; of typedefs and constants. */
  readonly #tags = new Map<string, number>()
  readonly #identifiers = new Map<string, number>()
  #stepsLeft: number

  constructor(btf: Btf) {
    this.#btf = btf
    this.#states = new Uint8Array(btf.typeCount)
    this.#states[0] = EMITTED
    this.#isDeclared = new Uint8Array(btf.typeCount)
    this.#stepsLeft = LEAST_STEPS + STEPS_PER_TYPE * btf.typeCount
  }

  /** Defines the types, which are in order; returns why it cannot. */
  define(definitions: readonly BtfId[]): string | undefined {
    try {
      for (const id of definitions) this.#emit(id, 0 as BtfId, 0)
      return undefined
    } catch (error) {
      if (error instanceof TooMuch) return error.message
      throw error
    }
  }

  #write(text: string): void {
    this.pieces.push(text)
  }

  #step(depth: number): void {
    if (depth > MAX_DEPTH) throw new TooMuch('expected types that C can name, found them nested too deep')
    if (this.#stepsLeft-- <= 0) {
      throw new TooMuch('expected types that fit a header, found nameless ones that repeat without end')
    }
  }

  /**
   * Writes what must stand before a use of the type: its definition where `container` is void, which is the top
   * level, else declarations, as the type is used inside `container`.
   */
  #emit(id: BtfId, container: BtfId, depth: number): void {
    this.#step(depth)
    if (this.#states[id] === EMITTED) return
    const type = this.#btf.typeById(id)
    if (this.#states[id] === EMITTING) {
      this.#emitAgain(type, container)
      return
    }
    const isTopLevel = container === 0
    switch (type.kind) {
      case BTF_KIND.INT: {
        const alias = POLYNOMIALS[this.#tagName(type)]
        if (alias !== undefined) this.#write(`typedef ${alias} ${type.name};\n\n`)
        this.#states[id] = EMITTED
        return
      }
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        if (isTopLevel) this.#write(`${this.#enumDefinition(type, 0)};\n\n`)
        this.#states[id] = EMITTED
        return
      case BTF_KIND.FWD:
        this.#write(`${this.#forward(type)};\n\n`)
        this.#states[id] = EMITTED
        return
      case BTF_KIND.PTR:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
        this.#emit(type.type, container, depth + 1)
        return
      case BTF_KIND.ARRAY:
        this.#emit(type.element, container, depth + 1)
        return
      case BTF_KIND.TYPEDEF:
        this.#states[id] = EMITTING
        this.#emit(type.type, id, depth + 1)
        // Something inside may have needed the typedef already.
        if (this.#isDeclared[id] === 0) this.#writeTypedef(type)
        this.#states[id] = EMITTED
        return
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        this.#emitComposite(type, container, depth)
        return
      case BTF_KIND.FUNC_PROTO:
        this.#emit(type.returns, container, depth + 1)
        for (const parameter of type.parameters) this.#emit(parameter.type, container, depth + 1)
        return
      default:
    }
  }

  #emitComposite(type: BtfComposite, container: BtfId, depth: number): void {
    const { id } = type
    const isTopLevel = container === 0
    this.#states[id] = EMITTING
    if (isTopLevel || type.name === '') {
      const inside = type.name === '' ? container : id
      for (const member of type.members) this.#emit(member.type, inside, depth + 1)
    } else if (this.#isDeclared[id] === 0 && id !== container) {
      this.#write(`${this.#tag(type)};\n\n`)
      this.#isDeclared[id] = 1
    }
    if (isTopLevel) this.#write(`${this.#compositeDefinition(type, 0, 0)};\n\n`)
    this.#states[id] = isTopLevel ? EMITTED : 0
  }

  /** The type is met while it is being written: a declaration must do. */
  #emitAgain(type: BtfType, container: BtfId): void {
    const { id } = type
    if (this.#isDeclared[id] !== 0) return
    if (type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION) {
      if (id === container || type.name === '') return
      this.#write(`${this.#tag(type)};\n\n`)
    } else if (type.kind === BTF_KIND.TYPEDEF) {
      this.#writeTypedef(type)
    }
    this.#isDeclared[id] = 1
  }

  #writeTypedef(type: BtfModifier): void {
    if (type.name === BUILT_IN) return
    const name = this.#identifier(type)
    // Old GCCs say that this is void.
    const isList = type.type === 0 && name === '__gnuc_va_list'
    this.#write(
      isList ? `typedef ${BUILT_IN} ${name};\n\n` : `typedef ${this.#declare(type.type, name, 0, 0)};\n\n`,
    )
  }

  /** `struct name`. */
  #tag(type: BtfComposite): string {
    const word = type.kind === BTF_KIND.STRUCT ? 'struct' : 'union'
    return type.name === '' ? word : `${word} ${this.#tagName(type)}`
  }

  #forward(type: BtfForward): string {
    return `${type.isUnion ? 'union' : 'struct'} ${this.#tagName(type)}`
  }

  #compositeDefinition(type: BtfComposite, level: number, depth: number): string {
    this.#step(depth)
    const btf = this.#btf
    const isStruct = type.kind === BTF_KIND.STRUCT
    const isPacked = isStruct && this.#isPacked(type)
    const indent = '\t'.repeat(level + 1)
    let text = `${this.#tag(type)} {`
    let at = 0
    let isAfterBitField = false
    for (const member of type.members) {
      const nextAlign = isPacked ? 1 : btf.alignOf(member.type) || 1
      const isInBitField = isAfterBitField && member.bitSize > 0
      text += this.#padding({ from: at, to: member.bitOffset, nextAlign, isInBitField }, indent)
      text += `\n${indent}${this.#declare(member.type, member.name, level + 1, depth + 1)}`
      if (member.bitSize > 0) text += `: ${member.bitSize}`
      text += ';'
      at = member.bitOffset + (member.bitSize || (btf.sizeOf(member.type) ?? 0) * 8)
      isAfterBitField = member.bitSize > 0
    }
    // What fills a union at its end cannot be said by members; bpftool leaves it out, too.
    if (isStruct) {
      const nextAlign = btf.alignOf(type.id) || 1
      text += this.#padding({ from: at, to: type.size * 8, nextAlign, isInBitField: false }, indent)
    }
    if (type.members.length > 0 || type.size > 0) text += `\n${'\t'.repeat(level)}`
    return `${text}}${isPacked ? ' __attribute__((packed))' : ''}`
  }

  /** A hole as lines of members. A hostile struct says that there are gigabytes between two members. */
  #padding(hole: Hole, indent: string): string {
    this.#stepsLeft -= Math.max(0, hole.to - hole.from) / 64
    if (this.#stepsLeft <= 0) {
      const bytes = Math.ceil((hole.to - hole.from) / 8)
      throw new TooMuch(`expected holes that a header can be filled up with, found one of ${bytes} bytes`)
    }
    return paddingOf(hole)
      .map((pad) => `\n${indent}${pad};`)
      .join('')
  }

  /** Whether a compiler would lay the struct out otherwise unless told that it is packed. */
  #isPacked(type: BtfComposite): boolean {
    let most = 1
    for (const member of type.members) {
      const align = this.#btf.alignOf(member.type) ?? 0
      if (align > 0 && member.bitSize === 0 && member.bitOffset % (8 * align) !== 0) return true
      most = Math.max(most, align)
    }
    return type.size % most !== 0
  }

  #enumDefinition(type: BtfEnum, level: number): string {
    const head = type.name === '' ? 'enum' : `enum ${this.#tagName(type)}`
    if (type.values.length === 0) return head
    const indent = '\t'.repeat(level + 1)
    const ending = type.kind === BTF_KIND.ENUM ? '' : type.isSigned ? 'LL' : 'ULL'
    const lines = type.values.map(
      ({ name, value }) => `\n${indent}${numbered(this.#identifiers, name)} = ${value}${ending},`,
    )
    return `${head} {${lines.join('')}\n${'\t'.repeat(level)}}${enumMode(type)}`
  }

  /** The declaration of `name` with the type: `int *name[3]`. */
  #declare(id: BtfId, name: string, level: number, depth: number): string {
    this.#step(depth)
    const chain: BtfType[] = []
    for (let at = id; ; ) {
      const type = this.#btf.typeById(at)
      chain.push(type)
      if (chain.length > MAX_DEPTH) throw new TooMuch('expected declarators that end, found too many')
      if (type.kind === BTF_KIND.ARRAY) at = type.element
      else if (type.kind === BTF_KIND.FUNC_PROTO) at = type.returns
      else if (isWrapper(type)) at = type.type
      else break
    }
    return this.#declarator(chain, name, level, depth)
  }

  /**
   * Writes the types of `chain` from its end, which is what the declaration begins with, to its start, which is next
   * to the name. Takes them off the chain.
   */
  #declarator(chain: BtfType[], name: string, level: number, depth: number): string {
    this.#step(depth)
    let text = ''
    // Stars stick to one another and to the name; all else has a space between.
    let isAfterStar = true
    const spaced = (word: string) => (word === '' || isAfterStar ? word : ` ${word}`)
    for (let type = chain.pop(); type !== undefined; type = chain.pop()) {
      switch (type.kind) {
        case BTF_KIND.ARRAY: {
          // A qualifier of an array is one of its elements, where it stands already.
          dropQualifiers(chain)
          const next = chain.at(-1)
          if (next === undefined) return `${text}${spaced(name)}[${type.count}]`
          if (name !== '' && !isAfterStar) text += ' '
          const inner = this.#declarator(chain, name, level, depth + 1)
          return `${text}${next.kind === BTF_KIND.ARRAY ? inner : `(${inner})`}[${type.count}]`
        }
        case BTF_KIND.FUNC_PROTO: {
          // GCC writes `noreturn` as volatile.
          dropQualifiers(chain)
          text += chain.length > 0 ? ` (${this.#declarator(chain, name, level, depth + 1)})` : spaced(name)
          const parameters = type.parameters.map((one) => this.#declare(one.type, one.name, level, depth + 1))
          // One nameless void is how clang says that there are none.
          if (type.isVariadic && parameters.length > 0) parameters.push('...')
          return `${text}(${parameters.join(', ') || 'void'})`
        }
        case BTF_KIND.PTR:
          text += isAfterStar ? '*' : ' *'
          break
        case BTF_KIND.CONST:
        case BTF_KIND.VOLATILE:
        case BTF_KIND.RESTRICT:
          text += ` ${QUALIFIERS[type.kind]}`
          break
        case BTF_KIND.TYPE_TAG: {
          const words = takeQualifiers(chain)
          const attribute = type.isAttribute === true ? type.name : `btf_type_tag("${type.name}")`
          text += `${words} __attribute__((${attribute}))`
          break
        }
        default:
          text += takeQualifiers(chain) + this.#base(type, level, depth)
      }
      isAfterStar = type.kind === BTF_KIND.PTR
    }
    return text + spaced(name)
  }

  /** What a declaration begins with. */
  #base(type: BtfType, level: number, depth: number): string {
    switch (type.kind) {
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        return type.name === '' ? this.#compositeDefinition(type, level, depth + 1) : this.#tag(type)
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        return type.name === '' ? this.#enumDefinition(type, level) : `enum ${this.#tagName(type)}`
      case BTF_KIND.FWD:
        return this.#forward(type)
      case BTF_KIND.TYPEDEF:
        return this.#identifier(type)
      default:
        return type.name
    }
  }

  #tagName(type: BtfType): string {
    return this.#nameOf(type, this.#tags)
  }

  #identifier(type: BtfType): string {
    return this.#nameOf(type, this.#identifiers)
  }

  #nameOf(type: BtfType, names: Map<string, number>): string {
    if (type.name === '') return ''
    let name = this.#names.get(type.id)
    if (name === undefined) {
      // Declarations do not define anything, so they share the name.
      const isDeclaration =
        type.kind === BTF_KIND.FWD || (type.kind === BTF_KIND.ENUM && type.values.length === 0)
      name = isDeclaration ? type.name : numbered(names, type.name)
      this.#names.set(type.id, name)
    }
    return name
  }
}

/** The name, with a number behind it if it was given out before. */
function numbered(names: Map<string, number>, name: string): string {
  const count = (names.get(name) ?? 0) + 1
  names.set(name, count)
  return count === 1 ? name : `${name}___${count}`
}

const isWrapper = (type: BtfType): type is BtfModifier =>
  type.kind === BTF_KIND.PTR ||
  type.kind === BTF_KIND.CONST ||
  type.kind === BTF_KIND.VOLATILE ||
  type.kind === BTF_KIND.RESTRICT ||
  type.kind === BTF_KIND.TYPE_TAG

const QUALIFIERS = {
  [BTF_KIND.CONST]: 'const',
  [BTF_KIND.VOLATILE]: 'volatile',
  [BTF_KIND.RESTRICT]: 'restrict',
} as const

/** Qualifiers of what is written next, which stand before it: `const volatile `. */
function takeQualifiers(chain: BtfType[]): string {
  let words = ''
  for (let next = chain.at(-1); next !== undefined; next = chain.at(-1)) {
    if (next.kind !== BTF_KIND.CONST && next.kind !== BTF_KIND.VOLATILE && next.kind !== BTF_KIND.RESTRICT)
      break
    words += `${QUALIFIERS[next.kind]} `
    chain.pop()
  }
  return words
}

function dropQualifiers(chain: BtfType[]): void {
  for (let next = chain.at(-1); next !== undefined && isWrapper(next); next = chain.at(-1)) {
    if (next.kind === BTF_KIND.PTR) return
    chain.pop()
  }
}

/** Enums that are not as wide as an int need to be told so. */
function enumMode(type: BtfEnum): string {
  if (type.size === 1) return ' __attribute__((mode(byte)))'
  if (type.size !== 8) return ''
  // A value beyond 32 bits makes a compiler widen the enum by itself.
  const isWide = type.values.some(({ value }) => BigInt.asUintN(64, value) >> 32n !== 0n)
  return type.kind === BTF_KIND.ENUM64 && isWide ? '' : ' __attribute__((mode(word)))'
}
