/** One way to authenticate that a server offers (RFC 9110, 11.3). Names are lower case; values are as sent. */
export type Challenge = {
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
  /** The other form, for `Negotiate` and the like. */
  readonly token68?: string
}

/** Nobody needs more; a header of 16 KiB could carry thousands. */
const MOST_CHALLENGES = 16
const MOST_PARAMETERS = 32

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"/y
const BLANKS = /[ \t]*/y
const COMMAS = /[ \t,]*/y

/**
 * Reads the `WWW-Authenticate` headers of an answer, several of them and several challenges in one.
 *
 * Never throws: what follows a syntax error is dropped, what stood before it is kept, because a registry that offers
 * a scheme we cannot read may still offer one that we can. A parameter given twice spoils its challenge: two readers
 * would pick differently.
 */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader).slice(0, MOST_CHALLENGES)
}

type Cursor = { readonly text: string; at: number }

function parseHeader(text: string): readonly Challenge[] {
  const cursor: Cursor = { text, at: 0 }
  const found: Challenge[] = []
  while (found.length < MOST_CHALLENGES) {
    take(cursor, COMMAS)
    const scheme = take(cursor, TOKEN)
    if (scheme === undefined) break
    const challenge = parseChallenge(cursor, scheme)
    if (challenge === undefined) break
    found.push(challenge)
    take(cursor, BLANKS)
    if (text[cursor.at] !== ',') break
  }
  return found
}

function parseChallenge(cursor: Cursor, scheme: string): Challenge | undefined {
  const name = scheme.toLowerCase()
  if (take(cursor, BLANKS) === '') return { scheme: name, parameters: new Map() }
  const parameters = new Map<string, string>()
  const first = parseParameter(cursor)
  if (first === undefined) {
    const token68 = take(cursor, TOKEN68)
    return token68 === undefined ? { scheme: name, parameters } : { scheme: name, parameters, token68 }
  }
  for (let next: Parameter | undefined = first; next !== undefined; next = parseNext(cursor)) {
    if (parameters.has(next.name) || parameters.size >= MOST_PARAMETERS) return undefined
    parameters.set(next.name, next.value)
  }
  return { scheme: name, parameters }
}

type Parameter = { readonly name: string; readonly value: string }

/** After a comma comes either one more parameter or the next challenge's scheme; only a `=` tells. */
function parseNext(cursor: Cursor): Parameter | undefined {
  const start = cursor.at
  const gap = take(cursor, COMMAS)
  const next = gap?.includes(',') ? parseParameter(cursor) : undefined
  if (next === undefined) cursor.at = start
  return next
}

function parseParameter(cursor: Cursor): Parameter | undefined {
  const start = cursor.at
  const name = take(cursor, TOKEN)
  take(cursor, BLANKS)
  if (name !== undefined && cursor.text[cursor.at] === '=') {
    cursor.at++
    take(cursor, BLANKS)
    const value = takeQuoted(cursor) ?? take(cursor, TOKEN)
    if (value !== undefined) return { name: name.toLowerCase(), value }
  }
  cursor.at = start
  return undefined
}

function takeQuoted(cursor: Cursor): string | undefined {
  QUOTED.lastIndex = cursor.at
  const match = QUOTED.exec(cursor.text)
  if (match === null) return undefined
  cursor.at = QUOTED.lastIndex
  return match[1]?.replace(/\\([\s\S])/g, '$1')
}

function take(cursor: Cursor, what: RegExp): string | undefined {
  what.lastIndex = cursor.at
  const match = what.exec(cursor.text)
  if (match === null) return undefined
  cursor.at = what.lastIndex
  return match[0]
}
