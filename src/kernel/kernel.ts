import { InProcessClient } from './client.ts'
import { KernelCore } from './core.ts'
import type { Port } from './port.ts'
import { KernelProcess } from './process.ts'
import type {
  Client,
  ClientOptions,
  Kernel,
  KernelOptions,
  KernelStats,
  Process,
  ProcessOptions,
  ProgramFault,
} from './types.ts'

/** The eBPF subsystem over one operating system. Disposing it removes every probe and restores the text. */
export function createKernel(options: KernelOptions): Kernel {
  return new KernelInstance(new KernelCore(options))
}

class KernelInstance implements Kernel {
  readonly port: Port
  readonly #core: KernelCore

  constructor(core: KernelCore) {
    this.port = core.port
    this.#core = core
  }

  createProcess(options: ProcessOptions): Process {
    return new KernelProcess(this.#core, options)
  }

  openClient(options: ClientOptions = {}): Client {
    return new InProcessClient(this.#core, options)
  }

  stats(): KernelStats {
    const { maps, programs, links, btfs, objects, processes, probes, runner, tracePipe, arena } = this.#core
    let descriptors = 0
    for (const process of processes) descriptors += process.table.size
    return {
      maps: maps.size,
      programs: programs.size,
      links: links.size,
      btfs: [...btfs.values()].filter(({ isKernel }) => !isKernel).length,
      objects: objects.size,
      descriptors,
      probes: probes.size,
      recursionMisses: runner.recursionMisses,
      faults: runner.faultCount,
      traceLinesLost: tracePipe.lost,
      arenaBytesInUse: arena.allocatedBytes,
    }
  }

  nextTimerNs(): bigint | undefined {
    return this.#core.timed.nextNs()
  }

  runTimers(): void {
    this.#core.timed.runDue()
  }

  faults(): readonly ProgramFault[] {
    return [...this.#core.runner.faults]
  }

  [Symbol.dispose](): void {
    this.#core[Symbol.dispose]()
  }
}
