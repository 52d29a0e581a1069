/**
 * bpf(2): the table of commands, and the size rules that all of them share.
 *
 * A longer attribute than known must be zero past what is known (-E2BIG); within it, what a command does not use
 * must be zero too (-EINVAL). The attribute is copied in once.
 *
 * To add a command is a row. Commands without a row are -EINVAL, as on a Linux that does not know them.
 *
 * Source: __sys_bpf() and CHECK_ATTR() of kernel/bpf/syscall.c of Linux.
 */

import * as abi from '../../abi/index.ts'
import { BPF_ATTR_SIZE, BPF_CMD, E2BIG, EFAULT, EINVAL, PAGE_SIZE } from '../../abi/index.ts'
import type { KernelProcess } from '../process.ts'
import { isZero } from '../user-copy.ts'
import { bindMap } from './bind-map.ts'
import { loadBtf } from './btf-load.ts'
import type { BpfCommand } from './call.ts'
import { enableStats } from './enable-stats.ts'
import * as ids from './ids.ts'
import { createIterator } from './iterators.ts'
import { linkCreate, linkDetach, linkUpdate } from './links.ts'
import * as batches from './map-batches.ts'
import { mapCreate } from './map-create.ts'
import * as elements from './map-elements.ts'
import { objectInfo } from './object-info.ts'
import { getObject, pinObject } from './pins.ts'
import { attachProgram, detachProgram, queryPrograms } from './prog-attach.ts'
import { loadProgram } from './program-load.ts'
import { openRawTracepoint } from './raw-tracepoints.ts'
import { readStream } from './streams.ts'
import { taskFdQuery } from './task-fd-query.ts'
import { testRun } from './test-run.ts'
import { createToken } from './token.ts'

export interface BpfCommandRow {
  readonly cmd: number
  readonly name: keyof typeof BPF_CMD
  /** Bytes of the attribute that the command uses; what follows must be zero. */
  readonly usedBytes: number
  readonly run: BpfCommand
}

function row(name: keyof typeof BPF_CMD, usedBytes: number, run: BpfCommand): BpfCommandRow {
  return { cmd: BPF_CMD[name], name, usedBytes, run }
}

const KEY_ONLY = abi.mapElemAttr.offsets.value
const ID_ONLY = abi.getIdAttr.offsets.next_id
const NEXT_ID = abi.getIdAttr.offsets.open_flags
const WITH_OPEN_FLAGS = abi.getIdAttr.offsets.fd_by_id_token_fd
const FD_BY_ID = abi.getIdAttr.endOfLastMember
/** `link_create.uprobe_multi.pid`, the last of the union's members. */
const LINK_CREATE_BYTES = 60

