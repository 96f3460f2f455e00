import { createHash, generatePrimeSync, randomBytes } from 'node:crypto'
import { concat, toBigInt } from '../../keys/bytes.ts'
import { der } from '../../keys/der.ts'
import type { PublicKey } from '../../tuf/model/metadata.ts'
import type { SignatureCase, SignatureCases } from './signature-case.ts'
import { bigBytes, OID, pemKey, rsaSpki, spki } from './tuf-key.ts'

/** RSASSA-PSS after Wycheproof, with an encoder of our own that errs where it is told to. */
type RsaKey = { readonly n: bigint; readonly e: bigint; readonly d: bigint; readonly bits: number }

type Encoding = {
  readonly salt?: number
  readonly hash?: string
  readonly mgf?: string
  readonly trailer?: number
  readonly separator?: number
  /** Set in the first byte after masking. */
  readonly topBits?: number
  /** A byte of the zeros before the separator. */
  readonly padding?: number
}

const PAYLOAD = new TextEncoder().encode('a payload')
const EXPONENT = Uint8Array.of(1, 0, 1)

/** From primes, since OpenSSL rounds odd sizes down. */
function makeKey(bits: number): RsaKey {
  const e = 65537n
  const half = Math.ceil(bits / 2)
  while (true) {
    const [p, q] = [prime(half), prime(bits - half)]
    const n = p * q
    const order = (p - 1n) * (q - 1n)
    if (n.toString(2).length === bits && order % e !== 0n) return { n, e, d: inverse(e, order), bits }
  }
}

function prime(bits: number): bigint {
  return generatePrimeSync(bits, { bigint: true })
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value, modulus, 1n, 0n]
  while (b > 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y]
  return ((x % modulus) + modulus) % modulus
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base]
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

function digest(name: string, ...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(
    createHash(name)
      .update(concat(...parts))
      .digest(),
  )
}

/** EMSA-PSS-ENCODE (RFC 8017 9.1.1) and the private operation. */
function pss(key: RsaKey, how: Encoding = {}): Uint8Array {
  const {
    salt: saltLength = 32,
    hash = 'sha256',
    mgf = hash,
    trailer = 0xbc,
    separator = 1,
    topBits = 0,
    padding = 0,
  } = how
  const [emBits, emLen] = [key.bits - 1, Math.ceil((key.bits - 1) / 8)]
  const salt = new Uint8Array(randomBytes(saltLength))
  const h = digest(hash, new Uint8Array(8), digest(hash, PAYLOAD), salt)
  const zeros = new Uint8Array(emLen - saltLength - h.length - 2)
  if (padding !== 0) zeros[zeros.length - 1] = padding
  const block = concat(zeros, Uint8Array.of(separator), salt)
  const mask = concat(...Array.from({ length: 20 }, (_, i) => digest(mgf, h, Uint8Array.of(0, 0, 0, i))))
  const masked = block.map((byte, i) => byte ^ (mask[i] ?? 0))
  masked[0] = ((masked[0] ?? 0) & (0xff >> (8 * emLen - emBits))) | topBits
  const encoded = toBigInt(concat(masked, h, Uint8Array.of(trailer)))
  return bigBytes(power(encoded, key.d, key.n), Math.ceil(key.bits / 8))
}

/** EMSA-PKCS1-v1_5 (RFC 8017 9.2). */
function pkcs1v15(key: RsaKey): Uint8Array {
  const info = concat(
    Uint8Array.from(Buffer.from('3031300d060960864801650304020105000420', 'hex')),
    digest('sha256', PAYLOAD),
  )
  const encoded = concat(Uint8Array.of(0, 1), new Uint8Array(256 - info.length - 3).fill(255), Uint8Array.of(0), info)
  return bigBytes(power(toBigInt(encoded), key.d, key.n), 256)
}

function publicOf(key: RsaKey): PublicKey {
  return pemKey('rsa-pss', rsaSpki(bigBytes(key.n), bigBytes(key.e)))
}

