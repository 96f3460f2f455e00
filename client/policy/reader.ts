/** Reads a YAML document, which a JSON document is one of, so that every complaint can say where. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { Document, Node } from 'yaml'
import { PolicyError } from './errors.ts'

/** A value and where it stands. Its methods refuse what is of another kind. */
export type Place = {
  /** As messages call it: `rules[2].maxAge`. */
  readonly name: string
  /** `policy.yaml:12:5` */
  readonly where: string
  readonly text: () => string
  readonly number: () => number
  readonly flag: () => boolean
  readonly list: () => readonly Place[]
  /** The members by name. A name that is none of `known` is refused: misspelt, it would be a rule that does not hold. */
  readonly members: <K extends string>(known: readonly K[]) => ReadonlyMap<K, Place>
  readonly isText: boolean
  readonly isMap: boolean
  readonly refuse: (why: string) => never
}

const DEEPEST = 16

/** Throws POLICY_MALFORMED with line and column. */
export function readDocument(text: string, path: string): Place {
  const lines = new LineCounter()
  const refuseAt = (offset: number, why: string): never => {
    const { line, col } = lines.linePos(offset)
    throw new PolicyError('POLICY_MALFORMED', { path, line: Math.max(line, 1), column: Math.max(col, 1), why })
  }
  const document = parse(text, lines, refuseAt)
  const [mistake] = [...document.errors, ...document.warnings]
  if (mistake !== undefined) refuseAt(mistake.pos[0], wordsOf(mistake.message))
  refuseTricks(document, refuseAt)
  return placeOf(document.contents, 'the file', { path, lines, refuseAt, start: 0 })
}

type RefuseAt = (offset: number, why: string) => never
type Page = { readonly path: string; readonly lines: LineCounter; readonly refuseAt: RefuseAt; readonly start: number }

/** The parser goes down with the text; one that goes too deep ends it, and that is a mistake in the file as well. */
function parse(text: string, lineCounter: LineCounter, refuseAt: RefuseAt): Document.Parsed {
  try {
    return parseDocument(text, { lineCounter, prettyErrors: false, schema: 'core', version: '1.2', uniqueKeys: true })
  } catch (error) {
    if (error instanceof RangeError) return refuseAt(0, 'it is nested too deeply')
    throw error
  }
}

/** One text must have one reading: no anchors that repeat a part of it elsewhere, no types of somebody's own. */
function refuseTricks(document: Document.Parsed, refuseAt: RefuseAt): void {
  visit(document, {
    Node(_key, node, path) {
      const at = node.range?.[0] ?? 0
      if (isAlias(node) || node.anchor !== undefined) refuseAt(at, 'anchors and aliases mean nothing here')
      if (node.tag !== undefined && !isPlainTag(node.tag)) refuseAt(at, `the type ${node.tag} means nothing here`)
      if (path.length > DEEPEST) refuseAt(at, 'it is nested too deeply')
    },
  })
}

function isPlainTag(tag: string): boolean {
  return ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].some((name) => tag === `tag:yaml.org,2002:${name}`)
}

function placeOf(node: Node | null, name: string, page: Page): Place {
  const start = node?.range?.[0] ?? page.start
  const refuse = (why: string): never => page.refuseAt(start, `${name}: ${why}`)
  const { line, col } = page.lines.linePos(start)
  const scalar = isScalar(node) ? node.value : undefined
  const below = { ...page, start }
  return {
    name,
    where: `${page.path}:${Math.max(line, 1)}:${Math.max(col, 1)}`,
    isText: typeof scalar === 'string',
    isMap: isMap(node),
    refuse,
    text: () => (typeof scalar === 'string' ? scalar : refuse('should be a text')),
    number: () => (typeof scalar === 'number' ? scalar : refuse('should be a number')),
    flag: () => (typeof scalar === 'boolean' ? scalar : refuse('should be true or false')),
    list: () =>
      isSeq<Node>(node)
        ? node.items.map((item, i) => placeOf(item, `${name}[${i}]`, below))
        : refuse('should be a list'),
    members: (known) => (isMap<Node, Node | null>(node) ? membersOf(node.items, known) : refuse('should be an object')),
  }

  function membersOf<K extends string>(
    items: readonly { readonly key: Node; readonly value: Node | null }[],
    known: readonly K[],
  ): ReadonlyMap<K, Place> {
    const found = new Map<K, Place>()
    for (const { key, value } of items) {
      const at = key.range?.[0] ?? start
      const text = isScalar(key) ? String(key.value) : 'what stands here'
      const member = known.find((one) => one === text)
      if (member === undefined)
        return page.refuseAt(at, `${name}: ${JSON.stringify(text)} means nothing here${nearest(text, known)}`)
      const inner = name === 'the file' ? member : `${name}.${member}`
      found.set(member, placeOf(value, inner, { ...page, start: at }))
    }
    return found
  }
}

function nearest(text: string, known: readonly string[]): string {
  const alike = known.find((one) => one.toLowerCase() === text.toLowerCase().replaceAll(/[_-]/g, ''))
  return alike === undefined ? `; known are ${known.join(', ')}` : `; did you mean ${alike}?`
}

/** The parser's own words, on one line. It tells of its own depth as of any mistake. */
function wordsOf(message: string): string {
  return /call stack/.test(message) ? 'it is nested too deeply' : message.split('\n', 1).join('')
}
