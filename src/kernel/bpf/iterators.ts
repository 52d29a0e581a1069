/**
 * Iterators: a link says what is walked, each BPF_ITER_CREATE of it is one walk.
 *
 * Source: bpf_iter_link_attach(), bpf_iter_new_fd() of kernel/bpf/bpf_iter.c, bpf_iter_create() of kernel/bpf/syscall.c
 * of Linux.
 */
import {
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  iterCreateAttr,
  linkCreateIterAttr,
  PAGE_SIZE,
} from '../../abi/index.ts'
import type { BtfId } from '../../btf/index.ts'
import type { KernelCore } from '../core.ts'
import { IteratorLink } from '../iterators/link.ts'
import { type IteratorRequest, type IteratorTarget, iteratorTarget } from '../iterators/targets.ts'
import type { LinkObject } from '../link-object.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import { isZero, readBytes } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { linkOf } from './descriptors.ts'

/** union bpf_iter_link_info. */
const LINK_INFO_BYTES = 16

export function createIterator({ process, attr: bytes }: BpfCall): number {
  const attr = iterCreateAttr.read(bytes)
  if (attr.flags !== 0) return -EINVAL
  const link = linkOf(process, attr.link_fd)
  if (typeof link === 'number') return link
  if (!(link instanceof IteratorLink)) return -EINVAL
  const file = link.open()
  return typeof file === 'number' ? file : process.install(file, true)
}

/** BPF_LINK_CREATE: the link, or -errno. */
export function linkToIterator(call: BpfCall, program: ProgramObject): LinkObject | number {
  const { core, process } = call
  const { target_fd, flags, iter_info, iter_info_len } = linkCreateIterAttr.read(call.attr)
  if (target_fd !== 0 || flags !== 0) return -EINVAL
  const request = copyRequest(process, iter_info, iter_info_len)
  if (typeof request === 'number') return request
  const target = targetOf(core, program.loaded.attach?.btfId)
  if (target === undefined) return -ENOENT
  if (program.isSleepable && target.maySleep !== true) return -EINVAL
  const scope = target.scope?.(process, program, request) ?? {}
  return typeof scope === 'number' ? scope : core.newLink(IteratorLink, program, { core, target, scope })
}

/** What a function of the kernel's types iterates over; undefined: nothing that there is here. */
export function targetOf(core: KernelCore, btfId: number | undefined): IteratorTarget | undefined {
  const types = core.kernelBtf?.types
  const id = btfId === undefined ? undefined : types?.id(btfId)
  return id === undefined || types === undefined ? undefined : iteratorTarget(types.nameOf(id as BtfId))
}

function copyRequest(process: KernelProcess, pointer: bigint, sizeBytes: number): IteratorRequest | number {
  if ((pointer === 0n) !== (sizeBytes === 0)) return -EINVAL
  if (sizeBytes > PAGE_SIZE) return -E2BIG
  if (sizeBytes > LINK_INFO_BYTES) {
    const rest = isZero(process.memory, pointer + BigInt(LINK_INFO_BYTES), sizeBytes - LINK_INFO_BYTES)
    if (rest !== true) return rest === false ? -E2BIG : rest
  }
  const given = readBytes(process.memory, pointer, Math.min(sizeBytes, LINK_INFO_BYTES))
  if (given === undefined) return -EFAULT
  const whole = new Uint8Array(LINK_INFO_BYTES)
  whole.set(given)
  const words = new DataView(whole.buffer)
  return { words: [words.getUint32(0, true), words.getUint32(4, true), words.getUint32(8, true)] }
}
