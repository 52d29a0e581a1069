/**
 * Code as data: a tree of bytes, structured blocks and branches to labels.
 *
 * An instruction is a function that takes the code of its operands and returns the code of the whole, so an
 * expression reads as in the folded text format: `i64.add(x.get, i64.const(1n))`. The value type that a piece
 * of code leaves on the stack is part of its TypeScript type, so operands of the wrong type do not compile.
 * A branch names the label object of its block; `encodeBody` turns it into a relative depth.
 *
 * A piece of code is immutable and may stand in several places, except that a label can be open only once on
 * the way from the function to a branch.
 *
 * Source: WebAssembly Core Specification 2.0, 5.4 (Instructions).
 */
import { unsignedLeb128 } from './leb128.ts'

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'

/** What a piece of code leaves on the stack; `void` nothing, `never` code that does not fall through. */
export type ResultType = ValueType | 'void'

export const valueTypeCode: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
}

declare const leaves: unique symbol

/** Code that leaves a value of type `T` on the stack (`void`: nothing). */
export type Code<T extends ResultType = 'void'> = Node & { readonly [leaves]?: T }

/** The untyped tree beneath `Code`. Made by the functions of this folder only. */
export type Node = readonly (number | Node)[] | Structured | Branch | Marked

interface Structured {
  readonly kind: 'structured'
  readonly opcode: number
  readonly label: Label | undefined
  readonly result: ResultType
  readonly body: Node
  readonly otherwise: Node | undefined
}

interface Branch {
  readonly kind: 'branch'
  readonly opcode: number
  readonly operands: Node
  /** The last one is the default of a `br_table`. */
  readonly targets: readonly Label[]
}

interface Marked {
  readonly kind: 'marked'
  readonly mark: number
  readonly body: Node
}

/** Where, in bytes, the code of a mark begins; it goes on to the next one. */
export interface MarkPlace {
  readonly offset: number
  /** -1 where code without a mark goes on. */
  readonly mark: number
}

/** Code that says what it is for, by a number of the caller's; the bytes are the same. */
export function marked<C extends Code<ResultType>>(mark: number, body: C): C {
  return { kind: 'marked', mark, body } as Node as C
}

/** The target of branches: the end of a block or an `if`, the start of a loop. */
export interface Label {
  /** For error messages only. */
  readonly name: string
}

/** A place to branch to; the name is for error messages. */
export function label(name = 'label'): Label {
  return { name }
}

/** Pieces of code one after the other. */
export function seq(...code: readonly Code<ResultType>[]): Code<'void'> {
  return code as Node as Code<'void'>
}

/** Statements, then an expression whose value is left. */
export function seqThen<T extends ResultType>(statements: readonly Code<'void'>[], value: Code<T>): Code<T> {
  return [...statements, value] as Node as Code<T>
}

/** A block; a branch to `at` goes to its end. */
export function block<T extends ResultType = 'void'>(at: Label, body: Code<NoInfer<T>>, result?: T): Code<T> {
  return structured(0x02, at, result ?? 'void', body) as Code<T>
}

/** A loop; a branch to `at` goes to its start, falling off its end leaves it. */
export function loop<T extends ResultType = 'void'>(at: Label, body: Code<NoInfer<T>>, result?: T): Code<T> {
  return structured(0x03, at, result ?? 'void', body) as Code<T>
}

/** `if` without a value. A branch to `at` goes to its end. */
export function when(condition: Code<'i32'>, then: Code, otherwise?: Code, at?: Label): Code {
  return [condition, structured(0x04, at, 'void', then, otherwise)] as Node as Code
}

/** `if` with a value on both ways; only the chosen way is evaluated (compare `select`). */
export function choose<T extends ValueType>(
  type: T,
  condition: Code<'i32'>,
  then: Code<NoInfer<T>>,
  otherwise: Code<NoInfer<T>>,
): Code<T> {
  return [condition, structured(0x04, undefined, type, then, otherwise)] as Node as Code<T>
}

/** Goes to `to`. Typed as any result, since it does not fall through. */
export function br<T extends ResultType = 'void'>(to: Label): Code<T> {
  return { kind: 'branch', opcode: 0x0c, operands: [], targets: [to] } as Node as Code<T>
}

