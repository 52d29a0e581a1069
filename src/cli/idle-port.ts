/** An operating system in which nothing happens: what test runs of programs need of one. */
import { EFAULT } from '../abi/index.ts'
import type { Port } from '../kernel/index.ts'

/** `cpuCount` CPUs without tasks, symbols or memory, and a clock. */
export function idlePort(nowNs: () => bigint, cpuCount = 1): Port {
  return {
    name: 'idle',
    architecture: 'riscv64',
    cpuCount,
    stepArea: { address: 0n, sizeBytes: 0 },
    readText: () => -EFAULT,
    patchText: () => -EFAULT,
    setTrapHandlers() {},
    readKernel: () => -EFAULT,
    writeKernel: () => -EFAULT,
    readUser: () => -EFAULT,
    writeUser: () => -EFAULT,
    symbols: () => [],
    symbolByName: () => undefined,
    symbolAt: () => undefined,
    typeInformation: () => undefined,
    currentTask: () => undefined,
    clockNs: nowNs,
  }
}
