/**
 * 64-bit immediates: numbers, maps and their memory, variables of the kernel, functions.
 *
 * Source: resolve_pseudo_ldimm64, check_ld_imm in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, type Btf } from '../../btf/index.ts'
import {
  CLASS,
  classOf,
  type Instruction,
  isKnownOpcode,
  MODE,
  modeOf,
  OPCODE,
  SIZE,
  sizeFieldOf,
} from '../../isa/index.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import { knownScalar, pointer, unknownScalar } from '../domain/register.ts'
import type { MapSpec, NoMap } from '../program.ts'
import type { Proof } from '../proof.ts'
import { E2BIG, EBADF, EINVAL, ENOENT, ENOTSUPP, ERANGE } from '../refusal.ts'
import { checkMapFits, M } from './map-fits.ts'

const PAGE = 4096

/** 0 where a pointer to `offset` of the map's memory may be had; an errno; undefined for types without such memory. */
function directValueError(map: MapSpec, offset: number): number | undefined {
  switch (map.type) {
    case M.BPF_MAP_TYPE_ARRAY:
      if (map.maxEntries !== 1) return ENOTSUPP
      return offset < map.valueSize ? 0 : EINVAL
    case M.BPF_MAP_TYPE_ARENA:
      return offset < map.maxEntries * PAGE ? 0 : ERANGE
    default:
      return undefined
  }
}

/** Variables in the kernel's types that are not among its symbols: it was built to keep those of functions alone. */
const WITHOUT_SYMBOL: ReadonlySet<string> = new Set(['bpf_prog_active', 'bpf_task_storage_busy', 'runqueues'])

/** What a wide instruction with a kernel type id gives. */
interface KernelVariable {
  readonly kind: number
  readonly btf: Btf
  readonly btfId: number
  readonly memSize: number
}

function kernelVariable(p: Proof, insn: Instruction, high: number): KernelVariable {
  const btf = high === 0 ? p.kernel : undefined
  if (btf === undefined) throw p.refuse(EINVAL, 'invalid module BTF object FD specified.')
  const id = btf.id(insn.imm >>> 0)
  const type = id === undefined ? undefined : btf.typeById(id)
  if (type === undefined) throw p.refuse(ENOENT, `ldimm64 insn specifies invalid btf_id ${insn.imm}.`)
  if (type.kind === BTF_KIND.FUNC) return { kind: BASE.MEM | FLAG.RDONLY, btf, btfId: 0, memSize: 0 }
  if (type.kind !== BTF_KIND.VAR) {
    throw p.refuse(EINVAL, `pseudo btf_id ${insn.imm} in ldimm64 isn't KIND_VAR or KIND_FUNC`)
  }
  if (WITHOUT_SYMBOL.has(type.name)) {
    throw p.refuse(ENOENT, `ldimm64 failed to find the address for kernel symbol '${type.name}'.`)
  }
  const section = btf.find('.data..percpu', BTF_KIND.DATASEC)
  const data = section === undefined ? undefined : btf.typeById(section)
  const isPerCpu = data?.kind === BTF_KIND.DATASEC && data.variables.some((v) => v.type === id)
  if (isPerCpu) return { kind: BASE.BTF_ID | FLAG.PERCPU, btf, btfId: type.type, memSize: 0 }
  const target = btf.typeById(btf.resolve(type.type))
  if (target.kind === BTF_KIND.STRUCT || target.kind === BTF_KIND.UNION) {
    return { kind: BASE.BTF_ID, btf, btfId: type.type, memSize: 0 }
  }
  const size = btf.sizeOf(target.id)
  if (size === undefined) {
    throw p.refuse(EINVAL, `ldimm64 unable to resolve the size of type '${target.name}': -22`)
  }
  return { kind: BASE.MEM | FLAG.RDONLY, btf, btfId: 0, memSize: size }
}

/** Which map a wide instruction names. */
function mapOf(p: Proof, insn: Instruction): MapSpec | NoMap | undefined {
  return insn.src === 1 || insn.src === 2 ? p.input.maps[insn.imm] : p.input.descriptors[insn.imm]?.map
}

