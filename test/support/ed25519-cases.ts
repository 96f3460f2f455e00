import { Point } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { concat, toHex } from '../../keys/bytes.ts'
import type { SignatureCase, SignatureCases } from './signature-case.ts'
import { listed, TUF_NAMES } from './tuf-key.ts'

/**
 * Ed25519 where implementations differ: every edge of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko,
 * 2020) that strict, cofactorless RFC 8032 decides, made here from fixed scalars.
 */
const { n: L, p: P } = Point.CURVE()
/** A secret scalar and a nonce; any two would do. */
const [A, R] = [123456789012345678901234567890n, 987654321098765432109876543210n]
/** A point of order 8: the torsion part of a point outside the prime subgroup. */
const T8 = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')

const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const little = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n))
const toBig = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.toReversed())}`)
const challenge = (r: Uint8Array, a: Uint8Array, m: Uint8Array): bigint => toBig(sha512(concat(r, a, m))) % L
const keyOf = (bytes: Uint8Array) => listed({ ...TUF_NAMES.ed25519, public: toHex(bytes) })

function asked(a: Uint8Array, payload: Uint8Array, signature: Uint8Array, holds: boolean): SignatureCase {
  return { key: keyOf(a), payload, signature, holds }
}

/** Signs with given encodings of R and A: S = r + k a, for the discrete logarithms of their prime-order parts. */
function forge(a: Uint8Array, r: Uint8Array, payload: Uint8Array, nonce = R): Uint8Array {
  return concat(r, little((nonce + challenge(r, a, payload) * A) % L))
}

const PUBLIC = Point.BASE.multiply(A).toBytes()
const COMMITMENT = Point.BASE.multiply(R).toBytes()
const MESSAGE = text('a payload')
const GOOD = forge(PUBLIC, COMMITMENT, MESSAGE)

/** A message for which the challenge has the wanted rest modulo 8, by trying. */
function messageWith(rest: bigint, r: Uint8Array, a: Uint8Array): Uint8Array {
  for (let i = 0; ; i++) {
    const message = text(`try ${i}`)
    if (challenge(r, a, message) % 8n === rest) return message
  }
}

function flipped(bytes: Uint8Array, index: number, bit = 1): Uint8Array {
  return bytes.with(index, (bytes[index] ?? 0) ^ bit)
}

function mixed(): SignatureCases {
  const mixedKey = Point.BASE.multiply(A).add(T8).toBytes()
  const mixedR = Point.BASE.multiply(R).add(T8).toBytes()
  const [zero, one, seven] = [
    messageWith(0n, COMMITMENT, mixedKey),
    messageWith(1n, COMMITMENT, mixedKey),
    messageWith(7n, mixedR, mixedKey),
  ]
  return {
    'refuses a commitment with a torsion part, which only the cofactor would cancel': asked(
      PUBLIC,
      MESSAGE,
      forge(PUBLIC, mixedR, MESSAGE),
      false,
    ),
    'refuses a key with a torsion part that the challenge does not cancel': asked(
      mixedKey,
      one,
      forge(mixedKey, COMMITMENT, one),
      false,
    ),
    'accepts a key with a torsion part that the challenge cancels': asked(
      mixedKey,
      zero,
      forge(mixedKey, COMMITMENT, zero),
      true,
    ),
    'accepts key and commitment whose torsion parts cancel each other': asked(
      mixedKey,
      seven,
      forge(mixedKey, mixedR, seven),
      true,
    ),
    'refuses key and commitment whose torsion parts do not cancel': asked(
      mixedKey,
      messageWith(3n, mixedR, mixedKey),
      forge(mixedKey, mixedR, messageWith(3n, mixedR, mixedKey)),
      false,
    ),
  }
}

function commitments(): SignatureCases {
  const identity = little(1n)
  const withR = (r: Uint8Array) => asked(PUBLIC, MESSAGE, forge(PUBLIC, r, MESSAGE, 0n), false)
  const small = torsion().map(
    (point, i) => [`refuses the point of small order ${i} of 8 as commitment`, withR(point)] as const,
  )
  return {
    ...Object.fromEntries(small),
    'refuses the neutral point written with the sign of a zero x': withR(flipped(identity, 31, 0x80)),
    'refuses the neutral point written as y = p + 1': withR(little(P + 1n)),
    'refuses the neutral point written as y = p + 1 with a sign': withR(flipped(little(P + 1n), 31, 0x80)),
    'refuses a commitment that is no point': withR(little(2n)),
    'refuses a commitment of all ones': withR(new Uint8Array(32).fill(255)),
  }
}

/** The eight points whose order divides 8. */
function torsion(): Uint8Array[] {
  return Array.from({ length: 8 }, (_, i) => (i === 0 ? Point.ZERO : T8.multiply(BigInt(i), false)).toBytes())
}

function scalars(): SignatureCases {
  const s = toBig(GOOD.subarray(32))
  const withS = (value: bigint) => asked(PUBLIC, MESSAGE, concat(COMMITMENT, little(value)), false)
  return {
    'refuses S + L, the twin of a signature': withS(s + L),
    'refuses S + 2 L': withS(s + 2n * L),
    'refuses S + 8 L, with its top bits set': withS(s + 8n * L),
    'refuses S = L': withS(L),
    'refuses S = L - 1 that does not fit': withS(L - 1n),
    'refuses S = 0': withS(0n),
    'refuses S of all ones': withS(2n ** 256n - 1n),
    'refuses the negated S': withS(L - s),
  }
}

function keys(): SignatureCases {
  const small = torsion().map((point, i) => [`the point of small order ${i} of 8`, point] as const)
  const signs = [0, 0x80].flatMap((sign) =>
    [P, P + 1n, 0n, 1n, P - 1n].map(
      (y) =>
        [
          `y = ${y < 2n ? y : y - P} (mod 2^255 - 19) with sign bit ${sign >> 7}`,
          flipped(little(y), 31, sign),
        ] as const,
    ),
  )
  const beyond = Array.from({ length: 17 }, (_, i) => [`the key y = p + ${i + 2}`, little(P + BigInt(i + 2))] as const)
  const other = [
    ['a key that is no point', little(2n)],
    ['a key of all ones', new Uint8Array(32).fill(255)],
    ['a key of 31 bytes', PUBLIC.subarray(1)],
    ['a key of 33 bytes', concat(PUBLIC, Uint8Array.of(0))],
    ['an empty key', new Uint8Array()],
  ] as const
  return Object.fromEntries(
    [...small, ...signs, ...beyond, ...other].map(([name, bytes]) => [
      `refuses ${name} as a key`,
      { key: keyOf(bytes), opens: false } as const,
    ]),
  )
}

/** RFC 8032 7.1, tests 1 to 3 and SHA(abc). */
const RFC = [
  [
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
  [
    'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
  ],
] as const

export const ED25519_CASES: SignatureCases = {
  ...Object.fromEntries(
    RFC.map(([key, message, signature], i) => [
      `accepts vector ${i + 1} of RFC 8032`,
      asked(fromHex(key), fromHex(message), fromHex(signature), true),
    ]),
  ),
  'accepts a signature made here': asked(PUBLIC, MESSAGE, GOOD, true),
  'refuses another message': asked(PUBLIC, text('another payload'), GOOD, false),
  'refuses a flipped bit in R': asked(PUBLIC, MESSAGE, flipped(GOOD, 0), false),
  'refuses a flipped sign of R': asked(PUBLIC, MESSAGE, flipped(GOOD, 31, 0x80), false),
  'refuses a flipped bit in S': asked(PUBLIC, MESSAGE, flipped(GOOD, 32), false),
  'refuses a signature of 63 bytes': asked(PUBLIC, MESSAGE, GOOD.subarray(0, 63), false),
  'refuses a signature of 65 bytes': asked(PUBLIC, MESSAGE, concat(GOOD, Uint8Array.of(0)), false),
  'refuses an empty signature': asked(PUBLIC, MESSAGE, new Uint8Array(), false),
  'refuses a signature of zeros': asked(PUBLIC, MESSAGE, new Uint8Array(64), false),
  ...mixed(),
  ...commitments(),
  ...scalars(),
  ...keys(),
}
