import { concat, fromHex, sameBytes, toHex } from '../bytes.ts'
import { KeyError } from '../errors.ts'
import { fromLittleEndian, modPow } from './arithmetic.ts'
import type { Scheme } from './scheme.ts'

/**
 * Ed25519, strictly RFC 8032 5.1.7 and without the cofactor: R must be the very bytes that [S]B - [k]A encodes to.
 *
 * A point of small order is neither a key nor a commitment: under such a key one signature fits many messages.
 * What RFC 8032 leaves open (cofactor or not) follows OpenSSL, and what versions of Node answer differently
 * (an R of small order: 24 refuses it, OpenSSL's own command accepts it) is refused, as libsodium does.
 */
const OID = Uint8Array.of(0x2b, 0x65, 0x70) // 1.3.101.112
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, ...OID, 0x03, 0x21, 0x00)
const KEY_LENGTH = 32
const SIGNATURE_LENGTH = 64

/** The field's prime, the group's order and the curve's constant (RFC 8032 5.1). */
const P = 2n ** 255n - 19n
const L = 2n ** 252n + 27742317777372353535851937790883648493n
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n

/** The y of the eight points whose order divides 8; their sign bit does not matter. */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  P - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  P - 2707385501144840649318225287225658788936804267575313519463743609750303402022n,
])

export const ed25519: Scheme = {
  algorithm: 'ed25519',
  name: 'ed25519',
  keytypes: ['ed25519'],
  owns: (parts) => sameBytes(parts.oid, OID),
  canonical(parts) {
    if (parts.parameters.length > 0) throw malformed('its algorithm has parameters') // RFC 8410 3
    refusePoint(parts.key)
    return concat(SPKI_PREFIX, parts.key)
  },
  readPublic(text) {
    const key = fromHex(text)
    if (key === undefined) throw malformed('it is not lower-case hex')
    return ed25519Spki(key)
  },
  writePublic: (spki) => toHex(ed25519Point(spki)),
  // RFC 8032 5.1.7 step 1: S as an integer below L, or the signature would have a twin at S + L.
  signatureForm: () => (signature) =>
    signature.length === SIGNATURE_LENGTH &&
    !SMALL_ORDER_Y.has(yOf(signature.subarray(0, KEY_LENGTH))) &&
    fromLittleEndian(signature.subarray(KEY_LENGTH)) < L,
}

/** The 32 bytes of the point in a canonical SPKI. */
export function ed25519Point(spki: Uint8Array): Uint8Array {
  return spki.subarray(SPKI_PREFIX.length)
}

/** The SPKI of these bytes, a key or not. */
export function ed25519Spki(point: Uint8Array): Uint8Array {
  return concat(SPKI_PREFIX, point)
}

/** Points that are a key. To find that out takes a while, and one run meets the same few at every step. */
const POINTS = new Set<string>()
const MOST_POINTS = 1024

function refusePoint(key: Uint8Array): void {
  const name = toHex(key)
  if (POINTS.has(name)) return
  refuseNoPoint(key)
  if (POINTS.size === MOST_POINTS) POINTS.clear()
  POINTS.add(name)
}

function refuseNoPoint(key: Uint8Array): void {
  if (key.length !== KEY_LENGTH) throw malformed(`it has ${key.length} bytes, not ${KEY_LENGTH}`)
  const y = yOf(key)
  if (y >= P) throw malformed('its point is not canonical') // 5.1.3 step 1
  if (SMALL_ORDER_Y.has(y))
    throw new KeyError('KEY_WEAK', { what: 'ed25519 public key', why: 'its point has small order' })
  // 5.1.3 step 2: x^2 = (y^2 - 1) / (d y^2 + 1) must be a square; its denominator is never zero.
  const ratio = (y * y - 1n) * (D * y * y + 1n)
  if (modPow(ratio % P, (P - 1n) / 2n, P) !== 1n) throw malformed('its point is not on the curve')
}

/** The top bit is the sign of x. */
function yOf(point: Uint8Array): bigint {
  return fromLittleEndian(point) & (2n ** 255n - 1n)
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'ed25519 public key', why })
}
