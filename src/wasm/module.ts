/**
 * A module under construction.
 *
 * Imports come first, since they take the lowest indexes: importing a function after the first own one is
 * declared throws. A function is declared (which gives it an index, so that others can call it) and gets its
 * body at any time before `encode`. Functions without a body throw there.
 *
 * Source: WebAssembly Core Specification 2.0, 5.5 (Modules) and appendix A.4 (name section).
 */
import type { Code, MarkPlace, Node, ResultType, ValueType } from './code.ts'
import { encodeBody, valueTypeCode } from './code.ts'
import { signedLeb128, signedLeb128Big, unsignedLeb128 } from './leb128.ts'

/** A parameter or local variable of a function. */
export interface Local<T extends ValueType> {
  readonly index: number
  readonly get: Code<T>
  set(value: Code<T>): Code
  /** Sets, and leaves the value. */
  tee(value: Code<T>): Code<T>
}

export interface Global<T extends ValueType> {
  readonly index: number
  readonly get: Code<T>
  set(value: Code<T>): Code
}

export interface FunctionType {
  readonly parameters: readonly ValueType[]
  readonly result: ResultType
}

type Arguments<P extends readonly ValueType[]> = { readonly [K in keyof P]: Code<P[K]> }
type Parameters<P extends readonly ValueType[]> = { readonly [K in keyof P]: Local<P[K]> }

/** A function of the module, imported or its own. */
export interface FunctionRef<P extends readonly ValueType[], R extends ResultType> {
  readonly index: number
  readonly name: string
  readonly type: { readonly parameters: P; readonly result: R }
  call(...operands: Arguments<P>): Code<R>
  /** A call in tail position (tail-call proposal): the caller's frame is gone first. */
  returnCall(...operands: Arguments<P>): Code<never>
}

export interface OwnFunction<P extends readonly ValueType[], R extends ResultType> extends FunctionRef<P, R> {
  readonly parameters: Parameters<P>
  local<T extends ValueType>(type: T): Local<T>
  /** Gives the function its code, which leaves the result. */
  body(code: Code<NoInfer<R>>): void
}

interface FunctionRecord {
  readonly name: string
  readonly typeIndex: number
  readonly parameterCount: number
  readonly locals: ValueType[]
  body: Node | undefined
}

export interface TableRef {
  readonly index: number
  /** Calls `table[element]`, which must have the given type. */
  callIndirect<P extends readonly ValueType[], R extends ResultType>(
    type: { readonly parameters: P; readonly result: R },
    element: Code<'i32'>,
    ...operands: Arguments<P>
  ): Code<R>
  returnCallIndirect<P extends readonly ValueType[], R extends ResultType>(
    type: { readonly parameters: P; readonly result: R },
    element: Code<'i32'>,
    ...operands: Arguments<P>
  ): Code<never>
}

export interface MemoryLimits {
  /** In pages of 65,536 bytes. */
  readonly minimum: number
  readonly maximum?: number
  /** For threads: needs a maximum. */
  readonly shared?: boolean
}

const exportKind = { function: 0x00, table: 0x01, memory: 0x02, global: 0x03 } as const

/** Builds one module; `encode` gives its bytes. */
export class ModuleBuilder {
  readonly #types = new Map<string, { index: number; bytes: number[] }>()
  readonly #imports: number[][] = []
  readonly #functions: FunctionRecord[] = []
  readonly #functionNames: string[] = []
  readonly #tables: number[][] = []
  readonly #memories: number[][] = []
  readonly #globals: number[][] = []
  readonly #exports: number[][] = []
  readonly #elements: number[][] = []
  readonly #data: number[][] = []
  readonly #moduleName: string | undefined
  #start: number | undefined
  #importedFunctions = 0
  #importedTables = 0
  #importedGlobals = 0

  constructor(name?: string) {
    this.#moduleName = name
  }

