/** Names of types as bpftool writes them: those of Linux in small letters, without what all have in common. */
import { BPF_ATTACH_TYPE, BPF_LINK_TYPE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'

const wordOf = (table: Readonly<Record<string, number>>, prefix: string, type: number): string | undefined =>
  Object.entries(table)
    .find(([name, value]) => value === type && !name.endsWith('_DEPRECATED'))?.[0]
    .replace(prefix, '')
    .toLowerCase()

export const programTypeWord = (type: number) => wordOf(BPF_PROG_TYPE, 'BPF_PROG_TYPE_', type)
export const mapTypeWord = (type: number) => wordOf(BPF_MAP_TYPE, 'BPF_MAP_TYPE_', type)
export const linkTypeWord = (type: number) => wordOf(BPF_LINK_TYPE, 'BPF_LINK_TYPE_', type)
export const attachTypeWord = (type: number) => wordOf(BPF_ATTACH_TYPE, 'BPF_', type)

/** All map types that can be made, by their words. */
export const mapTypesByWord: ReadonlyMap<string, number> = byWord(BPF_MAP_TYPE, 'BPF_MAP_TYPE_')
/** All program types, by their words. */
export const programTypesByWord: ReadonlyMap<string, number> = byWord(BPF_PROG_TYPE, 'BPF_PROG_TYPE_')

function byWord(table: Readonly<Record<string, number>>, prefix: string): Map<string, number> {
  const words = new Map<string, number>()
  for (const [name, value] of Object.entries(table)) {
    if (value !== 0 && !name.endsWith('_DEPRECATED')) words.set(name.replace(prefix, '').toLowerCase(), value)
  }
  return words
}

/** `hash  ` or `type 99  `, as plain lists have it. */
export const typeColumn = (word: string | undefined, type: number): string => `${word ?? `type ${type}`}  `
