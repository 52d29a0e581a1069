/**
 * The structural check of a program: everything that Linux's verifier refuses without knowing any value, in its
 * order of passes and with its messages.
 *
 * 1. The number of instructions.
 * 2. Where subprograms begin; jumps stay in them.
 * 3. Reserved fields of loads, 64-bit immediates and their maps, unknown opcodes, in the order of the text.
 * 4. Reachability.
 * 5. The fields of each instruction and the helpers it calls, in the order of execution.
 *
 * Where an earlier instruction of a path would have been refused for what its registers hold, Linux stops there; this
 * check does not know that. And in pass 5 it rules out only the branches that constants decide, where Linux rules out
 * more.
 *
 * Source: `bpf_check()` and what it calls, kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_MAP_TYPE, E2BIG, EINVAL, ENOTSUPP, ERANGE } from '../abi/index.ts'
import { helperById, helperName } from '../helpers/index.ts'
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  type Instruction,
  isWide,
  MODE,
  modeOf,
  OPCODE,
  type Program,
  type Row,
  rows,
  WIDE_SOURCE,
} from '../isa/index.ts'
import { checkReachability, executionOrder } from './control-flow.ts'
import type { SlotRange } from './facts.ts'
import { checkFields } from './instruction-fields.ts'
import { checkSubprograms, findSubprograms, isCallCode } from './subprograms.ts'
import { type Rejection, reject } from './verdict.ts'

/** What a map is, as far as this check depends on it. */
export interface MapProperties {
  /** BPF_MAP_TYPE_*. */
  readonly type: number
  readonly valueSize: number
  readonly maxEntries: number
}

/** A program with its surroundings resolved. */
export interface StructureInput {
  readonly program: Program
  /** BPF_PROG_TYPE_*. */
  readonly programType: number
  /** Is the licence compatible with the GPL, so that GPL-only helpers may be called? */
  readonly gplCompatible: boolean
  /** Did the load come with BTF function information? */
  readonly hasFunctionInfo: boolean
  /** Slot of the subprogram that BTF tags as the exception callback; nothing calls it. */
  readonly exceptionCallback?: number
  /**
   * The map that the 64-bit immediate at slot `index` refers to, by descriptor or by index; the same map is the same
   * object. A positive errno where the descriptor is none (EBADF) or none of a map (EINVAL).
   */
  mapAt(index: number): MapProperties | number
}

/** Source: `BPF_COMPLEXITY_LIMIT_INSNS`, Linux: what a privileged program may have. */
export const MOST_INSTRUCTIONS = 1_000_000
/** Source: `MAX_USED_MAPS`, Linux. */
const MOST_MAPS = 64
/** Source: `BPF_MAX_VAR_OFF`, Linux. */
const MOST_VALUE_OFFSET = 1 << 29
const PAGE_BYTES = 4096
/**
 * A call to one of these is libbpf's mark for something that this kernel does not have, in code that is meant not to
 * be reached. Whether it is can depend on what is in a read-only map, so it is left to the run: the engine faults.
 */
const isLoaderMark = (id: number): boolean => id === 0xbad2310 || id >= 2_001_000_000
/** Source: `BPF_FUNC_tail_call`, Linux. */
const HELPER_TAIL_CALL = 12

/** The opcodes of Linux: those of the table, without the indirect call that only clang knows. */
const linuxOpcodes = new Set(
  (rows as readonly Row[]).filter(({ group }) => group !== 'callx').map(({ opcode }) => opcode),
)

/** The subprograms of a well-formed program, or why Linux would refuse it. */
export function checkStructure(given: StructureInput): readonly SlotRange[] | Rejection {
  const { program } = given
  if (program.length === 0 || program.length > MOST_INSTRUCTIONS) return reject(E2BIG, undefined, '')
  const subprograms = findSubprograms(program, given.exceptionCallback)
  if ('accepted' in subprograms) return subprograms
  return (
    checkSubprograms(program, subprograms) ??
    checkReturns(given, subprograms) ??
    checkText(given) ??
    checkReachability(program, given.exceptionCallback) ??
    checkInstructions(given) ??
    subprograms
  )
}

/** Without BTF, only the main program may use what can end a function early. */
function checkReturns(
  { program, hasFunctionInfo }: StructureInput,
  subprograms: readonly SlotRange[],
): Rejection | undefined {
  if (hasFunctionInfo) return undefined
  for (const { start, end } of subprograms.slice(1)) {
    const body = program.slice(start, end)
    const packet = body.findIndex(isPacketAccess)
    if (packet !== -1) {
      return reject(EINVAL, start + packet, 'LD_ABS is not allowed in subprogs without BTF')
    }
    const tailCall = body.findIndex((insn) => isHelperCall(insn) && insn.imm === HELPER_TAIL_CALL)
    if (tailCall !== -1) {
      return reject(EINVAL, start + tailCall, 'tail_call is not allowed in subprogs without BTF')
    }
  }
  return undefined
}

