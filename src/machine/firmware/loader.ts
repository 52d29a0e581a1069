/** Puts a kernel into RAM: the loadable segments of an ELF file, or a flat image. */
import { RAM_BASE } from '../cpu/layout.ts'

/** Why a kernel cannot be loaded; `offset` is where in the file. */
export interface LoadError {
  readonly offset: number
  readonly expected: string
  readonly found: string
}

export type LoadResult =
  | { readonly ok: true; readonly entry: number; readonly end: number }
  | { readonly ok: false; readonly error: LoadError }

const elf = { entry: 24, programHeaders: 32, headerSize: 54, headerCount: 56 } as const
const segment = { offset: 8, physical: 24, fileSize: 32, memorySize: 40 } as const
const PT_LOAD = 1
const EM_RISCV = 243
const ELF_HEADER_BYTES = 64

const fail = (offset: number, expected: string, found: string): LoadResult => ({
  ok: false,
  error: { offset, expected, found },
})

/**
 * Loads the segments of a 64-bit little-endian RISC-V executable at their physical addresses. The entry is a
 * physical address too: a virtual one is moved with the segment that holds it.
 *
 * Source: System V ABI, chapter 5 (program header); RISC-V ELF psABI.
 */
export function loadElf(file: Uint8Array, ram: Uint8Array): LoadResult {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  if (file.length < ELF_HEADER_BYTES) return fail(0, 'an ELF header of 64 bytes', `a file of ${file.length}`)
  if (view.getUint32(0) !== 0x7f454c46) return fail(0, 'the ELF magic', hexBytes(file.subarray(0, 4)))
  if (file[4] !== 2 || file[5] !== 1) {
    return fail(4, 'a 64-bit little-endian file', `class ${file[4]}, data ${file[5]}`)
  }
  if (view.getUint16(18, true) !== EM_RISCV) {
    return fail(18, `machine ${EM_RISCV} (RISC-V)`, `machine ${view.getUint16(18, true)}`)
  }
  const word = (at: number) => Number(view.getBigUint64(at, true))
  const table = word(elf.programHeaders)
  const size = view.getUint16(elf.headerSize, true)
  const count = view.getUint16(elf.headerCount, true)
  if (count > 0 && (size < 56 || table + size * count > file.length)) {
    return fail(
      elf.programHeaders,
      'program headers inside the file',
      `${count} of ${size} bytes at ${table}`,
    )
  }
  const virtualEntry = view.getBigUint64(elf.entry, true)
  let entry = Number(virtualEntry)
  let end = 0
  for (let i = 0; i < count; i++) {
    const at = table + i * size
    if (view.getUint32(at, true) !== PT_LOAD) continue
    const from = word(at + segment.offset)
    const fileSize = word(at + segment.fileSize)
    const memorySize = word(at + segment.memorySize)
    const physical = word(at + segment.physical)
    const to = physical - RAM_BASE
    if (from + fileSize > file.length || fileSize > memorySize) {
      return fail(at, 'a segment inside the file', `${fileSize} bytes at ${from} of ${file.length}`)
    }
    if (memorySize === 0) continue
    if (to < 0 || to + memorySize > ram.length) {
      return fail(
        at,
        `a segment inside RAM (0x${RAM_BASE.toString(16)}, ${ram.length} bytes)`,
        `${memorySize} bytes at 0x${physical.toString(16)}`,
      )
    }
    ram.set(file.subarray(from, from + fileSize), to)
    ram.fill(0, to + fileSize, to + memorySize)
    end = Math.max(end, to + memorySize)
    const virtual = view.getBigUint64(at + 16, true)
    if (virtualEntry >= virtual && virtualEntry < virtual + BigInt(memorySize)) {
      entry = physical + Number(virtualEntry - virtual)
    }
  }
  if (end === 0) return fail(table, 'a loadable segment', `none among ${count} program headers`)
  return { ok: true, entry, end: RAM_BASE + end }
}

/** Copies a flat image to a physical address, which is its entry too. */
export function loadImage(image: Uint8Array, physical: number, ram: Uint8Array): LoadResult {
  const to = physical - RAM_BASE
  if (to < 0 || to + image.length > ram.length) {
    return fail(0, `an image that fits ${ram.length} bytes of RAM`, `${image.length} bytes`)
  }
  ram.set(image, to)
  // A Linux image says how much memory it wants to itself (boot-image-header, `image_size`).
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const isLinux = image.length >= 64 && view.getUint32(56, true) === 0x05435352
  const size = isLinux ? Math.max(Number(view.getBigUint64(16, true)), image.length) : image.length
  return { ok: true, entry: physical, end: physical + size }
}

const hexBytes = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
