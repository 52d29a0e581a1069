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
  // A name may begin in the middle of a string, where linkers let strings share their ends.
  const starts = places.map((place) => strings.lastIndexOf(0, place) + 1)
  const entries: number[] = []
  for (let i = 0; i < nameOffsets.length; i++) {
    const offset = nameOffsets[i] as number
    const next = firstNotBefore(places, offset)
    if (next < places.length && offset >= (starts[next] as number)) entries.push(i)
  }
  return entries
}

/** Where three underscores begin, rising. Every third byte is enough to look at: one of three is the first of them. */
function placesOfUnderscores(strings: Uint8Array): readonly number[] {
  const places: number[] = []
  for (let at = 2; at < strings.length; at += 3) {
    if (strings[at] !== UNDERSCORE) continue
    let from = at
    while (strings[from - 1] === UNDERSCORE) from--
    let to = at + 1
    while (strings[to] === UNDERSCORE) to++
    for (let place = from; place + 3 <= to; place++) places.push(place)
    // The next byte to look at is three behind the run.
    at = to - 1
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
