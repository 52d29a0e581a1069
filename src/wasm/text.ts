/**
 * A module's functions as text, instruction by instruction, with the offset of each: for people, not for assemblers.
 *
 * Knows what this folder's encoder writes: integers, locals, globals, memory 0, one table, structured control flow.
 *
 * Source: WebAssembly Core Specification 2.0, 5.4 (Instructions) and 6.5 (Text Format of Instructions).
 */

export interface InstructionText {
  /** From the start of the function's entry in the code section, as `MarkPlace.offset` is. */
  readonly offset: number
  /** Blocks around it. */
  readonly depth: number
  readonly text: string
}

export interface FunctionText {
  readonly name: string
  /** `(param i64 i32) (result i64)`. */
  readonly type: string
  readonly instructions: readonly InstructionText[]
}

const plain: Readonly<Record<number, string>> = {
  0: 'unreachable',
  1: 'nop',
  5: 'else',
  11: 'end',
  15: 'return',
  26: 'drop',
  27: 'select',
}

const integerTests = 'eqz eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u'.split(' ')
const integerOps =
  'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr'.split(' ')
const memoryOps: Readonly<Record<number, string>> = {
  40: 'i32.load',
  41: 'i64.load',
  44: 'i32.load8_s',
  45: 'i32.load8_u',
  46: 'i32.load16_s',
  47: 'i32.load16_u',
  48: 'i64.load8_s',
  49: 'i64.load8_u',
  50: 'i64.load16_s',
  51: 'i64.load16_u',
  52: 'i64.load32_s',
  53: 'i64.load32_u',
  54: 'i32.store',
  55: 'i64.store',
  58: 'i32.store8',
  59: 'i32.store16',
  60: 'i64.store8',
  61: 'i64.store16',
  62: 'i64.store32',
}
const conversions: Readonly<Record<number, string>> = {
  167: 'i32.wrap_i64',
  172: 'i64.extend_i32_s',
  173: 'i64.extend_i32_u',
  192: 'i32.extend8_s',
  193: 'i32.extend16_s',
  194: 'i64.extend8_s',
  195: 'i64.extend16_s',
  196: 'i64.extend32_s',
}
const valueTypes: Readonly<Record<number, string>> = { 127: 'i32', 126: 'i64', 125: 'f32', 124: 'f64' }
const blockOpeners: Readonly<Record<number, string>> = { 2: 'block', 3: 'loop', 4: 'if' }
const variables: Readonly<Record<number, string>> = {
  32: 'local.get',
  33: 'local.set',
  34: 'local.tee',
  35: 'global.get',
  36: 'global.set',
}

class Reader {
  readonly #bytes: Uint8Array
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.at = at
    this.end = end
  }

  byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new Error(`the module ends at ${this.at - 1}`)
    return byte
  }

  unsigned(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  signed(): bigint {
    let value = 0n
    for (let shift = 0n; ; ) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      shift += 7n
      if (byte < 0x80) return BigInt.asIntN(Number(shift), value)
    }
  }

  name(): string {
    const length = this.unsigned()
    const text = new TextDecoder().decode(this.#bytes.subarray(this.at, this.at + length))
    this.at += length
    return text
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.unsigned() }, read)
  }
}

/** The functions of a module of `ModuleBuilder`'s, imported ones left out. */
export function functionTexts(module: Uint8Array): FunctionText[] {
  const reader = new Reader(module, 8)
  let types: string[] = []
  let own: number[] = []
  let bodies: { readonly at: number; readonly end: number }[] = []
  let imported = 0
  const names = new Map<number, string>()
  while (reader.at < reader.end) {
    const id = reader.byte()
    const length = reader.unsigned()
    const end = reader.at + length
    if (id === 1) types = reader.list(() => functionType(reader))
    else if (id === 2) imported = reader.list(() => importedKind(reader)).filter((kind) => kind === 0).length
    else if (id === 3) own = reader.list(() => reader.unsigned())
    else if (id === 10) {
      bodies = reader.list(() => {
        const size = reader.unsigned()
        const at = reader.at
        reader.at += size
        return { at, end: at + size }
      })
    } else if (id === 0 && reader.name() === 'name') {
      while (reader.at < end) {
        const what = reader.byte()
        const after = reader.unsigned() + reader.at
        if (what === 1) reader.list(() => names.set(reader.unsigned(), reader.name()))
        reader.at = after
      }
    }
    reader.at = end
  }
  const nameOf = (index: number) => `$${(names.get(index) ?? `${index}`).replaceAll(' ', '_')}`
  return bodies.map(({ at, end }, n) => ({
    name: names.get(imported + n) ?? `${imported + n}`,
    type: types[own[n] as number] ?? '',
    instructions: instructions(new Reader(module, at, end), nameOf),
  }))
}