const isHelperCall = (insn: Instruction): boolean =>
  insn.opcode === OPCODE.CALL && insn.src === CALL_SOURCE.HELPER

function isPacketAccess({ opcode }: Instruction): boolean {
  const mode = modeOf(opcode)
  return classOf(opcode) === CLASS.LD && (mode === MODE.ABS || mode === MODE.IND)
}

/** Pass 3, in the order of the text. */
function checkText(given: StructureInput): Rejection | undefined {
  const { program } = given
  const maps = new Set<MapProperties>()
  for (let index = 0; index < program.length; index++) {
    const insn = program[index]!
    if (classOf(insn.opcode) === CLASS.LDX) {
      const mode = modeOf(insn.opcode)
      if ((mode !== MODE.MEM && mode !== MODE.MEMSX) || insn.imm !== 0) {
        return reject(EINVAL, index, 'BPF_LDX uses reserved fields')
      }
    }
    if (isWide(insn)) {
      const rejection = checkWide(given, index, maps)
      if (rejection !== undefined) return rejection
      index++
    } else if (!linuxOpcodes.has(insn.opcode)) {
      const opcode = insn.opcode.toString(16).padStart(2, '0')
      return reject(EINVAL, index, `unknown opcode ${opcode}`)
    }
  }
  return undefined
}

/** The 64-bit immediate at `index` is whole, and the map that it stands for is there. */
function checkWide(given: StructureInput, index: number, maps: Set<MapProperties>): Rejection | undefined {
  const { program } = given
  const [first, second] = [program[index]!, program[index + 1]]
  if (second === undefined || (second.opcode | second.dst | second.src | second.offset) !== 0) {
    return reject(EINVAL, index, 'invalid bpf_ld_imm64 insn')
  }
  const isValue = first.src === WIDE_SOURCE.MAP_VALUE || first.src === WIDE_SOURCE.MAP_INDEX_VALUE
  switch (first.src) {
    case WIDE_SOURCE.IMM64:
    case WIDE_SOURCE.BTF_ID:
    case WIDE_SOURCE.FUNCTION:
      return undefined
    case WIDE_SOURCE.MAP_VALUE:
    case WIDE_SOURCE.MAP_INDEX_VALUE:
      break
    case WIDE_SOURCE.MAP_FD:
    case WIDE_SOURCE.MAP_INDEX:
      if (second.imm === 0) break
      return reject(EINVAL, index, 'unrecognized bpf_ld_imm64 insn')
    default:
      return reject(EINVAL, index, 'unrecognized bpf_ld_imm64 insn')
  }
  const map = given.mapAt(index)
  if (typeof map === 'number') return reject(map, index, `fd ${first.imm} is not pointing to valid bpf_map`)
  maps.add(map)
  if (maps.size > MOST_MAPS) {
    return reject(E2BIG, index, `The total number of maps per program has reached the limit of ${MOST_MAPS}`)
  }
  return isValue ? checkValueOffset(map, index, second.imm >>> 0) : undefined
}

/** A pointer into a map's value: into the one value of an array, or into an arena's pages. */
function checkValueOffset(map: MapProperties, index: number, offset: number): Rejection | undefined {
  if (offset >= MOST_VALUE_OFFSET) {
    return reject(EINVAL, index, `direct value offset of ${offset} is not allowed`)
  }
  const message = `invalid access to map value pointer, value_size=${map.valueSize} off=${offset}`
  if (map.type === BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA) {
    return offset / PAGE_BYTES >= map.maxEntries ? reject(ERANGE, index, message) : undefined
  }
  if (map.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY) {
    return reject(EINVAL, index, 'no direct value access support for this map type')
  }
  if (map.maxEntries !== 1) return reject(ENOTSUPP, index, message)
  return offset >= map.valueSize ? reject(EINVAL, index, message) : undefined
}

/** Pass 5, in the order of execution. */
function checkInstructions(given: StructureInput): Rejection | undefined {
  for (const index of executionOrder(given.program)) {
    const insn = given.program[index]!
    const fault = checkFields(insn) ?? (isCallCode(insn) ? checkHelper(given, insn) : undefined)
    if (fault !== undefined) return reject(fault.errno, index, fault.message)
  }
  return undefined
}

/** The helper that is called exists, and this program may call it. */
function checkHelper({ programType, gplCompatible }: StructureInput, insn: Instruction) {
  if (insn.src !== CALL_SOURCE.HELPER || isLoaderMark(insn.imm)) return undefined
  const known = insn.imm === 0 ? 'bpf_unspec' : helperName(insn.imm)
  const name = `${known ?? 'unknown'}#${insn.imm}`
  const refuse = (message: string) => ({ errno: EINVAL, message })
  if (known === undefined) return refuse(`invalid func ${name}`)
  const helper = helperById(insn.imm, programType)
  if (helper === undefined) return refuse(`program of this type cannot use helper ${name}`)
  if (helper.gplOnly && !gplCompatible) {
    return refuse('cannot call GPL-restricted function from non-GPL compatible program')
  }
  return undefined
}
