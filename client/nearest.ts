/** The known name that a misspelt one most likely meant, if any is close. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const most = Math.max(2, Math.floor(name.length / 3))
  const alike = [...known].filter((each) => Math.abs(each.length - name.length) <= most)
  const ranked = alike.map((each) => ({ each, away: distance(name.toLowerCase(), each.toLowerCase()) }))
  const [best] = ranked.toSorted((a, b) => a.away - b.away)
  return best !== undefined && best.away <= most ? best.each : undefined
}

/** How many letters have to be put in, taken out or changed: Levenshtein's, row by row. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
