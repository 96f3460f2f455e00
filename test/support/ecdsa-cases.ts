import { p256, p384 } from '@noble/curves/nist.js'
import { sha256, sha384 } from '@noble/hashes/sha2.js'
import { concat, toHex } from '../../keys/bytes.ts'
import { der } from '../../keys/der.ts'
import type { SignatureCase, SignatureCases } from './signature-case.ts'
import { bigBytes, ecSpki, element, listed, OID, pemKey, spki, TUF_NAMES } from './tuf-key.ts'

/** ECDSA after Wycheproof: the DER of a signature, the range of its numbers, and points where formulas break. */
type Curve = {
  readonly name: 'p256' | 'p384'
  readonly algorithm: 'ecdsa-p256' | 'ecdsa-p384'
  readonly curve: typeof p256
  readonly size: 32 | 48
  readonly hash: (bytes: Uint8Array) => Uint8Array
  /** A private key of RFC 6979 A.2 and its signature of "sample". */
  readonly d: bigint
  readonly r: bigint
  readonly s: bigint
}

const CURVES: readonly Curve[] = [
  {
    name: 'p256',
    algorithm: 'ecdsa-p256',
    curve: p256,
    size: 32,
    hash: sha256,
    d: 0xc9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721n,
    r: 0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716n,
    s: 0xf7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8n,
  },
  {
    name: 'p384',
    algorithm: 'ecdsa-p384',
    curve: p384,
    size: 48,
    hash: sha384,
    d: 0x6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5n,
    r: 0x94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46n,
    s: 0x99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8n,
  },
]

const SAMPLE = new TextEncoder().encode('sample')

/** An INTEGER with exactly this body. */
const raw = (body: Uint8Array): Uint8Array => element(0x02, body)
const pair = (r: bigint, s: bigint): Uint8Array => der.sequence(der.positive(bigBytes(r)), der.positive(bigBytes(s)))

