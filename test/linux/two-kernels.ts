/** This project's kernel and the Linux that runs the tests, side by side. */
import { expect } from 'vitest'
import { possibleCpuCount } from '../../src/client/index.ts'
import { type Client, createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { type LinuxSyscalls, LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'

export interface BothKernels extends Disposable {
  readonly linux: LinuxSyscalls
  /** With as many CPUs. */
  readonly ours: Client
  readonly cpuCount: number
  /** Nothing is allocated, open or attached on Linux. */
  expectNothingLeft(): void
}

/** Both, or why there is no Linux. */
export function openBoth(): BothKernels | string {
  const linux = openLinux()
  if (linux instanceof LinuxUnavailable) return linux.message
  const cpuCount = possibleCpuCount(linux)
  const kernel = createKernel({ port: new TinyPort({ cpuCount }) })
  const ours = kernel.openClient()
  return {
    linux,
    ours,
    cpuCount,
    expectNothingLeft() {
      expect(linux.openDescriptors).toEqual([])
      expect(linux.memory.allocations).toBe(0)
    },
    [Symbol.dispose]() {
      ours[Symbol.dispose]()
      kernel[Symbol.dispose]()
      linux[Symbol.dispose]()
    },
  }
}

export const u32 = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer)
export const u64 = (...values: bigint[]) => new Uint8Array(BigUint64Array.from(values).buffer)