  importFunction<const P extends readonly ValueType[], R extends ResultType>(
    module: string,
    name: string,
    parameters: P,
    result: R,
  ): FunctionRef<P, R> {
    if (this.#functions.length > 0) throw new Error(`import ${module}.${name} after the first own function`)
    const type = this.#typeIndex({ parameters, result })
    this.#imports.push([...utf8Vector(module), ...utf8Vector(name), 0x00, ...unsignedLeb128(type)])
    this.#functionNames.push(name)
    return reference(this.#importedFunctions++, name, parameters, result)
  }

  importMemory(module: string, name: string, limits: MemoryLimits): void {
    this.#imports.push([...utf8Vector(module), ...utf8Vector(name), 0x02, ...encodeLimits(limits)])
  }

  importTable(module: string, name: string, minimum: number, maximum?: number): TableRef {
    if (this.#tables.length > 0) throw new Error(`import ${module}.${name} after the first own table`)
    const limits = encodeLimits(maximum === undefined ? { minimum } : { minimum, maximum })
    this.#imports.push([...utf8Vector(module), ...utf8Vector(name), 0x01, 0x70, ...limits])
    return this.#table(this.#importedTables++)
  }

  importGlobal<T extends ValueType>(module: string, name: string, type: T, mutable = false): Global<T> {
    if (this.#globals.length > 0) throw new Error(`import ${module}.${name} after the first own global`)
    this.#imports.push([
      ...utf8Vector(module),
      ...utf8Vector(name),
      0x03,
      valueTypeCode[type],
      mutable ? 1 : 0,
    ])
    return variable<T>(0x23, this.#importedGlobals++)
  }

  function<const P extends readonly ValueType[], R extends ResultType>(
    name: string,
    parameters: P,
    result: R,
  ): OwnFunction<P, R> {
    const record: FunctionRecord = {
      name,
      typeIndex: this.#typeIndex({ parameters, result }),
      parameterCount: parameters.length,
      locals: [],
      body: undefined,
    }
    const index = this.#importedFunctions + this.#functions.length
    this.#functions.push(record)
    this.#functionNames.push(name)
    return {
      ...reference(index, name, parameters, result),
      parameters: parameters.map((_, i) => variable(0x20, i)) as unknown as Parameters<P>,
      local: <T extends ValueType>(type: T) =>
        variable<T>(0x20, record.parameterCount + record.locals.push(type) - 1),
      body: (code) => {
        if (record.body !== undefined) throw new Error(`function ${name} already has a body`)
        record.body = code
      },
    }
  }

  memory(limits: MemoryLimits): void {
    this.#memories.push(encodeLimits(limits))
  }

  /** A table of functions. */
  table(minimum: number, maximum?: number): TableRef {
    this.#tables.push([0x70, ...encodeLimits(maximum === undefined ? { minimum } : { minimum, maximum })])
    return this.#table(this.#importedTables + this.#tables.length - 1)
  }

  global<T extends 'i32' | 'i64'>(type: T, initial: bigint, mutable = true): Global<T> {
    const value =
      type === 'i32'
        ? [0x41, ...signedLeb128(Number(BigInt.asIntN(32, initial)))]
        : [0x42, ...signedLeb128Big(initial)]
    this.#globals.push([valueTypeCode[type], mutable ? 1 : 0, ...value, 0x0b])
    return variable<T>(0x23, this.#importedGlobals + this.#globals.length - 1)
  }

  export(name: string, what: { readonly index: number }, kind: keyof typeof exportKind = 'function'): void {
    this.#exports.push([...utf8Vector(name), exportKind[kind], ...unsignedLeb128(what.index)])
  }

  exportMemory(name: string): void {
    this.export(name, { index: 0 }, 'memory')
  }

  /** An active element segment: functions into a table from `offset` on. */
  elements(table: TableRef, offset: number, functions: readonly { readonly index: number }[]): void {
    this.#elements.push([
      0x02,
      ...unsignedLeb128(table.index),
      0x41,
      ...signedLeb128(offset),
      0x0b,
      0x00,
      ...vector(functions.map(({ index }) => unsignedLeb128(index))),
    ])
  }

  /** An active data segment of memory 0. */
  data(offset: number, bytes: Uint8Array): void {
    this.#data.push([0x00, 0x41, ...signedLeb128(offset), 0x0b, ...unsignedLeb128(bytes.length), ...bytes])
  }

  start(what: { readonly index: number }): void {
    this.#start = what.index
  }

  /**
   * The module's bytes, which `WebAssembly.Module` takes. The places of marks go to `marks`, by the name of their
   * function, as offsets from the start of its entry in the code section (the declarations of locals).
   */
  encode(marks?: Map<string, MarkPlace[]>): Uint8Array<ArrayBuffer> {
    const out: Bytes[] = [[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]]
    const append = (id: number, content: readonly Bytes[]) => {
      out.push(unsignedLeb128(lengthOf(content), [id]), ...content)
    }
    const section = (id: number, rows: readonly Bytes[]) => {
      if (rows.length > 0) append(id, [unsignedLeb128(rows.length), ...rows])
    }
    section(
      1,
      [...this.#types.values()].map(({ bytes }) => bytes),
    )
    section(2, this.#imports)
    section(
      3,
      this.#functions.map(({ typeIndex }) => unsignedLeb128(typeIndex)),
    )
    section(4, this.#tables)
    section(5, this.#memories)
    section(6, this.#globals)
    section(7, this.#exports)
    if (this.#start !== undefined) append(8, [unsignedLeb128(this.#start)])
    section(9, this.#elements)
    section(
      10,
      this.#functions.map((one) => encodeFunction(one, marks)),
    )
    section(11, this.#data)
    append(0, [this.#nameSection()])
    const bytes = new Uint8Array(lengthOf(out))
    let at = 0
    for (const piece of out) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  #typeIndex({ parameters, result }: FunctionType): number {
    const results = result === 'void' ? [] : [valueTypeCode[result]]
    const bytes = [
      0x60,
      ...unsignedLeb128(parameters.length),
      ...parameters.map((type) => valueTypeCode[type]),
      results.length,
      ...results,
    ]
    const key = bytes.join()
    const known = this.#types.get(key)
    if (known !== undefined) return known.index
    this.#types.set(key, { index: this.#types.size, bytes })
    return this.#types.size - 1
  }

  #table(index: number): TableRef {
    const indirect =
      (opcode: number) =>
      (type: FunctionType, element: Code<'i32'>, ...operands: readonly Node[]): Node => [
        ...operands,
        element,
        opcode,
        ...unsignedLeb128(this.#typeIndex(type)),
        ...unsignedLeb128(index),
      ]
    return {
      index,
      callIndirect: indirect(0x11) as TableRef['callIndirect'],
      returnCallIndirect: indirect(0x13) as TableRef['returnCallIndirect'],
    }
  }

  #nameSection(): number[] {
    const out = utf8Vector('name')
    if (this.#moduleName !== undefined) subsection(out, 0, utf8Vector(this.#moduleName))
    const names = this.#functionNames.map((name, i) => [...unsignedLeb128(i), ...utf8Vector(name)])
    subsection(out, 1, vector(names))
    return out
  }
}

function reference<const P extends readonly ValueType[], R extends ResultType>(
  index: number,
  name: string,
  parameters: P,
  result: R,
): FunctionRef<P, R> {
  const operator =
    (opcode: number) =>
    (...operands: readonly Node[]): Node => [operands, unsignedLeb128(index, [opcode])]
  return {
    index,
    name,
    type: { parameters, result },
    call: operator(0x10) as unknown as FunctionRef<P, R>['call'],
    returnCall: operator(0x12) as unknown as FunctionRef<P, R>['returnCall'],
  }
}

/** `get` is the opcode of reading; setting follows it, then (for locals) tee. */
function variable<T extends ValueType>(get: number, index: number): Local<T> {
  const set = unsignedLeb128(index, [get + 1])
  const tee = unsignedLeb128(index, [get + 2])
  return {
    index,
    get: unsignedLeb128(index, [get]) as Node as Code<T>,
    set: (value) => [value, set] as Node as Code,
    tee: (value) => [value, tee] as Node as Code<T>,
  }
}

function encodeFunction(
  { name, locals, body }: FunctionRecord,
  allMarks: Map<string, MarkPlace[]> | undefined,
): Uint8Array {
  if (body === undefined) throw new Error(`function ${name} has no body`)
  const groups: { type: ValueType; count: number }[] = []
  for (const type of locals) {
    const last = groups.at(-1)
    if (last?.type === type) last.count++
    else groups.push({ type, count: 1 })
  }
  const code = vector(groups.map(({ type, count }) => [...unsignedLeb128(count), valueTypeCode[type]]))
  const marks: MarkPlace[] | undefined = allMarks === undefined ? undefined : []
  encodeBody(body, code, marks)
  if (marks !== undefined) allMarks?.set(name, marks)
  code.push(0x0b)
  const out = new Uint8Array(code.length + 5)
  const size = unsignedLeb128(code.length)
  out.set(size)
  out.set(code, size.length)
  return out.subarray(0, size.length + code.length)
}

type Bytes = readonly number[] | Uint8Array

const lengthOf = (pieces: readonly Bytes[]): number => pieces.reduce((sum, { length }) => sum + length, 0)

function encodeLimits({ minimum, maximum, shared }: MemoryLimits): number[] {
  const flags = (maximum === undefined ? 0 : 1) | (shared === true ? 2 : 0)
  return [flags, ...unsignedLeb128(minimum), ...(maximum === undefined ? [] : unsignedLeb128(maximum))]
}

function utf8Vector(text: string): number[] {
  const bytes = new TextEncoder().encode(text)
  return [...unsignedLeb128(bytes.length), ...bytes]
}

function vector(rows: readonly (readonly number[])[]): number[] {
  const out = unsignedLeb128(rows.length)
  for (const row of rows) for (const byte of row) out.push(byte)
  return out
}

function subsection(out: number[], id: number, content: readonly number[]): void {
  out.push(id, ...unsignedLeb128(content.length))
  for (const byte of content) out.push(byte)
}
