/**
 * Finding a few names among a kernel's hundred thousand in one pass, without an index of them all.
 *
 * Two bytes rule nearly every name out: a table says which wanted names begin with them. What is left is compared.
 * `name-index.ts` is for names that are not known beforehand; both answer alike, which tests hold them to.
 */
const UNDERSCORE = 0x5f

/**
 * Tells `onFound` of every entry whose name is one of `wanted` or goes on with three underscores behind it, rising.
 * `nameOffsets[i]` is where the name of entry `i` begins in `strings`; those past the end are left out.
 */
export function scanNames(
  nameOffsets: Uint32Array,
  strings: Uint8Array,
  wanted: readonly string[],
  onFound: (name: string, entry: number) => void,
): void {
  const encoder = new TextEncoder()
  const names = [...new Set(wanted)]
    .filter((name) => name !== '')
    .map((name) => ({ name, bytes: encoder.encode(name) }))
  const isWanted = new Uint8Array(0x1_0000)
  const byStart = new Map<number, typeof names>()
  const put = (start: number, one: (typeof names)[number]): void => {
    isWanted[start] = 1
    byStart.set(start, [...(byStart.get(start) ?? []), one])
  }
  for (const one of names) {
    const [first, second] = one.bytes as unknown as [number, number | undefined]
    if (second !== undefined) put(first | (second << 8), one)
    else for (const behind of [0, UNDERSCORE]) put(first | (behind << 8), one)
  }
  const last = strings.length - 1
  for (let entry = 0; entry < nameOffsets.length; entry++) {
    const offset = nameOffsets[entry] as number
    if (offset >= last) continue
    const start = (strings[offset] as number) | ((strings[offset + 1] as number) << 8)
    if (isWanted[start] === 0) continue
    for (const { name, bytes } of byStart.get(start) ?? []) {
      if (isNameOrFlavour(strings, offset, bytes)) onFound(name, entry)
    }
  }
}

function isNameOrFlavour(strings: Uint8Array, offset: number, name: Uint8Array): boolean {
  for (let i = 2; i < name.length; i++) if (strings[offset + i] !== name[i]) return false
  const end = offset + name.length
  if (strings[end] === 0) return true
  return strings[end] === UNDERSCORE && strings[end + 1] === UNDERSCORE && strings[end + 2] === UNDERSCORE
}