function casesOf(of: Curve): SignatureCases {
  const { curve, algorithm, size, name, d, r, s } = of
  const { Fn, Fp, BASE } = { Fn: curve.Point.Fn, Fp: curve.Point.Fp, BASE: curve.Point.BASE }
  const n = Fn.ORDER
  const e = Fn.create(BigInt(`0x${toHex(of.hash(SAMPLE))}`))
  const point = BASE.multiply(d)
  const bytes = point.toBytes(false)
  const key = pemKey(algorithm, ecSpki(name, bytes))

  const holds = (signature: Uint8Array): SignatureCase => ({ key, payload: SAMPLE, signature, holds: true })
  const fails = (signature: Uint8Array): SignatureCase => ({ key, payload: SAMPLE, signature, holds: false })
  const closed = (bits: Uint8Array): SignatureCase => ({ key: pemKey(algorithm, ecSpki(name, bits)), opens: false })
  const opens = (bits: Uint8Array): SignatureCase => ({
    key: pemKey(algorithm, ecSpki(name, bits)),
    payload: SAMPLE,
    signature: pair(r, s),
    holds: true,
  })
  const good = pair(r, s)
  const body = good.subarray(2)
  const [R, S] = [der.positive(bigBytes(r)), der.positive(bigBytes(s))]
  const unsigned = (value: bigint): Uint8Array => raw(bigBytes(value, size)) // without the zero before a set top bit

  return {
    'accepts the vector of RFC 6979': holds(good),
    'accepts n - s beside s, as other TUF implementations write either': holds(pair(r, n - s)),
    'refuses another payload': { key, payload: new TextEncoder().encode('Sample'), signature: good, holds: false },
    'refuses s + n': fails(pair(r, s + n)),
    'refuses r + n': fails(pair(r + n, s)),
    'refuses r = 0': fails(der.sequence(raw(Uint8Array.of(0)), S)),
    'refuses s = 0': fails(der.sequence(R, raw(Uint8Array.of(0)))),
    'refuses r = s = 0': fails(der.sequence(raw(Uint8Array.of(0)), raw(Uint8Array.of(0)))),
    'refuses r = n': fails(pair(n, s)),
    'refuses s = n': fails(pair(r, n)),
    'refuses r = p': fails(pair(Fp.ORDER, s)),
    'refuses r = s = 1': fails(pair(1n, 1n)),
    'refuses r = s = n - 1': fails(pair(n - 1n, n - 1n)),
    'refuses a number of a thousand bytes': fails(pair(r, s + (n << 8000n))),
    'refuses a number without the zero that keeps it positive': fails(der.sequence(unsigned(r), unsigned(s))),
    'refuses a needless zero before r': fails(der.sequence(raw(concat(Uint8Array.of(0, 0), bigBytes(r, size))), S)),
    'refuses a negated s': fails(der.sequence(R, raw(bigBytes((1n << BigInt(8 * size + 8)) - s, size + 1)))),
    'refuses an integer without content': fails(der.sequence(R, raw(new Uint8Array()))),
    'refuses bytes after the sequence': fails(concat(good, Uint8Array.of(0))),
    'refuses bytes inside the sequence after s': fails(der.sequence(R, S, der.none())),
    'refuses a third integer': fails(der.sequence(R, S, S)),
    'refuses a missing s': fails(der.sequence(R)),
    'refuses an empty sequence': fails(der.sequence()),
    'refuses a length in its long form': fails(element(0x30, body, [0x81, body.length])),
    'refuses a length in three bytes': fails(element(0x30, body, [0x82, 0, body.length])),
    'refuses an indefinite length': fails(element(0x30, concat(body, Uint8Array.of(0, 0)), [0x80])),
    'refuses a length that says too much': fails(element(0x30, body, [body.length + 1])),
    'refuses a length that says too little': fails(element(0x30, body, [body.length - 1])),
    'refuses a set where a sequence belongs': fails(element(0x31, body)),
    'refuses an octet string where an integer belongs': fails(der.sequence(element(0x04, R.subarray(2)), S)),
    'refuses a signature cut short': fails(good.subarray(0, -1)),
    'refuses a single byte': fails(good.subarray(0, 1)),
    'refuses an empty signature': fails(new Uint8Array()),
    'refuses r and s side by side without DER': fails(concat(bigBytes(r, size), bigBytes(s, size))),
    // e + r d = 0, so that u1 G + u2 Q is the point at infinity
    'refuses a signature whose point is infinity': fails(pair(Fn.mul(Fn.neg(e), Fn.inv(d)), 1n)),
    ...arithmeticCases(of, e),

    'accepts a key with a compressed point': opens(point.toBytes(true)),
    'refuses the hybrid form of a point': closed(bytes.with(0, 6 + ((bytes.at(-1) ?? 0) & 1))),
    'refuses the other hybrid form': closed(bytes.with(0, 7 - ((bytes.at(-1) ?? 0) & 1))),
    'refuses a point that is not on the curve': closed(bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1)),
    'refuses a compressed x that no point has': closed(concat(Uint8Array.of(2), bigBytes(lonelyX(of), size))),
    'refuses x beyond the field': closed(concat(Uint8Array.of(4), bigBytes(Fp.ORDER, size), bytes.subarray(1 + size))),
    'refuses y beyond the field': closed(concat(bytes.subarray(0, 1 + size), bigBytes(Fp.ORDER + 1n, size))),
    'refuses the point at infinity as a key': closed(Uint8Array.of(0)),
    'refuses an empty point': closed(new Uint8Array()),
    'refuses a point one byte short': closed(bytes.subarray(0, -1)),
    'refuses a point one byte long': closed(concat(bytes, Uint8Array.of(0))),
    'refuses the zero point': closed(Uint8Array.of(4, ...new Uint8Array(2 * size))),
    'refuses a key whose curve is written out': {
      key: pemKey(algorithm, spki(OID.ec, der.sequence(der.small(1)), bytes)),
      opens: false,
    },
    'refuses a key without a curve': { key: pemKey(algorithm, spki(OID.ec, new Uint8Array(), bytes)), opens: false },
    'refuses a key of another curve under this scheme': {
      key: pemKey(algorithm === 'ecdsa-p256' ? 'ecdsa-p384' : 'ecdsa-p256', ecSpki(name, bytes)),
      opens: false,
    },
    'refuses a key of P-521': { key: pemKey(algorithm, spki(OID.ec, der.oid(OID.p521), bytes)), opens: false },
    'accepts a bare point in hex, as the first Sigstore roots write it': {
      key: listed({ ...TUF_NAMES[algorithm], public: toHex(bytes) }),
      payload: SAMPLE,
      signature: good,
      holds: true,
    },
    'refuses a bare point in upper-case hex': {
      key: listed({ ...TUF_NAMES[algorithm], public: toHex(bytes).toUpperCase().replace(/$/, 'FF') }),
      opens: false,
    },
    'refuses a bare compressed point': {
      key: listed({ ...TUF_NAMES[algorithm], public: toHex(point.toBytes(true)) }),
      opens: false,
    },
  }
}

