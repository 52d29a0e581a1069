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
  const found: { name: string; score: number }[] = []
  for (const name of names) {
    const contains = wanted.length >= 3 && name.toLowerCase().includes(lower)
    const distance =
      Math.abs(name.length - wanted.length) <= allowed ? editDistance(wanted, name, allowed) : Infinity
    // Containing the whole word is as good as a few edits, and better the less else there is.
    const score = Math.min(distance, contains ? 1 + (name.length - wanted.length) / 8 : Infinity)
    if (score !== Infinity) found.push({ name, score })
  }
  found.sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1))
  return found.slice(0, limit).map((entry) => entry.name)
}

/**
 * Optimal string alignment distance of `a` and `b`; `Infinity` where it exceeds `limit`. Replacing a letter by
 * its other case costs 0.5, everything else 1.
 */
export function editDistance(a: string, b: string, limit = Infinity): number {
  let beforeLast = new Float64Array(b.length + 1)
  let last = Float64Array.from({ length: b.length + 1 }, (_, j) => j)
  let row = new Float64Array(b.length + 1)
  for (let i = 1; i <= a.length; i++) {
    row[0] = i
    let least = i
    for (let j = 1; j <= b.length; j++) {
      const [x, y] = [a[i - 1] as string, b[j - 1] as string]
      const replace = x === y ? 0 : x.toLowerCase() === y.toLowerCase() ? 0.5 : 1
      let cost = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + replace,
      )
      if (i > 1 && j > 1 && x === b[j - 2] && a[i - 2] === y)
        cost = Math.min(cost, (beforeLast[j - 2] as number) + 1)
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
  const distance = last[b.length] as number
  return distance > limit ? Infinity : distance
}
