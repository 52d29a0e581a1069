/** Finding the names that a misspelt one may have meant. */

/**
 * Up to `limit` of `names` that are near `wanted`, nearest first, ties in alphabetical order.
 *
 * Near means an edit distance (insert, delete, replace, swap of neighbours; letter case costs half) of at most
 * a third of the length of `wanted`, or a name in which all of `wanted` occurs (`openat` finds `sys_openat`).
 */
export function closestNames(wanted: string, names: Iterable<string>, limit: number): readonly string[] {
  if (wanted === '' || limit <= 0) return []
  const allowed = Math.max(1, Math.floor(wanted.length / 3))
  const lower = wanted.toLowerCase()
  const letters = lettersOf(wanted)
  const found: { name: string; score: number }[] = []
  for (const name of names) {
    const contains = wanted.length >= 3 && name.toLowerCase().includes(lower)
    const isNear =
      Math.abs(name.length - wanted.length) <= allowed && differingLetters(letters, name) <= 2 * allowed
    const distance = isNear ? editDistance(wanted, name, allowed) : Infinity
    // Containing the whole word is as good as a few edits, and better the less else there is.
    const score = Math.min(distance, contains ? 1 + (name.length - wanted.length) / 8 : Infinity)
    if (score !== Infinity) found.push({ name, score })
  }
  found.sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1))
  return found.slice(0, limit).map((entry) => entry.name)
}

/** The set of letters of a name, 32 classes of them, letter case aside. */
function lettersOf(name: string): number {
  let set = 0
  for (let i = 0; i < name.length; i++) set |= 1 << (name.charCodeAt(i) & 31)
  return set
}

/** Letters that only one of the two has: an edit changes at most two. A quick no for most names. */
function differingLetters(letters: number, name: string): number {
  let count = 0
  for (let set = letters ^ lettersOf(name); set !== 0; set &= set - 1) count++
  return count
}

/**
 * Optimal string alignment distance of `a` and `b`; `Infinity` where it exceeds `limit`. Replacing a letter by
 * its other case costs 0.5, everything else 1.
 */
export function editDistance(a: string, b: string, limit = Infinity): number {
  // What both begin and end with costs nothing, and is most of two names that are near.
  let start = 0
  while (start < a.length && start < b.length && a.charCodeAt(start) === b.charCodeAt(start)) start++
  let [endA, endB] = [a.length, b.length]
  while (endA > start && endB > start && a.charCodeAt(endA - 1) === b.charCodeAt(endB - 1)) {
    endA--
    endB--
  }
  const [rows, columns] = [endA - start, endB - start]
  if (Math.abs(rows - columns) > limit) return Infinity
  let beforeLast = new Float64Array(columns + 1)
  let last = new Float64Array(columns + 1)
  let row = new Float64Array(columns + 1)
  for (let j = 0; j <= columns; j++) last[j] = j
  for (let i = 1; i <= rows; i++) {
    const x = a.charCodeAt(start + i - 1)
    row[0] = i
    let least = i
    for (let j = 1; j <= columns; j++) {
      const y = b.charCodeAt(start + j - 1)
      let cost = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + replaceCost(x, y),
      )
      const isSwap = i > 1 && j > 1 && x === b.charCodeAt(start + j - 2) && a.charCodeAt(start + i - 2) === y
      if (isSwap) cost = Math.min(cost, (beforeLast[j - 2] as number) + 1)
      row[j] = cost
      if (cost < least) least = cost
    }
    // A swap looks two rows back, so a row over the limit ends the search only if its forerunner is too.
    if (least > limit + 1) return Infinity
    const free = beforeLast
    beforeLast = last
    last = row
    row = free
  }
  const distance = last[columns] as number
  return distance > limit ? Infinity : distance
}

function replaceCost(x: number, y: number): number {
  if (x === y) return 0
  const isCase = (x ^ y) === 0x20 && (x | 0x20) >= 0x61 && (x | 0x20) <= 0x7a
  return isCase ? 0.5 : 1
}
