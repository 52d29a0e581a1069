/** Directories as getdents64(2) lists them. Source: fs/readdir.c of Linux. */
import { Directory } from './bpffs.ts'

const NAME_OFFSET = 19
const DT_DIR = 4
const DT_REG = 8

/** The records from entry `first` on that fit `room` bytes, and how many; an entry that does not fit counts as one. */
export function listDirectory(
  directory: Directory,
  first: number,
  room: number,
): { readonly bytes: Uint8Array; readonly entries: number } {
  const all: readonly (readonly [string, number, number])[] = [
    ['.', directory.inode, DT_DIR],
    ['..', (directory.parent ?? directory).inode, DT_DIR],
    ...[...directory.entries].map(
      ([name, entry]) => [name, entry.inode, entry instanceof Directory ? DT_DIR : DT_REG] as const,
    ),
  ]
  const records: Uint8Array[] = []
  let used = 0
  for (let index = first; index < all.length; index++) {
    const [name, inode, type] = all[index] as (typeof all)[number]
    const text = new TextEncoder().encode(`${name}\0`)
    const record = new Uint8Array(Math.ceil((NAME_OFFSET + text.length) / 8) * 8)
    if (used + record.length > room) {
      if (records.length === 0) return { bytes: new Uint8Array(0), entries: 1 }
      break
    }
    const view = new DataView(record.buffer)
    view.setBigUint64(0, BigInt(inode), true)
    view.setBigUint64(8, BigInt(index + 1), true)
    view.setUint16(16, record.length, true)
    view.setUint8(18, type)
    record.set(text, NAME_OFFSET)
    records.push(record)
    used += record.length
  }
  const bytes = new Uint8Array(used)
  let at = 0
  for (const record of records) {
    bytes.set(record, at)
    at += record.length
  }
  return { bytes, entries: records.length }
}
