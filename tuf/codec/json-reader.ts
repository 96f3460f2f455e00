import { TrustError } from '../errors.ts'
import { setMember } from '../model/json.ts'
import type { Json, JsonDraft, JsonObject } from '../model/json.ts'

type Limits = { readonly depth: number; readonly what: string }

/**
 * The strict reader: RFC 8259 without what two parsers could read in two ways. Linear in the text.
 */
export function readStrictly(text: string, limits: Limits): Json {
  const reader = new Reader(text, limits)
  return reader.document()
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])

class Reader {
  readonly #text: string
  readonly #limits: Limits
  #at = 0

  constructor(text: string, limits: Limits) {
    this.#text = text
    this.#limits = limits
  }

  document(): Json {
    const value = this.#value(this.#limits.depth)
    this.#blanks()
    if (this.#at < this.#text.length) throw this.#unexpected('the end')
    return value
  }

  #value(depth: number): Json {
    this.#blanks()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#integer()
    }
  }

  #object(depth: number): JsonObject {
    this.#enter(depth)
    const object: JsonDraft = {}
    if (this.#skip('}')) return object
    do {
      this.#blanks()
      const name = this.#string()
      if (Object.hasOwn(object, name)) throw this.#malformed(`two members named ${JSON.stringify(name.slice(0, 40))}`)
      this.#expect(':')
      setMember(object, name, this.#value(depth - 1))
    } while (this.#skip(','))
    this.#expect('}')
    return object
  }

  #array(depth: number): Json[] {
    this.#enter(depth)
    const values: Json[] = []
    if (this.#skip(']')) return values
    do values.push(this.#value(depth - 1))
    while (this.#skip(','))
    this.#expect(']')
    return values
  }

  #string(): string {
    if (this.#text[this.#at] !== '"') throw this.#unexpected('a string')
    this.#at++
    let out = ''
    for (;;) {
      const start = this.#at
      while (isPlain(this.#text.charCodeAt(this.#at))) this.#at++
      out += this.#text.slice(start, this.#at)
      const stop = this.#text[this.#at]
      if (stop === '"') break
      if (stop !== '\\') throw this.#unexpected('the end of a string')
      this.#at++
      out += this.#escape()
    }
    this.#at++
    if (!out.isWellFormed()) throw this.#malformed('half of a surrogate pair')
    return out
  }

  #escape(): string {
    const letter = this.#text[this.#at++] ?? ''
    if (letter !== 'u') {
      const meant = ESCAPES.get(letter)
      if (meant === undefined) throw this.#malformed(`the escape \\${letter}`)
      return meant
    }
    const hex = this.#text.slice(this.#at, this.#at + 4)
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#malformed('an escape \\u without four hex digits')
    this.#at += 4
    return String.fromCharCode(Number.parseInt(hex, 16))
  }

  #integer(): number {
    INTEGER.lastIndex = this.#at
    const found = INTEGER.exec(this.#text)?.[0]
    if (found === undefined) throw this.#unexpected('a value')
    this.#at += found.length
    const value = Number(found)
    if (!Number.isSafeInteger(value) || Object.is(value, -0) || /[.eE]/.test(this.#text[this.#at] ?? '')) {
      throw this.#malformed(`the number ${this.#text.slice(this.#at - found.length, this.#at + 8)}`)
    }
    return value
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected('a value')
    this.#at += word.length
    return value
  }

  #enter(depth: number): void {
    if (depth === 0) throw this.#malformed(`nesting deeper than ${this.#limits.depth}`)
    this.#at++
  }

  #blanks(): void {
    while (isBlank(this.#text.charCodeAt(this.#at))) this.#at++
  }

  #skip(char: string): boolean {
    this.#blanks()
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #expect(char: string): void {
    if (!this.#skip(char)) throw this.#unexpected(JSON.stringify(char))
  }

  #unexpected(wanted: string): TrustError {
    const found = this.#text.slice(this.#at, this.#at + 12)
    return this.#malformed(`${found === '' ? 'the end' : JSON.stringify(found)} where ${wanted} was due`)
  }

  #malformed(got: string): TrustError {
    return new TrustError('MALFORMED', { what: this.#limits.what, got: `${got} at character ${this.#at}` })
  }
}

const INTEGER = /-?(?:0|[1-9][0-9]*)/y

function isPlain(code: number): boolean {
  return code >= 0x20 && code !== 0x22 && code !== 0x5c
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}
