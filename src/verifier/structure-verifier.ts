import { WIDE_SOURCE } from '../isa/index.ts'
import { isGplCompatible } from './license.ts'
import type { MapSpec, NoMap, ProgramInput } from './program.ts'
import { EBADF } from './refusal.ts'
import { checkStructure } from './structure.ts'
import { STATISTICS, type Verifier, type VerifierVerdict } from './verdict.ts'

/**
 * Refuses malformed programs and proves nothing: what it accepts runs with each access checked. For programs that are
 * to be seen going wrong, in teaching and in tests.
 */
export class StructureVerifier implements Verifier {
  verify(program: ProgramInput): VerifierVerdict {
    const { instructions, functions } = program
    const subprograms = checkStructure({
      program: instructions,
      programType: program.programType,
      gplCompatible: isGplCompatible(program.license),
      hasFunctionInfo: functions.length > 0,
      mapAt: (index) => mapAt(program, index),
    })
    if ('accepted' in subprograms) return subprograms
    return { accepted: true, subprograms, proof: undefined, log: STATISTICS, processed: 0 }
  }
}

function mapAt({ instructions, maps, descriptors }: ProgramInput, index: number): MapSpec | number {
  const insn = instructions[index]
  if (insn === undefined) return EBADF
  const isIndex = insn.src === WIDE_SOURCE.MAP_INDEX || insn.src === WIDE_SOURCE.MAP_INDEX_VALUE
  const map: MapSpec | NoMap | undefined = isIndex ? descriptors[insn.imm]?.map : maps[insn.imm]
  if (map === undefined) return EBADF
  return 'errno' in map ? map.errno : map
}
