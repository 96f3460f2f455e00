/** A value in a configuration file, and the line where it stands. TOML and JSON come to the same. */
import { parseTOML, ParseError } from 'toml-eslint-parser'
import type { AST } from 'toml-eslint-parser'
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { Node } from 'yaml'

export type Spot = {
  readonly file: string
  readonly line: number
  readonly value: string | number | boolean | undefined
  /** Under their names in small letters: the engines, written in Go, do not tell capitals apart. */
  readonly members: ReadonlyMap<string, Spot>
  readonly items: readonly Spot[]
}

/** A file that cannot be read or is not what it should be. */
export class Broken extends Error {
  override readonly name = 'Broken'
  readonly file: string
  readonly line: number
  constructor(file: string, line: number, why: string, options?: ErrorOptions) {
    super(why, options)
    this.file = file
    this.line = line
  }
}

/** The value at the end of a path of names; undefined where one of them is missing. */
export function at(spot: Spot | undefined, ...names: readonly string[]): Spot | undefined {
  return names.reduce((found, name) => found?.members.get(name.toLowerCase()), spot)
}

export function textAt(spot: Spot | undefined, ...names: readonly string[]): string | undefined {
  const value = at(spot, ...names)?.value
  return typeof value === 'string' ? value : undefined
}

export function isTrue(spot: Spot | undefined): boolean {
  return spot?.value === true
}

export function whereOf({ file, line }: Pick<Spot, 'file' | 'line'>): string {
  return `${file}:${line}`
}

/** The texts of a list; whatever else is in it is no text. */
export function textsIn(spot: Spot | undefined): readonly { readonly text: string; readonly spot: Spot }[] {
  return (spot?.items ?? []).flatMap((item) =>
    typeof item.value === 'string' ? [{ text: item.value, spot: item }] : [],
  )
}

/** Which of the two an engine takes depends on the engine, and for some on chance. */
function twice(name: string, other: string, file: string, line: number): Broken {
  return new Broken(file, line, `${name} stands here beside ${other}, and engines take the one or the other`)
}

type Draft = {
  /** As it is spelled where it stands first. */
  name: string
  file: string
  line: number
  value: Spot['value']
  members: Map<string, Draft>
  items: Draft[]
}

function draft(file: string, line: number, name = ''): Draft {
  return { name, file, line, value: undefined, members: new Map(), items: [] }
}

/** Throws Broken. */
export function readToml(text: string, file: string): Spot {
  const top = draft(file, 1)
  for (const part of parse(text, file).body[0].body) {
    if (part.type === 'TOMLKeyValue') fill(top, part, file)
    else {
      const table = reach(top, part.resolvedKey, part.loc.start.line, file)
      for (const pair of part.body) fill(table, pair, file)
    }
  }
  return top
}

function parse(text: string, file: string): AST.TOMLProgram {
  try {
    return parseTOML(text, { tomlVersion: '1.0.0' })
  } catch (error) {
    if (error instanceof ParseError) throw new Broken(file, error.lineNumber, error.message, { cause: error })
    if (error instanceof RangeError) throw new Broken(file, 1, 'it is nested too deeply', { cause: error })
    throw error
  }
}

function reach(from: Draft, path: readonly (string | number)[], line: number, file: string): Draft {
  let here = from
  for (const step of path)
    here = typeof step === 'number' ? itemOf(here, step, line, file) : memberOf(here, step, line, file)
  return here
}

function memberOf(here: Draft, name: string, line: number, file: string): Draft {
  const key = name.toLowerCase()
  const known = here.members.get(key) ?? draft(file, line, name)
  if (known.name !== name) throw twice(name, known.name, file, line)
  here.members.set(key, known)
  return known
}

function itemOf(here: Draft, index: number, line: number, file: string): Draft {
  const known = here.items[index] ?? draft(file, line)
  here.items[index] = known
  return known
}

function fill(table: Draft, { key, value, loc }: AST.TOMLKeyValue, file: string): void {
  const path = key.keys.map((one) => (one.type === 'TOMLBare' ? one.name : one.value))
  const target = reach(table, path, loc.start.line, file)
  target.line = loc.start.line
  put(target, value, file)
}

function put(target: Draft, node: AST.TOMLContentNode, file: string): void {
  if (node.type === 'TOMLValue') {
    target.value = node.value instanceof Date ? undefined : node.value
  } else if (node.type === 'TOMLArray') {
    for (const element of node.elements) {
      const item = draft(file, element.loc.start.line)
      put(item, element, file)
      target.items.push(item)
    }
  } else {
    for (const pair of node.body) fill(target, pair, file)
  }
}

/** Throws Broken. A JSON document is one of YAML's, whose parser tells the lines. */
export function readJson(text: string, file: string): Spot {
  const lines = new LineCounter()
  const lineAt = (offset: number) => Math.max(lines.linePos(offset).line, 1)
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema: 'json', uniqueKeys: true })
  const [mistake] = [...document.errors, ...document.warnings]
  if (mistake !== undefined) {
    const why = mistake.code === 'DUPLICATE_KEY' ? 'a name stands here twice' : NO_JSON
    throw new Broken(file, lineAt(mistake.pos[0]), why, { cause: mistake })
  }
  parseJson(text, file) // what YAML takes beyond JSON, the engines do not
  return fromNode(document.contents, file, 1, lineAt)
}

const NO_JSON = 'it is no JSON from here on'

/** Throws Broken. */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const [, line = 1] = /\bline (\d+)/.exec(String(cause)) ?? []
    throw new Broken(file, Number(line), NO_JSON, { cause })
  }
}

function fromNode(node: Node | null, file: string, line: number, lineAt: (offset: number) => number): Spot {
  const here = node?.range === undefined || node.range === null ? line : lineAt(node.range[0])
  const spot = { file, line: here, value: undefined, members: new Map<string, Spot>(), items: [] }
  if (isScalar(node)) {
    const { value } = node
    const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    return { ...spot, value: isPlain ? value : undefined }
  }
  if (isSeq<Node>(node)) return { ...spot, items: node.items.map((item) => fromNode(item, file, here, lineAt)) }
  if (!isMap<Node, Node | null>(node)) return spot
  for (const { key, value } of node.items) {
    const keyLine = key.range === undefined || key.range === null ? here : lineAt(key.range[0])
    const name = isScalar(key) ? String(key.value) : ''
    if (spot.members.has(name.toLowerCase())) throw twice(name, name.toLowerCase(), file, keyLine)
    spot.members.set(name.toLowerCase(), { ...fromNode(value, file, keyLine, lineAt), line: keyLine })
  }
  return spot
}