/** Signatures for which addition formulas meet their special cases (Wycheproof: "k*G has a large x-coordinate"). */
function arithmeticCases({ curve, algorithm, name }: Curve, e: bigint): SignatureCases {
  const { Fn, Fp, BASE } = { Fn: curve.Point.Fn, Fp: curve.Point.Fp, BASE: curve.Point.BASE }
  const keyOf = (point: typeof BASE) => pemKey(algorithm, ecSpki(name, point.toBytes(false)))
  const k = 0x1234567890abcdef1234567890abcdefn
  const rOf = (point: typeof BASE) => Fn.create(point.toAffine().x)

  // x of the nonce's point lies between n and p, so r = x - n: Q = (R - e/s G) s/r for any s.
  const large = firstPointFrom(curve, Fn.ORDER + 1n)
  const [r, s] = [rOf(large), 7n]
  const [u1, u2] = [Fn.mul(e, Fn.inv(s)), Fn.mul(r, Fn.inv(s))]
  const odd = large.subtract(BASE.multiply(u1)).multiply(Fn.inv(u2))

  // d = e / r makes u1 G = u2 Q, so that the sum is a doubling.
  const r2 = rOf(BASE.multiply(k))
  const doubling = BASE.multiply(Fn.mul(e, Fn.inv(r2)))
  const s2 = Fn.mul(Fn.create(2n * e), Fn.inv(k))

  const ask = (key: typeof BASE, signature: Uint8Array, holds = true): SignatureCase => ({
    key: keyOf(key),
    payload: SAMPLE,
    signature,
    holds,
  })
  return {
    'accepts an r that wrapped around n': ask(odd, pair(r, s)),
    'refuses that r where it is not the remainder': ask(odd, pair(r + 1n, s), false),
    'accepts a sum that is a doubling': ask(doubling, pair(r2, s2)),
    'accepts the base point as a key': ask(BASE, pair(rOf(BASE.multiply(k)), Fn.mul(Fn.add(e, r2), Fn.inv(k)))),
    'accepts the negated base point as a key': ask(BASE.negate(), pair(r2, Fn.mul(Fn.sub(e, r2), Fn.inv(k)))),
    'accepts s = 1': ask(BASE.multiply(Fn.mul(Fn.sub(k, e), Fn.inv(r2))), pair(r2, 1n)),
    'accepts s = n - 1': ask(BASE.multiply(Fn.mul(Fn.sub(Fn.neg(k), e), Fn.inv(r2))), pair(r2, Fn.ORDER - 1n)),
  }

  function firstPointFrom({ Point }: typeof p256, from: bigint): typeof BASE {
    for (let x = from; x < Fp.ORDER; x++) {
      try {
        return Point.fromBytes(concat(Uint8Array.of(2), bigBytes(x, Fp.BYTES)))
      } catch {
        // no point has this x
      }
    }
    return BASE
  }
}

/** The smallest x of no point. */
function lonelyX({ curve, size }: Curve): bigint {
  for (let x = 1n; ; x++) {
    try {
      curve.Point.fromBytes(concat(Uint8Array.of(2), bigBytes(x, size)))
    } catch {
      return x
    }
  }
}

export const ECDSA_CASES: SignatureCases = Object.fromEntries(
  CURVES.flatMap((of) =>
    Object.entries(casesOf(of)).map(([name, value]) => [`${of.name === 'p256' ? 'P-256' : 'P-384'}: ${name}`, value]),
  ),
)
