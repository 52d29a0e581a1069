import { EINVAL, enableStatsAttr } from '../../abi/index.ts'
import { OpenFile } from '../open-file.ts'
import type { ProgramRunner } from '../runner.ts'
import type { BpfCall } from './call.ts'

const BPF_STATS_RUN_TIME = 0

/** Run times are measured while at least one of these is open. */
class StatsFile extends OpenFile {
  readonly #runner: ProgramRunner

  constructor(runner: ProgramRunner) {
    super()
    this.#runner = runner
    runner.measuring++
  }

  protected end(): void {
    this.#runner.measuring--
  }
}

/** BPF_ENABLE_STATS: a descriptor that keeps statistics on until it is closed. */
export function enableStats({ core, process, attr }: BpfCall): number {
  if (enableStatsAttr.read(attr).type !== BPF_STATS_RUN_TIME) return -EINVAL
  return process.install(new StatsFile(core.runner), true)
}
