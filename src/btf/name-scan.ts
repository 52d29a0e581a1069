/**
 * Finding a few names among a kernel's hundred thousand in one pass, without an index of them all.
 *
 * Two bytes rule nearly every name out: a table says which wanted names begin with them. What is left is compared. The
 * first pass writes down each name's two bytes, so that later ones read a quarter of a megabyte in a row.
 * `name-index.ts` is for many names, one after the other; both answer alike, which tests hold them to.
 */
const UNDERSCORE = 0x5f

/** What a pass finds of one name, each rising. */
export interface Found {
  /** Entries of exactly this name. */
  readonly exact: readonly number[]
  /** These, and those whose names go on with three underscores behind it. */
  readonly withFlavours: readonly number[]
}

export class NameScan {
  readonly #nameOffsets: Uint32Array
  readonly #strings: Uint8Array
  /** The first two bytes of each name, low one first; 0 for those that are empty. */
  #starts: Uint16Array | undefined

  /** `nameOffsets[i]` is where the name of entry `i` begins in `strings`; those past the end are left out. */
  constructor(nameOffsets: Uint32Array, strings: Uint8Array) {
    this.#nameOffsets = nameOffsets
    this.#strings = strings
  }

  /** All of `wanted` in one pass; nothing is called the empty name. */
  find(wanted: readonly string[]): ReadonlyMap<string, Found> {
    const encoder = new TextEncoder()
    const names = [...new Set(wanted)].map((name) => ({
      name,
      bytes: encoder.encode(name),
      exact: [] as number[],
      withFlavours: [] as number[],
    }))
    const isWanted = new Uint8Array(0x1_0000)
    const byStart = new Map<number, typeof names>()
    const put = (start: number, one: (typeof names)[number]): void => {
      isWanted[start] = 1
      byStart.set(start, [...(byStart.get(start) ?? []), one])
    }
    for (const one of names) {
      const [first, second] = one.bytes
      if (first === undefined) continue
      if (second !== undefined) put(first | (second << 8), one)
      else for (const behind of [0, UNDERSCORE]) put(first | (behind << 8), one)
    }
    this.#starts ??= this.#readStarts()
    const starts = this.#starts
    const strings = this.#strings
    for (let entry = 0; entry < starts.length; entry++) {
      const start = starts[entry] as number
      if (isWanted[start] === 0) continue
      const offset = this.#nameOffsets[entry] as number
      for (const { bytes, exact, withFlavours } of byStart.get(start) ?? []) {
        if (!isNameOrFlavour(strings, offset, bytes)) continue
        if (strings[offset + bytes.length] === 0) exact.push(entry)
        withFlavours.push(entry)
      }
    }
    return new Map(names.map(({ name, exact, withFlavours }) => [name, { exact, withFlavours }]))
  }

  #readStarts(): Uint16Array {
    const offsets = this.#nameOffsets
    const strings = this.#strings
    const starts = new Uint16Array(offsets.length)
    const last = strings.length - 1
    for (let entry = 0; entry < offsets.length; entry++) {
      const offset = offsets[entry] as number
      if (offset >= last) continue
      starts[entry] = (strings[offset] as number) | ((strings[offset + 1] as number) << 8)
    }
    return starts
  }
}

function isNameOrFlavour(strings: Uint8Array, offset: number, name: Uint8Array): boolean {
  for (let i = 2; i < name.length; i++) if (strings[offset + i] !== name[i]) return false
  const end = offset + name.length
  if (strings[end] === 0) return true
  return strings[end] === UNDERSCORE && strings[end + 1] === UNDERSCORE && strings[end + 2] === UNDERSCORE
}
