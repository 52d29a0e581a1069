/**
 * Where a USDT's arguments are, from the text that the compiler left: for each `SIZE@OPERAND`, the operand in the
 * assembler's syntax, the size in bytes, negative for a signed one.
 *
 * Of each machine, the forms that can be read from registers and one load of memory; a floating-point size (`8f`), a
 * register of another kind and an address relative to the instruction cannot.
 */
import { EM } from '../../elf/index.ts'
import { type RegisterOffsets, riscv64Registers, x64Registers } from './registers.ts'

/** Where one argument is. Offsets of registers are in the machine's struct pt_regs. */
export type UsdtArgument = UsdtOperand & { readonly sizeBytes: 1 | 2 | 4 | 8; readonly isSigned: boolean }

export type UsdtOperand =
  | { readonly kind: 'constant'; readonly value: bigint }
  | { readonly kind: 'register'; readonly register: number }
  /** What memory at `register + value` holds. */
  | { readonly kind: 'memory'; readonly register: number; readonly value: bigint }
  /** What memory at `register + value + (index << scaleBits)` holds. */
  | {
      readonly kind: 'indexed'
      readonly register: number
      readonly value: bigint
      readonly index: number
      readonly scaleBits: number
    }

interface Machine {
  readonly registers: RegisterOffsets
  /** The forms of operands, in the order of trial. `%` stands before registers where the assembler wants it. */
  readonly constant: RegExp
  readonly register: RegExp
  readonly memory: RegExp
}

const NUMBER = '[+-]?(?:0x[0-9a-fA-F]+|[0-9]+)'

const machines: ReadonlyMap<number, Machine> = new Map([
  [
    EM.X86_64,
    {
      registers: x64Registers,
      constant: new RegExp(`^\\$(${NUMBER})$`),
      register: /^%(\w+)$/,
      memory: new RegExp(`^(${NUMBER})?\\(%(\\w+)(?:,%(\\w+)(?:,([1248]))?)?\\)$`),
    },
  ],
  [
    EM.RISCV,
    {
      registers: riscv64Registers,
      constant: new RegExp(`^(${NUMBER})$`),
      register: /^([a-z]\w*)$/,
      memory: new RegExp(`^(${NUMBER})?\\(([a-z]\\w*)\\)$`),
    },
  ],
])

/** At most as many as a program can ask for. Source: BPF_USDT_MAX_ARG_CNT of bpf/usdt.bpf.h. */
export const MOST_ARGUMENTS = 12

/** The arguments, or what cannot be read of them. `machine`: `EM` of the file. */
export function parseUsdtArguments(machine: number, text: string): readonly UsdtArgument[] | string {
  const rules = machines.get(machine)
  const words = text.split(/\s+/).filter((word) => word !== '')
  if (words.length === 0) return []
  if (rules === undefined) return 'the syntax of arguments on this machine is not known'
  if (words.length > MOST_ARGUMENTS) return `${words.length} arguments, at most ${MOST_ARGUMENTS} can be told`
  const found: UsdtArgument[] = []
  for (const word of words) {
    const argument = parseArgument(rules, word)
    if (argument === undefined) return `argument ${found.length}, '${word}', is of a form that cannot be read`
    found.push(argument)
  }
  return found
}

function parseArgument(rules: Machine, word: string): UsdtArgument | undefined {
  const [, sign, digit, text] = /^(-?)([1248])@(\S+)$/.exec(word) ?? []
  if (text === undefined) return undefined
  const operand = parseOperand(rules, text)
  return operand && { ...operand, sizeBytes: Number(digit) as 1 | 2 | 4 | 8, isSigned: sign === '-' }
}

function parseOperand(rules: Machine, text: string): UsdtOperand | undefined {
  const constant = rules.constant.exec(text)?.[1]
  if (constant !== undefined) return { kind: 'constant', value: parseNumber(constant) }
  const named = rules.register.exec(text)?.[1]
  if (named !== undefined) {
    const register = rules.registers.get(named)
    return register === undefined ? undefined : { kind: 'register', register }
  }
  const memory = rules.memory.exec(text)
  if (memory === null) return undefined
  const register = rules.registers.get(memory[2] as string)
  if (register === undefined) return undefined
  const value = parseNumber(memory[1] ?? '0')
  if (memory[3] === undefined) return { kind: 'memory', register, value }
  const index = rules.registers.get(memory[3])
  return index === undefined
    ? undefined
    : { kind: 'indexed', register, value, index, scaleBits: Math.log2(Number(memory[4] ?? 1)) }
}

function parseNumber(text: string): bigint {
  const digits = BigInt(text.replace(/^[+-]/, ''))
  return text.startsWith('-') ? -digits : digits
}
