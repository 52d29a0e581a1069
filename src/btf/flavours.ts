/**
 * Which names hold three underscores in a row, as CO-RE's flavours do.
 *
 * A kernel's hundred thousand names have a handful of them: the strings are searched once, and names are then
 * compared by their places, without making a string of any.
 */
const UNDERSCORE = 0x5f

/** Indexes of the `nameOffsets` whose name holds `___`; offsets past the end of `strings` are left out. */
export function entriesWithFlavour(nameOffsets: Uint32Array, strings: Uint8Array): readonly number[] {
  const places = placesOfUnderscores(strings)
  if (places.length === 0) return []
  const entries: number[] = []
  for (let i = 0; i < nameOffsets.length; i++) {
    const offset = nameOffsets[i] as number
    if (offset >= strings.length) continue
    const place = places[firstNotBefore(places, offset)]
    if (place !== undefined && strings.indexOf(0, offset) > place) entries.push(i)
  }
  return entries
}

function placesOfUnderscores(strings: Uint8Array): readonly number[] {
  const places: number[] = []
  for (let at = strings.indexOf(UNDERSCORE); at >= 0; at = strings.indexOf(UNDERSCORE, at + 1)) {
    if (strings[at + 1] === UNDERSCORE && strings[at + 2] === UNDERSCORE) places.push(at)
  }
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
