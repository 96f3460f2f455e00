/**
 * Patterns of repositories: `*` stands for any text within one segment, once a segment; `/**` at the end for one or
 * more segments; `**` alone for every repository. Everything else is literal.
 */
export type Pattern = {
  readonly text: string
  readonly matches: (repository: string) => boolean
  /** Whether it can match one repository only. */
  readonly literal: boolean
}

const SEGMENT = /^[A-Za-z0-9._:[\]-]*\*?[A-Za-z0-9._:[\]-]*$/

/** undefined where the text is no pattern. */
export function parsePattern(text: string): Pattern | undefined {
  const segments = text.split('/')
  const open = segments.at(-1) === '**'
  const fixed = open ? segments.slice(0, -1) : segments
  if (text.length > 512 || !fixed.every((segment) => segment !== '' && SEGMENT.test(segment))) return undefined
  return {
    text,
    literal: !text.includes('*'),
    matches: (repository) => {
      const got = repository.split('/')
      if (open ? got.length <= fixed.length : got.length !== fixed.length) return false
      return fixed.every((segment, i) => matchesSegment(segment, got[i] ?? ''))
    },
  }
}

/**
 * Which of two patterns says more of what it matches: the one with the longer literal beginning; then the one with
 * more literal characters; then the one that is not open at its end. Negative: `a` comes first. 0: keep their order.
 */
export function bySpecificity(a: Pattern, b: Pattern): number {
  return literalStart(b) - literalStart(a) || literalSize(b) - literalSize(a) || Number(isOpen(a)) - Number(isOpen(b))
}

function matchesSegment(segment: string, got: string): boolean {
  const star = segment.indexOf('*')
  if (star < 0) return segment === got
  const [start, end] = [segment.slice(0, star), segment.slice(star + 1)]
  return got.length >= start.length + end.length && got.startsWith(start) && got.endsWith(end)
}

function literalStart({ text }: Pattern): number {
  const star = text.indexOf('*')
  return star < 0 ? Number.POSITIVE_INFINITY : star
}

function literalSize({ text }: Pattern): number {
  return text.replaceAll('*', '').length
}

function isOpen({ text }: Pattern): boolean {
  return text.endsWith('**')
}
