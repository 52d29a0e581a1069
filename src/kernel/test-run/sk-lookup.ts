/** Test runs of socket look-ups. Source: bpf_prog_test_run_sk_lookup() of net/bpf/test_run.c of Linux. */
import { EAFNOSUPPORT, EINVAL, ENOMEM, ERANGE } from '../../abi/index.ts'
import {
  isZeroBetween,
  readContext,
  repeatRun,
  type TestRequest,
  writeContext,
  writeResult,
} from './request.ts'

const AF_INET = 2
const AF_INET6 = 10
const U16_MAX = 0xffff
const SK_PASS = 1n

/** Offsets in struct bpf_sk_lookup. */
const LOOKUP = {
  cookie: 0,
  family: 8,
  protocol: 12,
  remote_ip4: 16,
  remote_ip6: 20,
  remote_port: 36,
  local_ip4: 40,
  local_ip6: 44,
  local_port: 60,
  ingress_ifindex: 64,
} as const
const LOOKUP_BYTES = 72

export function runSocketLookup(request: TestRequest): number {
  const { attr, call, program } = request
  const { core } = call
  if (attr.flags !== 0 || attr.cpu !== 0 || attr.batch_size !== 0) return -EINVAL
  if (attr.data_in !== 0n || attr.data_size_in !== 0) return -EINVAL
  if (attr.data_out !== 0n || attr.data_size_out !== 0) return -EINVAL
  const given = readContext(request, LOOKUP_BYTES)
  if (typeof given === 'number') return given
  if (given === undefined || !isZeroBetween(given, LOOKUP.cookie, LOOKUP.cookie + 8)) return -EINVAL
  if (!isZeroBetween(given, LOOKUP.local_port + 4, LOOKUP_BYTES)) return -EINVAL
  const view = new DataView(given.buffer)
  if (view.getUint32(LOOKUP.local_port, true) > U16_MAX) return -ERANGE
  const family = view.getUint16(LOOKUP.family, true)
  if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT

  const offset = core.arena.allocate(LOOKUP_BYTES, { access: 'read' })
  if (offset === undefined) return -ENOMEM
  const context = lookupContext(given, family)
  const result = repeatRun(request, () => {
    core.arena.bytes.set(context, offset)
    const returned = core.runner.run(program, { cpu: 0, context: core.arena.address(offset) })
    // Whatever else a program returns counts as a pass.
    return returned === undefined ? undefined : BigInt.asUintN(32, returned) === 0n ? 0n : SK_PASS
  })
  core.arena.free(offset)
  if (typeof result === 'number') return result
  const written = writeResult(request, new Uint8Array(0), result)
  return written === 0 ? writeContext(request, given) : written
}

/** What the kernel takes of the caller's description: 16 bits of family, protocol and ports, one kind of addresses. */
function lookupContext(given: Uint8Array, family: number): Uint8Array {
  const context = given.slice()
  const view = new DataView(context.buffer)
  view.setUint32(LOOKUP.family, family, true)
  view.setUint16(LOOKUP.protocol + 2, 0, true)
  view.setUint16(LOOKUP.remote_port + 2, 0, true)
  const unused: readonly (readonly [number, number])[] =
    family === AF_INET
      ? [
          [LOOKUP.remote_ip6, 16],
          [LOOKUP.local_ip6, 16],
        ]
      : [
          [LOOKUP.remote_ip4, 4],
          [LOOKUP.local_ip4, 4],
        ]
  for (const [at, size] of unused) context.fill(0, at, at + size)
  return context
}