/** 2049 bits: the encoding is a byte shorter than the modulus. 2050: two unused bits. */
export function rsaCases(): SignatureCases {
  const [plain, longer, odd] = [makeKey(2048), makeKey(2049), makeKey(2050)]
  const key = publicOf(plain)
  const holds = (signature: Uint8Array, of = key): SignatureCase => ({
    key: of,
    payload: PAYLOAD,
    signature,
    holds: true,
  })
  const fails = (signature: Uint8Array, of = key): SignatureCase => ({
    key: of,
    payload: PAYLOAD,
    signature,
    holds: false,
  })
  const good = pss(plain)
  const small = smallSignature(plain)
  return {
    'accepts a salt of 32 bytes': holds(good),
    'accepts no salt': holds(pss(plain, { salt: 0 })),
    'accepts a salt of 20 bytes': holds(pss(plain, { salt: 20 })),
    'accepts the longest salt that fits': holds(pss(plain, { salt: 256 - 34 })),
    'accepts a modulus of 2049 bits': holds(pss(longer), publicOf(longer)),
    'accepts the longest salt under 2049 bits': holds(pss(longer, { salt: 256 - 34 }), publicOf(longer)),
    'accepts a modulus of 2050 bits': holds(pss(odd), publicOf(odd)),
    'refuses a set bit above the encoding': fails(pss(odd, { topBits: 0x02 }), publicOf(odd)),
    'refuses another payload': { key, payload: new TextEncoder().encode('another'), signature: good, holds: false },
    'refuses SHA-1 throughout': fails(pss(plain, { hash: 'sha1' })),
    'refuses SHA-512 throughout': fails(pss(plain, { hash: 'sha512' })),
    'refuses MGF1 with SHA-1': fails(pss(plain, { mgf: 'sha1' })),
    'refuses another trailer': fails(pss(plain, { trailer: 0xcc })),
    'refuses another separator': fails(pss(plain, { separator: 2 })),
    'refuses no separator': fails(pss(plain, { separator: 0, salt: 0 })),
    'refuses a byte among the zeros': fails(pss(plain, { padding: 0x40 })),
    'refuses PKCS#1 v1.5': fails(pkcs1v15(plain)),
    'refuses a flipped bit': fails(good.with(100, (good[100] ?? 0) ^ 1)),
    'refuses a byte too few': fails(good.subarray(1)),
    'refuses a signature whose leading zero is left out': fails(small.subarray(1)),
    'accepts the same signature with its leading zero': holds(small),
    'refuses a zero before the signature': fails(concat(Uint8Array.of(0), good)),
    'refuses a byte after the signature': fails(concat(good, Uint8Array.of(0))),
    'refuses an empty signature': fails(new Uint8Array()),
    'refuses the signature plus the modulus': fails(bigBytes(toBigInt(good) + plain.n).slice(-256)),
    'refuses zero': fails(new Uint8Array(256)),
    'refuses one': fails(bigBytes(1n, 256)),
    'refuses the modulus itself': fails(bigBytes(plain.n, 256)),
    'refuses the modulus less one': fails(bigBytes(plain.n - 1n, 256)),
    ...keyCases(plain),
  }
}

/** A signature that begins with a zero byte, by trying salts; one in 256 does. */
function smallSignature(key: RsaKey): Uint8Array {
  while (true) {
    const signature = pss(key)
    if (signature[0] === 0) return signature
  }
}

function keyCases({ n, e, bits }: RsaKey): SignatureCases {
  const modulus = bigBytes(n)
  const closed = (bytes: Uint8Array): SignatureCase => ({ key: pemKey('rsa-pss', bytes), opens: false })
  const numbers = (...parts: Uint8Array[]) => spki(OID.rsa, der.none(), der.sequence(...parts))
  const sized = (length: number) => bigBytes((1n << BigInt(length - 1)) | 1n)
  return {
    'refuses a key of 1024 bits': closed(rsaSpki(sized(1024), EXPONENT)),
    'refuses a key of 2047 bits': closed(rsaSpki(sized(2047), EXPONENT)),
    'refuses a key of 8193 bits': closed(rsaSpki(sized(8193), EXPONENT)),
    'refuses a key of 16384 bits': closed(rsaSpki(sized(16384), EXPONENT)),
    'refuses an even modulus': closed(rsaSpki(bigBytes(n - 1n), EXPONENT)),
    'refuses an exponent of 1': closed(rsaSpki(modulus, Uint8Array.of(1))),
    'refuses an exponent of 2': closed(rsaSpki(modulus, Uint8Array.of(2))),
    'refuses an even exponent': closed(rsaSpki(modulus, Uint8Array.of(1, 0, 0))),
    'refuses an exponent of 2^31 + 1': closed(rsaSpki(modulus, bigBytes(2n ** 31n + 1n))),
    'refuses an exponent of 2^64 + 1': closed(rsaSpki(modulus, bigBytes(2n ** 64n + 1n))),
    'refuses an exponent of 0': closed(numbers(der.positive(modulus), der.small(0))),
    'refuses a negative modulus': closed(numbers(element(modulus), der.positive(bigBytes(e)))),
    'refuses a third number': closed(numbers(der.positive(modulus), der.positive(bigBytes(e)), der.small(1))),
    'refuses a missing exponent': closed(numbers(der.positive(modulus))),
    'refuses absent parameters': closed(spki(OID.rsa, new Uint8Array(), rsaBody(modulus))),
    'refuses parameters that are not null': closed(spki(OID.rsa, der.sequence(), rsaBody(modulus))),
    'refuses a key that is bound to PSS by its own parameters': closed(
      spki(OID.rsaPss, new Uint8Array(), rsaBody(modulus)),
    ),
    'refuses bytes after the key': closed(concat(rsaSpki(modulus, EXPONENT), Uint8Array.of(0))),
    'refuses bytes after the numbers': closed(spki(OID.rsa, der.none(), concat(rsaBody(modulus), Uint8Array.of(0)))),
    [`refuses a key of ${bits} bits cut short`]: closed(rsaSpki(modulus, EXPONENT).subarray(0, -1)),
  }

  function element(body: Uint8Array): Uint8Array {
    return concat(Uint8Array.of(0x02, 0x82, body.length >> 8, body.length & 255), body)
  }
}

function rsaBody(modulus: Uint8Array): Uint8Array {
  return der.sequence(der.positive(modulus), der.positive(EXPONENT))
}