export const bpfCommands: readonly BpfCommandRow[] = [
  row('BPF_MAP_CREATE', abi.mapCreateAttr.endOfLastMember, mapCreate),
  row('BPF_MAP_LOOKUP_ELEM', abi.mapElemAttr.endOfLastMember, elements.lookup),
  row('BPF_MAP_UPDATE_ELEM', abi.mapElemAttr.endOfLastMember, elements.update),
  row('BPF_MAP_DELETE_ELEM', KEY_ONLY, elements.remove),
  row('BPF_MAP_GET_NEXT_KEY', abi.mapNextKeyAttr.endOfLastMember, elements.nextKey),
  row('BPF_MAP_LOOKUP_AND_DELETE_ELEM', abi.mapElemAttr.endOfLastMember, elements.lookupAndDelete),
  row('BPF_MAP_FREEZE', abi.mapFreezeAttr.endOfLastMember, elements.freeze),
  row('BPF_MAP_LOOKUP_BATCH', abi.mapBatchAttr.endOfLastMember, batches.lookup),
  row('BPF_MAP_LOOKUP_AND_DELETE_BATCH', abi.mapBatchAttr.endOfLastMember, batches.lookupAndDelete),
  row('BPF_MAP_UPDATE_BATCH', abi.mapBatchAttr.endOfLastMember, batches.update),
  row('BPF_MAP_DELETE_BATCH', abi.mapBatchAttr.endOfLastMember, batches.remove),
  row('BPF_PROG_LOAD', abi.progLoadAttr.endOfLastMember, loadProgram),
  row('BPF_PROG_TEST_RUN', abi.progTestRunAttr.endOfLastMember, testRun),
  row('BPF_OBJ_GET_INFO_BY_FD', abi.objGetInfoAttr.endOfLastMember, objectInfo),
  row('BPF_LINK_CREATE', LINK_CREATE_BYTES, linkCreate),
  row('BPF_LINK_UPDATE', abi.linkUpdateAttr.endOfLastMember, linkUpdate),
  row('BPF_LINK_DETACH', abi.linkDetachAttr.endOfLastMember, linkDetach),
  row('BPF_BTF_LOAD', abi.btfLoadAttr.endOfLastMember, loadBtf),
  row('BPF_PROG_GET_NEXT_ID', NEXT_ID, ids.nextProgram),
  row('BPF_MAP_GET_NEXT_ID', NEXT_ID, ids.nextMap),
  row('BPF_BTF_GET_NEXT_ID', NEXT_ID, ids.nextBtf),
  row('BPF_LINK_GET_NEXT_ID', NEXT_ID, ids.nextLink),
  row('BPF_PROG_GET_FD_BY_ID', ID_ONLY, ids.programById),
  row('BPF_MAP_GET_FD_BY_ID', WITH_OPEN_FLAGS, ids.mapById),
  row('BPF_BTF_GET_FD_BY_ID', FD_BY_ID, ids.btfById),
  row('BPF_LINK_GET_FD_BY_ID', ID_ONLY, ids.linkById),
  row('BPF_PROG_BIND_MAP', abi.progBindMapAttr.endOfLastMember, bindMap),
  row('BPF_ENABLE_STATS', abi.enableStatsAttr.endOfLastMember, enableStats),
  row('BPF_OBJ_PIN', abi.objPinAttr.endOfLastMember, pinObject),
  row('BPF_OBJ_GET', abi.objPinAttr.endOfLastMember, getObject),
  row('BPF_PROG_ATTACH', abi.progAttachAttr.endOfLastMember, attachProgram),
  row('BPF_PROG_DETACH', abi.progAttachAttr.endOfLastMember, detachProgram),
  row('BPF_PROG_QUERY', abi.progQueryAttr.endOfLastMember, queryPrograms),
  row('BPF_RAW_TRACEPOINT_OPEN', abi.rawTracepointAttr.endOfLastMember, openRawTracepoint),
  row('BPF_ITER_CREATE', abi.iterCreateAttr.endOfLastMember, createIterator),
  row('BPF_TOKEN_CREATE', abi.tokenCreateAttr.endOfLastMember, createToken),
  row('BPF_PROG_STREAM_READ_BY_FD', abi.progStreamReadAttr.endOfLastMember, readStream),
  row('BPF_TASK_FD_QUERY', abi.taskFdQueryAttr.endOfLastMember, taskFdQuery),
]

const rowsByCommand: ReadonlyMap<number, BpfCommandRow> = new Map(
  bpfCommands.map((known) => [known.cmd, known]),
)

export function bpf(process: KernelProcess, cmd: number, pointer: bigint, sizeBytes: number): number {
  if (sizeBytes > PAGE_SIZE) return -E2BIG
  if (sizeBytes > BPF_ATTR_SIZE) {
    const beyond = isZero(process.memory, pointer + BigInt(BPF_ATTR_SIZE), sizeBytes - BPF_ATTR_SIZE)
    if (typeof beyond === 'number') return beyond
    if (!beyond) return -E2BIG
  }
  const attr = new Uint8Array(BPF_ATTR_SIZE)
  const known = Math.min(sizeBytes, BPF_ATTR_SIZE)
  if (!process.memory.read(pointer, attr.subarray(0, known))) return -EFAULT
  const command = rowsByCommand.get(cmd)
  if (command === undefined) return -EINVAL
  for (let i = command.usedBytes; i < known; i++) if (attr[i] !== 0) return -EINVAL
  return command.run({ core: process.core, process, attr, pointer, sizeBytes: known })
}
