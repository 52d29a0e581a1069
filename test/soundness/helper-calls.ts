/**
 * Programs that do nothing but call one helper, with arguments that fit its prototype or nearly do: held against Linux,
 * they show what is wrong with a row of the prototype table.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../src/abi/index.ts'
import { type HelperPrototype, helperPrototypes } from '../../src/helpers/index.ts'
import { type Instruction, instruction, wideInstruction } from '../../src/isa/index.ts'
import { MAP, PALETTE } from './fixtures.ts'
import type { Random } from './random.ts'
import type { Subject } from './subject.ts'

const A = BPF_ATTACH_TYPE
const T = BPF_PROG_TYPE
const MOV = 0xb7
const MOV_REGISTER = 0xbf
export const SLEEPABLE = 0x10

/** What is loaded for; 0 where a type asks for nothing. */
const ATTACH: Readonly<Record<number, number>> = {
  [T.BPF_PROG_TYPE_CGROUP_SOCK]: A.BPF_CGROUP_INET_SOCK_CREATE,
  [T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR]: A.BPF_CGROUP_INET4_BIND,
  [T.BPF_PROG_TYPE_CGROUP_SOCKOPT]: A.BPF_CGROUP_GETSOCKOPT,
  [T.BPF_PROG_TYPE_SK_REUSEPORT]: A.BPF_SK_REUSEPORT_SELECT,
  [T.BPF_PROG_TYPE_SK_LOOKUP]: A.BPF_SK_LOOKUP,
}

export const plainAttachType = (programType: number): number => ATTACH[programType] ?? 0

/** Program types that need nothing of the kernel's types. */
export const TYPES: readonly number[] = Object.values(T).filter(
  (type) =>
    type !== T.BPF_PROG_TYPE_UNSPEC &&
    type !== T.BPF_PROG_TYPE_TRACING &&
    type !== T.BPF_PROG_TYPE_STRUCT_OPS &&
    type !== T.BPF_PROG_TYPE_EXT &&
    type !== T.BPF_PROG_TYPE_LSM &&
    type !== T.BPF_PROG_TYPE_NETFILTER &&
    type !== T.BPF_PROG_TYPE_LIRC_MODE2,
)

type Argument = 'context' | 'null' | 'size' | 'stack' | 'map' | 'constants' | 'data' | 'nothing'

const EVERY: readonly Argument[] = ['context', 'null', 'size', 'stack', 'map', 'constants', 'data', 'nothing']

function fitting(wanted: string, random: Random): Argument {
  if (random.chance(0.2)) return random.pick(EVERY)
  if (wanted.includes('CTX')) return 'context'
  if (wanted.includes('CONST_MAP_PTR')) return 'map'
  if (wanted.includes('SIZE')) return 'size'
  if (wanted.includes('PTR')) return random.pick(['stack', 'stack', 'constants', 'data', 'null'])
  return random.pick(['null', 'size'])
}

function load(register: number, what: Argument, random: Random): Instruction[] {
  switch (what) {
    case 'context':
      return [instruction({ opcode: MOV_REGISTER, dst: register, src: 6 })]
    case 'null':
      return [instruction({ opcode: MOV, dst: register, imm: 0 })]
    case 'size':
      return [instruction({ opcode: MOV, dst: register, imm: 8 })]
    case 'stack':
      return [
        instruction({ opcode: MOV_REGISTER, dst: register, src: 10 }),
        instruction({ opcode: 0x07, dst: register, imm: -64 }),
      ]
    case 'map':
      return wideInstruction(register, 1, BigInt(random.below(PALETTE.length)))
    case 'constants':
      return wideInstruction(register, 2, BigInt(MAP.constants))
    case 'data':
      return wideInstruction(register, 2, BigInt(MAP.data))
    case 'nothing':
      return []
  }
}

/** A call of the helper from a program of the type; undefined where there is no such helper at all. */
export function helperCall(id: number, programType: number, random: Random): Subject | undefined {
  const rows: readonly HelperPrototype[] = helperPrototypes.filter((row) => row.id === id)
  const row = rows.find((r) => r.programTypes.includes(programType)) ?? rows[0]
  if (row === undefined) return undefined
  const instructions = [instruction({ opcode: MOV_REGISTER, dst: 6, src: 1 })]
  for (let register = 1; register <= 5; register++) {
    const argument = row.arguments[register - 1]
    instructions.push(...load(register, fitting(argument?.type ?? '', random), random))
  }
  instructions.push(
    instruction({ opcode: 0x85, imm: id }),
    instruction({ opcode: MOV, imm: 0 }),
    instruction({ opcode: 0x95 }),
  )
  return {
    instructions,
    programType,
    expectedAttachType: plainAttachType(programType),
    flags: programType === T.BPF_PROG_TYPE_SYSCALL ? SLEEPABLE : 0,
    license: 'GPL',
    name: 'fuzz',
    maps: PALETTE,
    descriptors: [],
    functions: [],
    lines: [],
    logLevel: 0,
  }
}
