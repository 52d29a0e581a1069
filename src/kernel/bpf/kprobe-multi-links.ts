/**
 * Links of one program to many functions.
 *
 * Source: bpf_kprobe_multi_link_attach() of kernel/trace/bpf_trace.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_F_KPROBE_MULTI_RETURN,
  E2BIG,
  EFAULT,
  EINVAL,
  EOPNOTSUPP,
  ESRCH,
  linkCreateKprobeMultiAttr,
  type StructValue,
} from '../../abi/index.ts'
import type { StoppedCpu } from '../../probes/index.ts'
import { KprobeMultiLink, type ProbedFunction } from '../kprobe-multi-link.ts'
import type { LinkObject } from '../link-object.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import { readBytes, readString } from '../user-copy.ts'
import type { BpfCall } from './call.ts'

type Attr = StructValue<typeof linkCreateKprobeMultiAttr>

const MOST_FUNCTIONS = 1 << 20
const NAME_BYTES = 512

export function linkToFunctions(call: BpfCall, program: ProgramObject): LinkObject | number {
  const { core, process } = call
  const attr = linkCreateKprobeMultiAttr.read(call.attr)
  const { expectedAttachType } = program.loaded
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_SESSION) return -EOPNOTSUPP
  if (expectedAttachType !== BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_MULTI) return -EINVAL
  const { flags, cnt } = attr
  if (attr.link_flags !== 0 || (flags & ~BPF_F_KPROBE_MULTI_RETURN) !== 0) return -EINVAL
  if ((attr.addrs !== 0n) === (attr.syms !== 0n) || cnt === 0) return -EINVAL
  if (cnt > MOST_FUNCTIONS) return -E2BIG
  const cookies = attr.cookies === 0n ? new BigUint64Array(cnt) : readWords(process, attr.cookies, cnt)
  if (cookies === undefined) return -EFAULT
  const addresses = addressesOf(call, attr)
  if (typeof addresses === 'number') return addresses

  const mayOverride = (address: bigint) =>
    (flags & BPF_F_KPROBE_MULTI_RETURN) === 0 && core.port.mayOverride?.(address) === true
  if (program.loaded.overridesReturn && !addresses.every(mayOverride)) return -EINVAL

  const functions: ProbedFunction[] = []
  for (const [i, address] of addresses.entries()) {
    const cookie = cookies[i] as bigint
    const attached = core.runner.attach(program, address, cookie)
    const handler = (cpu: StoppedCpu) => attached.runAtProbe(cpu)
    const isEntry = core.port.symbolAt(address)?.address === address
    const probe = !isEntry
      ? -EINVAL
      : (flags & BPF_F_KPROBE_MULTI_RETURN) === 0
        ? core.probes.registerKprobe({ address, handler })
        : core.probes.registerKretprobe({ address, handler })
    if (typeof probe === 'number') {
      for (const registered of functions) registered.probe.unregister()
      return probe
    }
    functions.push({ address, cookie, probe })
  }
  return core.newLink(KprobeMultiLink, program, { functions, flags })
}

/** By address, or by name: one name that no function has is -ESRCH. */
function addressesOf({ core, process }: BpfCall, attr: Attr): BigUint64Array | readonly bigint[] | number {
  if (attr.addrs !== 0n) return readWords(process, attr.addrs, attr.cnt) ?? -EFAULT
  const names = readWords(process, attr.syms, attr.cnt)
  if (names === undefined) return -EFAULT
  const addresses: bigint[] = []
  for (const pointer of names) {
    const name = readString(process.memory, pointer, NAME_BYTES)
    if (typeof name === 'number') return name
    const symbol = core.port.symbolByName(name)
    if (symbol === undefined || !symbol.isFunction || core.symbolCount(name) !== 1) return -ESRCH
    addresses.push(symbol.address)
  }
  return addresses
}

function readWords({ memory }: KernelProcess, pointer: bigint, count: number): BigUint64Array | undefined {
  const bytes = readBytes(memory, pointer, 8 * count)
  return bytes === undefined ? undefined : new BigUint64Array(bytes.slice().buffer)
}
