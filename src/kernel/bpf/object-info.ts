/**
 * BPF_OBJ_GET_INFO_BY_FD: what a program, map, link or BTF object is.
 *
 * The caller's buffer is read first, since it says where lists are to go and how much room there is; a buffer longer
 * than known must be zero beyond; a shorter one is filled as far as it goes. `info_len` tells what was filled.
 *
 * Source: bpf_obj_get_info_by_fd() and what it calls in kernel/bpf/syscall.c and btf.c of Linux.
 */
import {
  BPF_LINK_INFO_SIZE,
  bpfBtfInfo,
  bpfMapInfo,
  bpfProgInfo,
  E2BIG,
  EBADFD,
  EFAULT,
  EINVAL,
  objGetInfoAttr,
  PAGE_SIZE,
} from '../../abi/index.ts'
import { encode } from '../../isa/index.ts'
import { BtfFile, type BtfObject } from '../btf-object.ts'
import type { KernelCore } from '../core.ts'
import { LinkFile } from '../link-object.ts'
import { MapFile, type MapObject } from '../map-object.ts'
import { ProgramFile, type ProgramObject } from '../program-object.ts'
import type { UserAccess } from '../types.ts'
import { isZero, writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { writeName } from './info-name.ts'
import { describeLink } from './link-info.ts'

const FUNC_INFO_BYTES = 8
const LINE_INFO_BYTES = 16
const FLAG_GPL_COMPATIBLE = 1

/** Fills in the struct whose first bytes the caller gave: the whole of it, or -errno. */
type Describe = (memory: UserAccess, given: Uint8Array) => Uint8Array | number

export function objectInfo({ core, process, attr: bytes, pointer }: BpfCall): number {
  const attr = objGetInfoAttr.read(bytes)
  const file = process.file(attr.bpf_fd | 0)
  if (file === undefined) return -EBADFD
  if (file instanceof ProgramFile) {
    return copyOut(process.memory, attr, pointer, bpfProgInfo.size, (memory, given) =>
      describeProgram(core, memory, given, file.object),
    )
  }
  if (file instanceof MapFile) {
    return copyOut(process.memory, attr, pointer, bpfMapInfo.size, () => describeMap(file.object))
  }
  if (file instanceof BtfFile) {
    return copyOut(process.memory, attr, pointer, bpfBtfInfo.size, (memory, given) =>
      describeBtf(memory, given, file.object),
    )
  }
  if (file instanceof LinkFile) {
    return copyOut(process.memory, attr, pointer, BPF_LINK_INFO_SIZE, (memory, given) =>
      describeLink(memory, given, file.object),
    )
  }
  return -EINVAL
}

function copyOut(
  memory: UserAccess,
  attr: { readonly info_len: number; readonly info: bigint },
  pointer: bigint,
  knownBytes: number,
  describe: Describe,
): number {
  if (attr.info_len > PAGE_SIZE) return -E2BIG
  if (attr.info_len > knownBytes) {
    const beyond = isZero(memory, attr.info + BigInt(knownBytes), attr.info_len - knownBytes)
    if (typeof beyond === 'number') return beyond
    if (!beyond) return -E2BIG
  }
  const length = Math.min(attr.info_len, knownBytes)
  const given = new Uint8Array(knownBytes)
  if (!memory.read(attr.info, given.subarray(0, length))) return -EFAULT
  const info = describe(memory, given)
  if (typeof info === 'number') return info
  if (!memory.write(attr.info, info.subarray(0, length))) return -EFAULT
  const lengthField = pointer + BigInt(objGetInfoAttr.offsets.info_len)
  return writeU32(memory, lengthField, length) ? 0 : -EFAULT
}

function describeProgram(
  core: KernelCore,
  memory: UserAccess,
  given: Uint8Array,
  program: ProgramObject,
): Uint8Array | number {
  const wanted = bpfProgInfo.read(given)
  const { id, loaded, maps, runTimeNs, runCount, recursionMisses, target } = program
  const { attach } = loaded
  const code = encode(loaded.instructions())
  const image = loaded.executable.image ?? new Uint8Array(0)
  const mapIds = new Uint8Array(Uint32Array.from(maps, (map) => map.id).buffer)
  for (const [count, size, known] of [
    [wanted.nr_func_info, wanted.func_info_rec_size, FUNC_INFO_BYTES],
    [wanted.nr_line_info, wanted.line_info_rec_size, LINE_INFO_BYTES],
  ] as const) {
    if ((count !== 0 || size !== 0) && size !== known) return -EINVAL
  }
  const funcInfoCount = loaded.funcInfo.length / FUNC_INFO_BYTES
  const lineInfoCount = loaded.lineInfo.length / LINE_INFO_BYTES
  /** As much of a list as there is room for. */
  const give = (place: bigint, list: Uint8Array, room: number) =>
    memory.write(place, list.subarray(0, Math.min(list.length, room)))
  const given4 =
    give(wanted.map_ids, mapIds, wanted.nr_map_ids * 4) &&
    give(wanted.xlated_prog_insns, code, wanted.xlated_prog_len) &&
    give(wanted.jited_prog_insns, image, wanted.jited_prog_len) &&
    give(wanted.func_info, loaded.funcInfo, wanted.nr_func_info * FUNC_INFO_BYTES) &&
    give(wanted.line_info, loaded.lineInfo, wanted.nr_line_info * LINE_INFO_BYTES) &&
    give(wanted.prog_tags, loaded.tag(), wanted.nr_prog_tags * loaded.tag().length)
  if (!given4) return -EFAULT
  return bpfProgInfo.encode({
    ...wanted,
    type: loaded.type.type,
    id,
    tag: loaded.tag(),
    jited_prog_len: image.length,
    xlated_prog_len: code.length,
    load_time: loaded.loadTimeNs,
    created_by_uid: loaded.uid,
    nr_map_ids: maps.length,
    name: loaded.name,
    ifindex: 0,
    flags: loaded.isGplCompatible ? FLAG_GPL_COMPATIBLE : 0,
    nr_jited_ksyms: 0,
    nr_jited_func_lens: 0,
    nr_jited_line_info: 0,
    btf_id: loaded.btf?.id ?? 0,
    func_info_rec_size: FUNC_INFO_BYTES,
    nr_func_info: funcInfoCount,
    line_info_rec_size: LINE_INFO_BYTES,
    nr_line_info: lineInfoCount,
    nr_prog_tags: 1,
    run_time_ns: runTimeNs,
    run_cnt: runCount,
    recursion_misses: recursionMisses,
    verified_insns: loaded.verifiedInstructions,
    // The target program's, until it is attached there.
    attach_btf_obj_id:
      (attach === undefined || attach.isProgram === true ? target?.loaded.btf : core.kernelBtf)?.id ?? 0,
    attach_btf_id: attach?.btfId ?? 0,
  })
}

function describeMap({ id, map, types, kernelValueType }: MapObject): Uint8Array {
  const { definition } = map
  return bpfMapInfo.encode({
    type: definition.type,
    id,
    key_size: definition.keySize,
    value_size: definition.valueSize,
    max_entries: definition.maxEntries,
    map_flags: definition.flags,
    name: definition.name,
    btf_id: types?.object.id ?? 0,
    btf_key_type_id: types?.keyType ?? 0,
    btf_value_type_id: types?.valueType ?? 0,
    btf_vmlinux_id: kernelValueType?.btfId ?? 0,
    btf_vmlinux_value_type_id: kernelValueType?.typeId ?? 0,
    map_extra: definition.extra ?? 0n,
  })
}

function describeBtf(memory: UserAccess, given: Uint8Array, object: BtfObject): Uint8Array | number {
  const wanted = bpfBtfInfo.read(given)
  const { bytes, id, isKernel } = object
  if (!memory.write(wanted.btf, bytes.subarray(0, Math.min(bytes.length, wanted.btf_size)))) return -EFAULT
  if ((wanted.name !== 0n) !== (wanted.name_len !== 0)) return -EINVAL
  const name = writeName(memory, wanted.name, wanted.name_len, object.name)
  if (name !== 0) return name
  return bpfBtfInfo.encode({
    btf: wanted.btf,
    btf_size: bytes.length,
    id,
    name: wanted.name,
    name_len: object.name.length,
    kernel_btf: isKernel ? 1 : 0,
  })
}
