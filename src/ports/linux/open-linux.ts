/** The running Linux as a kernel for the client. */
import { createRequire } from 'node:module'
import { BPF_CMD, BPF_MAP_TYPE, EACCES, EINVAL, EPERM, errnoName, mapCreateAttr } from '../../abi/index.ts'
import { bindLibc, type Koffi, type Libc } from './libc.ts'
import { LinuxSyscalls } from './linux-syscalls.ts'
import { systemCallNumbers } from './system-calls.ts'
import { LinuxUnavailable } from './unavailable.ts'

/** Where this process runs; tests pretend. */
export interface Host {
  readonly platform: string
  readonly architecture: string
  /** Loads koffi, or throws. */
  loadKoffi(): unknown
}

const thisHost: Host = {
  platform: process.platform,
  architecture: process.arch,
  loadKoffi: () => createRequire(import.meta.url)('koffi'),
}

/**
 * System calls on this machine's own kernel, or why there are none. Needs Linux on 64 bits, the package `koffi`,
 * and CAP_BPF (for tracing CAP_PERFMON too), which root has.
 */
export function openLinux(): LinuxSyscalls | LinuxUnavailable {
  return openLinuxOn(thisHost)
}

export function openLinuxOn(host: Host): LinuxSyscalls | LinuxUnavailable {
  if (host.platform !== 'linux') {
    return new LinuxUnavailable('not-linux', `this is ${host.platform}, not Linux`)
  }
  const numbers = systemCallNumbers[host.architecture]
  if (numbers === undefined) {
    const known = Object.keys(systemCallNumbers).join(', ')
    return new LinuxUnavailable(
      'architecture',
      `system call numbers of ${host.architecture} are not known here, only ${known}`,
    )
  }
  let koffi: Koffi
  try {
    koffi = host.loadKoffi() as Koffi
  } catch (error) {
    return new LinuxUnavailable(
      'no-koffi',
      `the optional package 'koffi' does not load (npm install koffi): ${firstLine(error)}`,
    )
  }
  let libc: Libc
  try {
    libc = bindLibc(koffi, numbers)
  } catch (error) {
    return new LinuxUnavailable('no-libc', `the C library cannot be called: ${firstLine(error)}`)
  }
  const syscalls = new LinuxSyscalls(libc)
  const refusal = whyRefused(syscalls)
  if (refusal === undefined) return syscalls
  syscalls[Symbol.dispose]()
  return refusal
}

/** Tries what needs CAP_BPF wherever it is asked for: a map of a type that was never for everyone. */
function whyRefused(syscalls: LinuxSyscalls): LinuxUnavailable | undefined {
  const attr = mapCreateAttr.encode({
    map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_STACK,
    value_size: 4,
    max_entries: 1,
  })
  // As far as the members that are set: an old kernel knows no more.
  const sizeBytes = mapCreateAttr.offsets.inner_map_fd
  const pointer = syscalls.memory.allocate(sizeBytes)
  syscalls.memory.view(pointer, sizeBytes).set(attr.subarray(0, sizeBytes))
  const result = syscalls.bpf(BPF_CMD.BPF_MAP_CREATE, pointer, sizeBytes)
  syscalls.memory.free(pointer)
  if (result >= 0) {
    syscalls.close(result)
    return undefined
  }
  switch (-result) {
    case EPERM:
    case EACCES:
      return new LinuxUnavailable(
        'not-permitted',
        `bpf(2) answers ${errnoName(result)}: run as root, or with CAP_BPF (and CAP_PERFMON to trace)`,
        -result,
      )
    default:
      return new LinuxUnavailable(
        'no-bpf',
        `bpf(2) answers ${errnoName(result)}${-result === EINVAL ? ': this kernel is older than 4.20' : ''}`,
        -result,
      )
  }
}

const firstLine = (error: unknown): string =>
  String(error instanceof Error ? error.message : error).split('\n')[0] ?? ''
