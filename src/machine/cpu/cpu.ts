/** The generated CPU with its memory, instantiated. */
import { CodeCache } from './code-cache.ts'
import { writeCsrDescriptors } from './csrs.ts'
import type { CpuExports } from './interpreter.ts'
import { buildCpuModule } from './interpreter.ts'
import type { MemoryMap } from './layout.ts'
import { hartTlb, memoryMap, savedHart, slot, TLB_BYTES } from './layout.ts'

/** What the CPU asks of the bus. Physical addresses below 4 GiB; `bytes` is 1, 2, 4 or 8, aligned. */
export interface DeviceAccess {
  /** Low and high half of the value in `value`, or false where nothing answers. */
  load(address: number, bytes: number, value: Uint32Array): boolean
  store(address: number, bytes: number, low: number, high: number): boolean
}

export interface Cpu {
  readonly map: MemoryMap
  readonly exports: CpuExports
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly doubles: BigInt64Array
  readonly code: CodeCache
  /** Empties all TLBs of all harts. */
  flushAllTlbs(): void
}

export function createCpu(
  ramBytes: number,
  codeCacheBytes: number,
  harts: number,
  devices: DeviceAccess,
): Cpu {
  const map = memoryMap(ramBytes, codeCacheBytes)
  const memory = new WebAssembly.Memory({ initial: (map.ram + ramBytes) / 65536 })
  const buffer = memory.buffer
  const bytes = new Uint8Array(buffer)
  const words = new Int32Array(buffer)
  const mmioValue = new Uint32Array(buffer, slot.mmioValue, 2)

  const flushAllTlbs = () => {
    bytes.fill(0xff, hartTlb(0), hartTlb(0) + harts * TLB_BYTES)
    // The running hart's count and the saved ones: which one runs does not matter.
    words[slot.fills >>> 2] = 0
    for (let i = 0; i < harts; i++) words[(savedHart(i) + slot.fills) >>> 2] = 0
  }
  const code = new CodeCache(map, buffer, flushAllTlbs)
  flushAllTlbs()
  writeCsrDescriptors(new DataView(buffer))

  const instance = new WebAssembly.Instance(new WebAssembly.Module(buildCpuModule(map)), {
    env: {
      memory,
      deviceLoad: (address: number, size: number) => (devices.load(address >>> 0, size, mmioValue) ? 0 : 1),
      deviceStore: (address: number, size: number) =>
        devices.store(address >>> 0, size, mmioValue[0] as number, mmioValue[1] as number) ? 0 : 1,
      codeStore: (ramOffset: number, size: number) => code.beforeStore(ramOffset >>> 0, size),
    },
  })
  return {
    map,
    exports: instance.exports as unknown as CpuExports,
    bytes,
    words,
    doubles: new BigInt64Array(buffer),
    code,
    flushAllTlbs,
  }
}
