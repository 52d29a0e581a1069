import type { BpfMap } from '../../maps/index.ts'
import type { KernelCore } from '../core.ts'

/**
 * What stands for a control group's storage in a test run: one value of zeroes for each map, which lives through all of
 * its repeats.
 *
 * Source: bpf_test_run() of net/bpf/test_run.c of Linux.
 */
export class LocalStorages implements Disposable {
  readonly #core: KernelCore
  readonly #blocks = new Map<BpfMap, number>()

  constructor(core: KernelCore) {
    this.#core = core
  }

  /** Address of the value; undefined: there is no memory. */
  of(map: BpfMap): bigint | undefined {
    const { arena } = this.#core
    const block = this.#blocks.get(map) ?? arena.allocate(map.definition.valueSize)
    if (block === undefined) return undefined
    this.#blocks.set(map, block)
    return arena.address(block)
  }

  [Symbol.dispose](): void {
    const blocks = [...this.#blocks.values()]
    this.#core.grace.defer(() => {
      for (const block of blocks) this.#core.arena.free(block)
    })
  }
}