/** Goes to `to` if `condition` is not zero. */
export function brIf(to: Label, condition: Code<'i32'>): Code {
  return { kind: 'branch', opcode: 0x0d, operands: condition, targets: [to] } as Node as Code
}

/** Goes to `targets[index]`, or to `otherwise` when the index (unsigned) is beyond them. */
export function brTable(index: Code<'i32'>, targets: readonly Label[], otherwise: Label): Code {
  return { kind: 'branch', opcode: 0x0e, operands: index, targets: [...targets, otherwise] } as Node as Code
}

/** Traps. It stands for a value of any type, as none ever comes. */
export function unreachable<T extends ResultType = 'void'>(): Code<T> {
  return [0x00] as Node as Code<T>
}

/** Does nothing. */
export function nop(): Code {
  return [0x01] as Node as Code
}

/** Returns from the function, with its result where it has one. */
export function ret<T extends ResultType = 'void'>(value?: Code<ValueType>): Code<T> {
  return [value ?? [], 0x0f] as Node as Code<T>
}

/** Computes a value and throws it away. */
export function drop(value: Code<ValueType>): Code {
  return [value, 0x1a] as Node as Code
}

/** `condition ? a : b`, with both evaluated first. */
export function select<T extends 'i32' | 'i64' | 'f32' | 'f64'>(
  condition: Code<'i32'>,
  a: Code<T>,
  b: Code<NoInfer<T>>,
): Code<T> {
  return [a, b, condition, 0x1b] as Node as Code<T>
}

function structured(
  opcode: number,
  at: Label | undefined,
  result: ResultType,
  body: Node,
  otherwise?: Node,
): Structured {
  return { kind: 'structured', opcode, label: at, result, body, otherwise }
}

/**
 * The bytes of a function's code, without the local declarations and the final `end`, appended to `out`.
 * Throws where a branch names a label that is not open. Places of marks, as offsets in `out`, go to `marks`.
 */
export function encodeBody(code: Node, out: number[], marks?: MarkPlace[]): void {
  encode(code, out, { open: [], marks, mark: -1 })
}

interface Encoding {
  /** The labels of the blocks around, outermost first. */
  readonly open: (Label | undefined)[]
  readonly marks: MarkPlace[] | undefined
  mark: number
}

function encode(code: Node, out: number[], state: Encoding): void {
  if (!isSequence(code)) {
    if (code.kind === 'branch') encodeBranch(code, out, state)
    else if (code.kind === 'marked') encodeMarked(code, out, state)
    else encodeStructured(code, out, state)
    return
  }
  // By index: every node of a module comes here.
  for (let n = 0; n < code.length; n++) {
    const item = code[n] as number | Node
    if (typeof item === 'number') out.push(item)
    else encode(item, out, state)
  }
}

const isSequence = (code: Node): code is readonly (number | Node)[] => Array.isArray(code)

function encodeMarked({ mark, body }: Marked, out: number[], state: Encoding): void {
  const outer = state.mark
  state.mark = mark
  state.marks?.push({ offset: out.length, mark })
  encode(body, out, state)
  state.mark = outer
  state.marks?.push({ offset: out.length, mark: outer })
}

function encodeStructured(code: Structured, out: number[], state: Encoding): void {
  const { open } = state
  if (code.label !== undefined && open.includes(code.label)) {
    throw new Error(`label ${code.label.name} is already open`)
  }
  out.push(code.opcode, code.result === 'void' ? 0x40 : valueTypeCode[code.result])
  open.push(code.label)
  encode(code.body, out, state)
  if (code.otherwise !== undefined) {
    out.push(0x05)
    encode(code.otherwise, out, state)
  }
  open.pop()
  out.push(0x0b)
}

function encodeBranch(code: Branch, out: number[], state: Encoding): void {
  const { open } = state
  encode(code.operands, out, state)
  out.push(code.opcode)
  if (code.opcode === 0x0e) unsignedLeb128(code.targets.length - 1, out)
  for (const target of code.targets) {
    const position = open.lastIndexOf(target)
    if (position < 0) throw new Error(`branch to ${target.name}, which is not open here`)
    unsignedLeb128(open.length - 1 - position, out)
  }
}
