/**
 * Which names hold three underscores in a row, as CO-RE's flavours do.
 *
 * A kernel's hundred thousand names have a handful of them: the strings are searched once, and names are then
 * compared by their places, without making a string of any.
 */
/** Indexes of the `nameOffsets` whose name holds `___`; offsets past the end of `strings` are left out. */
export function entriesWithFlavour(nameOffsets: Uint32Array, strings: Uint8Array): readonly number[] {
  const places = placesOfUnderscores(strings)
  const last = places.at(-1)
  if (last === undefined) return []
  // A name may begin in the middle of a string, where linkers let strings share their ends.
  const starts = places.map((place) => strings.lastIndexOf(0, place) + 1)
  const first = starts[0] as number
  const entries: number[] = []
  for (let i = 0; i < nameOffsets.length; i++) {
    const offset = nameOffsets[i] as number
    if (offset < first || offset > last) continue
    const next = firstNotBefore(places, offset)
    if (next < places.length && offset >= (starts[next] as number)) entries.push(i)
  }
  return entries
}

/** Where three underscores begin, rising. As a text of one character a byte, the strings are searched natively. */
function placesOfUnderscores(strings: Uint8Array): readonly number[] {
  const text = new TextDecoder('latin1').decode(strings)
  const places: number[] = []
  for (let at = text.indexOf('___'); at >= 0; at = text.indexOf('___', at + 1)) places.push(at)
  return places
}

/** Index of the first place that is not before `offset`. */
function firstNotBefore(places: readonly number[], offset: number): number {
  let [low, high] = [0, places.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((places[middle] as number) < offset) low = middle + 1
    else high = middle
  }
  return low
}
