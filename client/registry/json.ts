import type { Json } from '../../tuf/model/json.ts'

/** What is wrong with a text that should be JSON. Says where, never what: the text may be a secret. */
export class JsonRefused extends Error {
  override readonly name = 'JsonRefused'
}

const DEPTH = 64

/** What `Array.isArray` is, for a type that only has read-only arrays. */
export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/**
 * Reads JSON that someone else wrote, so that no other reader sees something else in it: fatal UTF-8, no byte order
 * mark, no member twice in one object, at most 64 levels.
 *
 * Unlike trust metadata (`tuf/codec`), a manifest or a config may hold numbers that are no integers, in members that
 * mean nothing to us; so numbers are judged where they are used. The grammar is left to the engine's own parser, and
 * a second pass over the then well-formed text looks for what that parser forgives.
 */
export function parseStrictJson(bytes: Uint8Array): Json {
  const text = decodeUtf8(bytes)
  const value = parse(text)
  refuseAmbiguity(text)
  return value
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new JsonRefused('it is not UTF-8')
  }
}

const parseText: (text: string) => Json = JSON.parse

function parse(text: string): Json {
  try {
    return parseText(text)
  } catch {
    throw new JsonRefused('it is not JSON')
  }
}

/** An open object with the names seen in it, or an open array (undefined). */
type Level = Set<string> | undefined

/** Walks structure and strings only; everything else is known to be well formed. */
function refuseAmbiguity(text: string): void {
  const levels: Level[] = []
  const structure = /[{}[\]]|"(?:[^"\\]|\\.)*"(?:[ \t\r\n]*(:))?/g
  for (let match = structure.exec(text); match !== null; match = structure.exec(text)) {
    const [what, colon] = match
    if (what === '{') levels.push(new Set())
    else if (what === '[') levels.push(undefined)
    else if (what === '}' || what === ']') levels.pop()
    else if (colon !== undefined) addName(levels.at(-1), what.slice(0, what.lastIndexOf('"') + 1))
    if (levels.length > DEPTH) throw new JsonRefused(`it is nested deeper than ${DEPTH} levels`)
  }
}

function addName(names: Level, quoted: string): void {
  const name = quoted.includes('\\') ? unescaped(quoted) : quoted.slice(1, -1)
  if (names?.has(name)) throw new JsonRefused('an object has one name twice')
  names?.add(name)
}

/** Readers disagree on what half a surrogate pair is, so two such names may be one to some of them. */
function unescaped(quoted: string): string {
  const name = parse(quoted)
  if (typeof name !== 'string' || !name.isWellFormed()) throw new JsonRefused('a name is no text')
  return name
}