/** Reserved fields, unknown opcodes, 64-bit immediates and what they stand for. */
export function resolveImmediates(p: Proof): void {
  for (let i = 0; i < p.length; i++) {
    const insn = p.insn(i)
    const mode = modeOf(insn.opcode)
    if (
      classOf(insn.opcode) === CLASS.LDX &&
      ((mode !== MODE.MEM && mode !== MODE.MEMSX) || insn.imm !== 0)
    ) {
      throw p.refuse(EINVAL, 'BPF_LDX uses reserved fields')
    }
    if (insn.opcode !== OPCODE.LD_IMM64) {
      if (!isKnownOpcode(insn.opcode) || insn.opcode === 0x8d) {
        throw p.refuse(EINVAL, `unknown opcode ${insn.opcode.toString(16).padStart(2, '0')}`)
      }
      continue
    }
    const next = p.program[i + 1]
    if (next === undefined || next.opcode !== 0 || next.dst !== 0 || next.src !== 0 || next.offset !== 0) {
      throw p.refuse(EINVAL, 'invalid bpf_ld_imm64 insn')
    }
    if (insn.src === 3) p.notes.extra.set(i, kernelVariable(p, insn, next.imm))
    else if (insn.src !== 0 && insn.src !== 4) resolveMap(p, insn, next)
    i++
  }
}

function resolveMap(p: Proof, insn: Instruction, next: Instruction): void {
  const isValue = insn.src === 2 || insn.src === 6
  if (!isValue && !((insn.src === 1 || insn.src === 5) && next.imm === 0)) {
    throw p.refuse(EINVAL, 'unrecognized bpf_ld_imm64 insn')
  }
  if ((insn.src === 5 || insn.src === 6) && p.input.descriptors.length === 0) {
    throw p.refuse(71, 'fd_idx without fd_array is invalid')
  }
  const map = mapOf(p, insn)
  if (map === undefined || 'errno' in map) {
    const { fd, errno } = map ?? { fd: insn.imm, errno: EBADF }
    throw p.refuse(errno, `fd ${fd} is not pointing to valid bpf_map`)
  }
  if (!p.usedMaps.has(map)) {
    if (p.usedMaps.size >= 64) {
      throw p.refuse(E2BIG, 'The total number of maps per program has reached the limit of 64')
    }
    checkMapFits(p, map)
    p.usedMaps.add(map)
  }
  if (!isValue) return
  const offset = next.imm >>> 0
  if (offset >= 1 << 29) throw p.refuse(EINVAL, `direct value offset of ${offset} is not allowed`)
  const error = directValueError(map, offset)
  if (error === undefined) {
    throw p.refuse(EINVAL, 'no direct value access support for this map type')
  }
  if (error !== 0) {
    throw p.refuse(error, `invalid access to map value pointer, value_size=${map.valueSize} off=${offset}`)
  }
}

export function loadImmediate(p: Proof, insn: Instruction): void {
  if (sizeFieldOf(insn.opcode) !== SIZE.DW) throw p.refuse(EINVAL, 'invalid BPF_LD_IMM insn')
  if (insn.offset !== 0) throw p.refuse(EINVAL, 'BPF_LD_IMM64 uses reserved fields')
  p.checkWritable(insn.dst)
  const high = p.insn(p.index + 1).imm
  const { dst } = insn
  switch (insn.src) {
    case 0:
      p.setReg(dst, knownScalar((BigInt(high >>> 0) << 32n) | BigInt(insn.imm >>> 0)))
      return
    case 3: {
      const variable = p.notes.extra.get(p.index) as KernelVariable
      const r = pointer(variable.kind)
      r.memSize = variable.memSize
      if (variable.btfId !== 0) {
        r.btf = variable.btf
        r.btfId = variable.btfId
      }
      p.setReg(dst, r)
      return
    }
    case 4: {
      const subprogram = p.subprogramAt(p.index + insn.imm + 1)
      if (p.input.functions.length === 0) throw p.refuse(EINVAL, 'missing btf func_info')
      if (p.subprograms[subprogram]!.isGlobal) throw p.refuse(EINVAL, 'callback function not static')
      const r = pointer(BASE.FUNC)
      r.subprogram = subprogram
      p.setReg(dst, r)
      return
    }
    default: {
      const map = mapOf(p, insn) as MapSpec
      if (insn.src === 1 || insn.src === 5) {
        const r = pointer(BASE.CONST_MAP)
        r.map = map
        p.setReg(dst, r)
      } else if (map.type === M.BPF_MAP_TYPE_ARENA) {
        const r = unknownScalar()
        r.map = map
        p.setReg(dst, r)
      } else {
        const r = pointer(BASE.MAP_VALUE)
        r.map = map
        r.off = high >>> 0
        p.setReg(dst, r)
      }
    }
  }
}
