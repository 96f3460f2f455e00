/** Whether any tag at all can be within two scopes: a role may sign only what every role above it may sign too. */
import type { Scope } from '../../tuf/index.ts'

/** What another tool's hash prefixes cover cannot be told from a pattern, so these may meet anything. */
export function mayMeet(one: Scope, other: Scope): boolean {
  if (one.kind === 'paths' && other.kind === 'paths')
    return one.paths.some((a) => other.paths.some((b) => patternsMeet(a, b)))
  if (one.kind === 'path-prefixes' && other.kind === 'path-prefixes')
    return one.prefixes.some((a) => other.prefixes.some((b) => a.startsWith(b) || b.startsWith(a)))
  return true
}

/** Part by part, as patterns are matched: `*` is any run of characters but `/`, `?` is one of them. */
function patternsMeet(a: string, b: string): boolean {
  const [parts, others] = [a.split('/'), b.split('/')]
  return parts.length === others.length && parts.every((part, i) => partsMeet([...part], [...(others[i] ?? '')]))
}

/** From the end: `row[j]` says whether what is left of `a` and what `b` has from `j` on can be the same text. */
function partsMeet(a: readonly string[], b: readonly string[]): boolean {
  let below: readonly boolean[] = []
  for (let i = a.length; i >= 0; i--) {
    const row: boolean[] = []
    for (let j = b.length; j >= 0; j--) row[j] = meetAt(a[i], b[j], { a: below[j], b: row[j + 1], both: below[j + 1] })
    below = row
  }
  return below[0] === true
}

type Rest = Readonly<Record<'a' | 'b' | 'both', boolean | undefined>>

/** `rest`: the same with one more of `a`, of `b`, and of both behind us. */
function meetAt(x: string | undefined, y: string | undefined, rest: Rest): boolean {
  if (x === undefined && y === undefined) return true
  if (x === '*' || y === '*') {
    const isEmpty = x === '*' ? rest.a : rest.b
    const takesOne = x === '*' ? y !== undefined && rest.b : x !== undefined && rest.a
    return isEmpty === true || takesOne === true
  }
  if (x === undefined || y === undefined) return false
  return (x === y || x === '?' || y === '?') && rest.both === true
}
