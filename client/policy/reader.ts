/** Reads a YAML document, which a JSON document is one of, so that every complaint can say where. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { Document, ErrorCode, Node } from 'yaml'
import { distance } from '../nearest.ts'
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
  if (mistake !== undefined) refuseAt(mistake.pos[0], wordsOf(mistake))
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
  const plain = text.toLowerCase().replaceAll(/[_-]/g, '')
  const alike = known.find((one) => distance(one.toLowerCase(), plain) <= (plain.length < 4 ? 0 : 2))
  return alike === undefined ? `; known are ${known.join(', ')}` : `; did you mean ${alike}?`
}

const TYPE = 'a type (!...) means nothing here'
const ANCHOR = 'anchors and aliases mean nothing here'
const UNREADABLE = 'this cannot be read: is there a quote, a bracket or a comma too many or too few?'
const DEEP = 'it is nested too deeply'
/** The parser speaks to programmers, and of its own functions. */
const WORDS = {
  ALIAS_PROPS: ANCHOR,
  BAD_ALIAS: ANCHOR,
  MULTIPLE_ANCHORS: ANCHOR,
  BAD_COLLECTION_TYPE: TYPE,
  BAD_PROP_ORDER: TYPE,
  MULTIPLE_TAGS: TYPE,
  TAG_RESOLVE_FAILED: TYPE,
  IMPOSSIBLE: UNREADABLE,
  UNEXPECTED_TOKEN: UNREADABLE,
  MISSING_CHAR:
    'something is missing here: a quote, a bracket, a comma, or the blank after a colon; or the indentation differs from the line above',
  BAD_DIRECTIVE: 'a line that begins with % means nothing here',
  BAD_DQ_ESCAPE: 'there is no such escape; in single quotes a backslash is a backslash',
  BAD_INDENT: 'it is not indented like the lines that it belongs with',
  BAD_SCALAR_START: 'a text that begins like this belongs in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'is the next line indented too far? one line has one "name: value"',
  BLOCK_IN_FLOW: 'between brackets, members are separated by commas',
  DUPLICATE_KEY: 'it is there twice',
  KEY_OVER_1024_CHARS: 'this name is too long',
  MULTILINE_IMPLICIT_KEY: 'is the blank after the colon missing? write "name: value"',
  MULTIPLE_DOCS: 'a second document begins here, and one file is one policy: leave the line out',
  NON_STRING_KEY: 'a name is a text',
  RESOURCE_EXHAUSTION: DEEP,
  TAB_AS_INDENT: 'indent with blanks, not with tabs',
} as const satisfies Record<ErrorCode, string>

/** The parser tells of its own depth as of any mistake. */
function wordsOf({ code, message }: { readonly code: ErrorCode; readonly message: string }): string {
  return /call stack/.test(message) ? DEEP : WORDS[code]
}
