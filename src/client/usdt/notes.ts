/**
 * The places in an executable that its author marked for tracing (USDT, `DTRACE_PROBE()` of sys/sdt.h): notes that name
 * an instruction, what it is about, and where the arguments are.
 *
 *   .note.stapsdt, each note: u32 name bytes, u32 description bytes, u32 type 3, "stapsdt\0", the description:
 *   u64 address of the instruction | u64 address of .stapsdt.base | u64 address of the semaphore, or 0 |
 *   provider NUL name NUL arguments NUL
 *
 * A linker that moved the file's addresses after they were written did not touch the notes: how far `.stapsdt.base`
 * has gone from where they say it is, they all have gone.
 *
 * Source: https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation.
 */
import type { ElfFile } from '../../elf/index.ts'
import { fileOffsetOf } from '../executable-place.ts'

export interface UsdtNote {
  readonly provider: string
  readonly name: string
  /** As the compiler wrote them: `-4@%edi 8@-16(%rbp)`. */
  readonly arguments: string
  /** As the file was linked. */
  readonly address: bigint
  /** Bytes from the start of the file. */
  readonly fileOffset: bigint
  /** Of the counter of those who trace, that the program looks at; 0 where it has none. */
  readonly semaphoreFileOffset: bigint
}

const NOTE_TYPE = 3
const OWNER = 'stapsdt'
const HEADER_BYTES = 12
const ADDRESSES_BYTES = 24

/** All notes of the file, or what is wrong with one. */
export function readUsdtNotes(file: ElfFile): readonly UsdtNote[] | string {
  const section = file.section('.note.stapsdt')
  if (section === undefined) return []
  const { data } = section
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const little = file.byteOrder === 'little'
  const notes: UsdtNote[] = []
  for (let at = 0; at < data.length; ) {
    if (at + HEADER_BYTES > data.length) return `a note at byte ${at} of .note.stapsdt is cut off`
    const nameBytes = view.getUint32(at, little)
    const bytes = view.getUint32(at + 4, little)
    const type = view.getUint32(at + 8, little)
    const start = at + HEADER_BYTES + align4(nameBytes)
    if (start + bytes > data.length) return `a note at byte ${at} of .note.stapsdt is cut off`
    const owner = textAt(data, at + HEADER_BYTES, nameBytes)
    if (type === NOTE_TYPE && owner === OWNER) {
      const note = readNote(file, data.subarray(start, start + bytes), little)
      if (typeof note === 'string') return `a note at byte ${at} of .note.stapsdt: ${note}`
      notes.push(note)
    }
    at = start + align4(bytes)
  }
  return notes
}

const align4 = (bytes: number): number => (bytes + 3) & ~3

function readNote(file: ElfFile, bytes: Uint8Array, little: boolean): UsdtNote | string {
  if (bytes.length < ADDRESSES_BYTES + 3) return `a description of ${bytes.length} bytes`
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const texts = new TextDecoder().decode(bytes.slice(ADDRESSES_BYTES)).split('\0')
  const [provider, name, given] = texts
  if (!provider || !name || given === undefined || texts.length < 4) return 'no provider and name'
  const base = view.getBigUint64(8, little)
  const moved = base === 0n ? 0n : (file.section('.stapsdt.base')?.address ?? base) - base
  const address = BigInt.asUintN(64, view.getBigUint64(0, little) + moved)
  const fileOffset = fileOffsetOf(file, address)
  if (fileOffset === undefined) {
    return `the address 0x${address.toString(16)} of '${provider}:${name}' lies in no loaded segment`
  }
  const semaphore = view.getBigUint64(16, little)
  const semaphoreFileOffset =
    semaphore === 0n ? 0n : fileOffsetOf(file, BigInt.asUintN(64, semaphore + moved))
  if (semaphoreFileOffset === undefined) {
    return `the semaphore of '${provider}:${name}' lies in no loaded segment`
  }
  return { provider, name, arguments: given, address, fileOffset, semaphoreFileOffset }
}

/** Up to the first NUL of `length` bytes. */
function textAt(data: Uint8Array, start: number, length: number): string {
  const bytes = data.subarray(start, start + length)
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(bytes.slice(0, end < 0 ? bytes.length : end))
}
