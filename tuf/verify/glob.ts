/**
 * Whether a delegation's path pattern covers a target path (specification 4.5): `*` is any run of characters but `/`,
 * `?` is one character but `/`, everything else is itself. Case matters, on every system.
 *
 * Time is bounded by pattern length times path length: no regular expression is made of outside text.
 */
export function matchesPath(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  return (
    wanted.length === given.length && wanted.every((segment, i) => matchesSegment([...segment], [...(given[i] ?? '')]))
  )
}

/** Greedy with one point to come back to: after a mismatch the last `*` takes one character more. */
function matchesSegment(pattern: readonly string[], text: readonly string[]): boolean {
  let p = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++
      resume = t
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++resume
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