function functionType(reader: Reader): string {
  reader.byte()
  const words = () => reader.list(() => valueTypes[reader.byte()] ?? '?').join(' ')
  const [parameters, results] = [words(), words()]
  return [parameters && `(param ${parameters})`, results && `(result ${results})`].filter(Boolean).join(' ')
}

function importedKind(reader: Reader): number {
  reader.name()
  reader.name()
  const kind = reader.byte()
  if (kind === 0) reader.unsigned()
  else if (kind === 3) reader.at += 2
  else {
    if (kind === 1) reader.byte()
    const hasMaximum = (reader.byte() & 1) !== 0
    reader.unsigned()
    if (hasMaximum) reader.unsigned()
  }
  return kind
}

function instructions(reader: Reader, nameOf: (index: number) => string): InstructionText[] {
  const start = reader.at
  reader.list(() => [reader.unsigned(), reader.byte()])
  const out: InstructionText[] = []
  let depth = 0
  while (reader.at < reader.end) {
    const offset = reader.at - start
    const opcode = reader.byte()
    if (opcode === 0x0b || opcode === 0x05) depth--
    // The function's own end.
    if (depth < 0) break
    out.push({ offset, depth, text: instruction(reader, opcode, nameOf) })
    if (opcode === 0x05 || blockOpeners[opcode] !== undefined) depth++
  }
  return out
}

function instruction(reader: Reader, opcode: number, nameOf: (index: number) => string): string {
  const simple = plain[opcode] ?? conversions[opcode] ?? integerInstruction(opcode)
  if (simple !== undefined) return simple
  const opener = blockOpeners[opcode]
  if (opener !== undefined) {
    const result = valueTypes[reader.byte()]
    return result === undefined ? opener : `${opener} (result ${result})`
  }
  const variable = variables[opcode]
  if (variable !== undefined) return `${variable} ${reader.unsigned()}`
  const access = memoryOps[opcode]
  if (access !== undefined) {
    reader.unsigned()
    const offset = reader.unsigned()
    return offset === 0 ? access : `${access} offset=${offset}`
  }
  switch (opcode) {
    case 0x0c:
      return `br ${reader.unsigned()}`
    case 0x0d:
      return `br_if ${reader.unsigned()}`
    case 0x0e:
      return `br_table ${[...reader.list(() => reader.unsigned()), reader.unsigned()].join(' ')}`
    case 0x10:
      return `call ${nameOf(reader.unsigned())}`
    case 0x11:
      return `call_indirect ${reader.unsigned()} ${reader.unsigned()}`
    case 0x3f:
      reader.byte()
      return 'memory.size'
    case 0x40:
      reader.byte()
      return 'memory.grow'
    case 0x41:
      return `i32.const ${reader.signed()}`
    case 0x42:
      return `i64.const ${reader.signed()}`
    case 0xfc: {
      const isCopy = reader.unsigned() === 10
      reader.at += isCopy ? 2 : 1
      return isCopy ? 'memory.copy' : 'memory.fill'
    }
    default:
      throw new Error(`opcode 0x${opcode.toString(16)} at ${reader.at - 1} is not one of this encoder's`)
  }
}

function integerInstruction(opcode: number): string | undefined {
  const groups = [
    [0x45, 'i32', integerTests],
    [0x50, 'i64', integerTests],
    [0x67, 'i32', integerOps],
    [0x79, 'i64', integerOps],
  ] as const
  for (const [first, type, names] of groups) {
    const name = opcode >= first ? names[opcode - first] : undefined
    if (name !== undefined) return `${type}.${name}`
  }
  return undefined
}
