/**
 * Whether a pattern of repository names covers a name: `*` is any run of characters within a segment, `**` any run at
 * all, everything else is itself. `registry.example.com/team/*` covers `…/team/app` and not `…/team/app/tools`.
 *
 * Time is bounded by pattern length times name length: no regular expression is made of outside text.
 */
export function covers(pattern: string, name: string): boolean {
  let reached = new Set([0])
  for (const token of tokensOf(pattern)) {
    reached = token === '*' || token === '**' ? spread(reached, name, token) : step(reached, name, token)
    if (reached.size === 0) return false
  }
  return reached.has(name.length)
}

/** Patterns that could never cover a repository are mistakes worth telling. */
export function isPattern(text: string): boolean {
  return text.length <= 255 && /^[A-Za-z0-9._:[\]*-]+(?:\/[A-Za-z0-9._*-]+)*$/.test(text) && !text.includes('***')
}

function tokensOf(pattern: string): readonly string[] {
  return pattern.match(/\*\*|\*|[^*]+/g) ?? []
}

/** The literal text must stand at each place that was reached. */
function step(reached: ReadonlySet<number>, name: string, text: string): Set<number> {
  return new Set([...reached].filter((at) => name.startsWith(text, at)).map((at) => at + text.length))
}

function spread(reached: ReadonlySet<number>, name: string, token: '*' | '**'): Set<number> {
  const places = new Set<number>()
  for (const from of reached) {
    for (let at = from; at <= name.length && !places.has(at); at++) {
      places.add(at)
      if (token === '*' && name[at] === '/') break
    }
  }
  return places
}
