/** Whether `text` as a whole is of the form `pattern`: `*` stands for any characters, `?` for one. Time is at most the product of the lengths. */
export function matchesGlob(pattern: string, text: string): boolean {
  let [at, star, behindStar] = [0, -1, 0]
  let p = 0
  while (at < text.length) {
    if (pattern[p] === '*') {
      star = p++
      behindStar = at
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[at])) {
      p++
      at++
    } else if (star >= 0) {
      // What stands behind the star is tried one character further on.
      p = star + 1
      at = ++behindStar
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
