import { concat } from './bytes.ts'
import { KeyError } from './errors.ts'

/**
 * The few DER forms that keys and signatures use (X.690), read strictly and written.
 *
 * Only definite, shortest lengths and one-byte tags: a key or a signature must not have two encodings.
 */
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  none: 0x05,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const

/** One element whatever it is: its tag, its content, and the whole of it as it is encoded. */
export type DerElement = { readonly tag: number; readonly body: Uint8Array; readonly whole: Uint8Array }

/** Reads one level of DER from front to back. Every method throws KEY_MALFORMED on anything else than it names. */
export class DerReader {
  readonly #what: string
  #rest: Uint8Array

  constructor(bytes: Uint8Array, what: string) {
    this.#rest = bytes
    this.#what = what
  }

  /** Whether anything is left. */
  get more(): boolean {
    return this.#rest.length > 0
  }

  sequence(): DerReader {
    return new DerReader(this.#take(TAG.sequence, 'sequence'), this.#what)
  }

  set(): DerReader {
    return new DerReader(this.#take(TAG.set, 'set'), this.#what)
  }

  /** What stands within an element of that tag, where the next one is of it. */
  optional(tag: number): DerReader | undefined {
    return this.#rest[0] === tag ? new DerReader(this.any().body, this.#what) : undefined
  }

  /** A boolean where one comes next, else what its absence means. DER knows 0 and 255 alone. */
  boolean(absent: boolean): boolean {
    if (this.#rest[0] !== TAG.boolean) return absent
    const [value, ...more] = this.#take(TAG.boolean, 'boolean')
    if ((value !== 0 && value !== 255) || more.length > 0) throw this.#malformed('a boolean is neither true nor false')
    return value === 255
  }

  any(): DerElement {
    const [tag] = this.#rest
    if (tag === undefined || (tag & 0x1f) === 0x1f) throw this.#malformed('no element where one belongs')
    const before = this.#rest
    const body = this.#take(tag, 'element')
    return { tag, body, whole: before.subarray(0, before.length - this.#rest.length) }
  }

  /** An integer of either sign, as it is encoded. */
  integer(): Uint8Array {
    return this.#take(TAG.integer, 'integer')
  }

  /** The magnitude of an integer above zero, big-endian, without leading zeros. */
  positive(): Uint8Array {
    const body = this.#take(TAG.integer, 'integer')
    const [first = 0x80, second = 0] = body
    if (first >= 0x80) throw this.#malformed('an integer is empty or negative')
    if (first !== 0) return body
    if (second < 0x80) throw this.#malformed('an integer is zero or has needless zeros')
    return body.subarray(1)
  }

  /** An integer of 1 to 2^31 - 1. */
  small(): number {
    const body = this.positive()
    if (body.length > 4 || (body.length === 4 && (body[0] ?? 0) >= 0x80))
      throw this.#malformed('an integer is too large')
    return body.reduce((value, byte) => value * 256 + byte, 0)
  }

  /** Passes over the number that a private key begins with: 0 or 1 (RFC 5958, RFC 5915, RFC 8017). */
  version(): void {
    const [value, ...more] = this.#take(TAG.integer, 'version')
    if (more.length > 0 || (value !== 0 && value !== 1)) throw this.#malformed('its version is neither 0 nor 1')
  }

  /** An integer of 0 to 2^31 - 1. */
  smallOrZero(): number {
    if (this.#rest[0] !== TAG.integer || this.#rest[1] !== 1 || this.#rest[2] !== 0) return this.small()
    this.integer()
    return 0
  }

  /** Passes over an optional integer that says nothing. */
  skipSmall(): void {
    if (this.#rest[0] === TAG.integer) this.small()
  }

  /** The body of an object identifier, as it is encoded. */
  oid(): Uint8Array {
    return this.#take(TAG.oid, 'object identifier')
  }

  octets(): Uint8Array {
    return this.#take(TAG.octets, 'octet string')
  }

  /** A bit string of whole bytes. */
  bits(): Uint8Array {
    const body = this.#take(TAG.bits, 'bit string')
    if (body[0] !== 0) throw this.#malformed('a bit string is not of whole bytes')
    return body.subarray(1)
  }

  none(): void {
    if (this.#take(TAG.none, 'null').length > 0) throw this.#malformed('a null has content')
  }

  /** What is left, as it is; it counts as read. */
  remainder(): Uint8Array {
    const rest = this.#rest
    this.#rest = new Uint8Array()
    return rest
  }

  /** Refuses what nobody read. */
  end(): void {
    if (this.more) throw this.#malformed('there are bytes after its end')
  }

  #take(tag: number, name: string): Uint8Array {
    if (this.#rest[0] !== tag) throw this.#malformed(`no ${name} where one belongs`)
    const { length, header } = this.#length()
    if (this.#rest.length < header + length) throw this.#malformed('it is cut short')
    const body = this.#rest.subarray(header, header + length)
    this.#rest = this.#rest.subarray(header + length)
    return body
  }

  #length(): { length: number; header: number } {
    const [, first = 0x80, second = 0, third = 0] = this.#rest
    if (first < 0x80) return { length: first, header: 2 }
    if (first === 0x81 && second >= 0x80) return { length: second, header: 3 }
    if (first === 0x82 && second > 0) return { length: second * 256 + third, header: 4 }
    throw this.#malformed('a length is indefinite, longer than needed, or beyond 65535')
  }

  #malformed(why: string): KeyError {
    return new KeyError('KEY_MALFORMED', { what: this.#what, why })
  }
}

/** The parts of what is written; each function makes one whole element. */
export const der = {
  sequence: (...parts: readonly Uint8Array[]) => element(TAG.sequence, concat(...parts)),
  oid: (body: Uint8Array) => element(TAG.oid, body),
  octets: (body: Uint8Array) => element(TAG.octets, body),
  bits: (body: Uint8Array) => element(TAG.bits, concat(Uint8Array.of(0), body)),
  none: () => element(TAG.none, new Uint8Array()),
  /** What has no name here, by its tag. */
  tagged: (tag: number, ...parts: readonly Uint8Array[]) => element(tag, concat(...parts)),
  zero: () => element(TAG.integer, Uint8Array.of(0)),
  /** From a magnitude: leading zeros are dropped, and one is put before a set top bit. */
  positive: (magnitude: Uint8Array) => {
    const start = magnitude.findIndex((byte) => byte !== 0)
    const short = start < 0 ? Uint8Array.of(0) : magnitude.subarray(start)
    return element(TAG.integer, (short[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), short) : short)
  },
  small: (value: number) =>
    der.positive(Uint8Array.of((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)),
} as const

function element(tag: number, body: Uint8Array): Uint8Array {
  if (body.length < 0x80) return concat(Uint8Array.of(tag, body.length), body)
  if (body.length < 0x100) return concat(Uint8Array.of(tag, 0x81, body.length), body)
  return concat(Uint8Array.of(tag, 0x82, body.length >> 8, body.length & 255), body)
}
