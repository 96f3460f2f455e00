import { createCipheriv, createDecipheriv, pbkdf2, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { concat, sameBytes } from '../bytes.ts'
import { DerReader, der } from '../der.ts'
import { KeyError } from '../errors.ts'
import { randomBytes } from '../random.ts'
import type { Passphrase } from './passphrase.ts'

/**
 * EncryptedPrivateKeyInfo with PBES2 (RFC 8018 6.2): what `openssl pkey` opens.
 *
 * Written: scrypt (RFC 7914) and AES-256-CBC. Read: that, and PBKDF2 as OpenSSL writes it. The key is
 * derived in the thread pool, so that it overlaps with the network.
 */
const oid = (...body: number[]): Uint8Array => Uint8Array.of(...body)
const PBES2 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d)
const PBKDF2 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c)
const SCRYPT = oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b)
const AES_256_CBC = oid(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a)

const CIPHERS = [
  { name: 'aes-128-cbc', length: 16, oid: oid(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02) },
  { name: 'aes-192-cbc', length: 24, oid: oid(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x16) },
  { name: 'aes-256-cbc', length: 32, oid: AES_256_CBC },
] as const

const PRFS = [
  { name: 'sha1', oid: oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07) },
  { name: 'sha256', oid: oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09) },
  { name: 'sha384', oid: oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0a) },
  { name: 'sha512', oid: oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b) },
] as const

/**
 * N = 2^14, r = 8: 16 MiB, OpenSSL's default. What a person can remember is worth five passes; what a machine keeps, one.
 * What a machine made cannot be guessed at all: an eighth of it keeps a pipeline fast, which pays for every signature.
 */
const BLOCK = 8
const COSTS = {
  typed: { N: 16384, p: 5 },
  kept: { N: 16384, p: 1 },
  random: { N: 2048, p: 1 },
} as const
/** `openssl rand -base64 16` makes 24 characters. */
const RANDOM_LENGTH = 20

function costFor({ bytes, origin }: Passphrase): { readonly N: number; readonly p: number } {
  if (origin === 'typed') return COSTS.typed
  return bytes.length >= RANDOM_LENGTH ? COSTS.random : COSTS.kept
}

/** A file may ask for no more than 256 MiB, sixteen times our passes, or ten million rounds. */
const MAX_MEMORY = 256 * 1024 * 1024
const MAX_WORK = 16 * 16384 * 8 * 5
const MAX_ROUNDS = 10_000_000

type Derive = (passphrase: Uint8Array, length: number) => Promise<Uint8Array>
type Recipe = {
  readonly derive: Derive
  readonly cipher: (typeof CIPHERS)[number]
  readonly iv: Uint8Array
  readonly sealed: Uint8Array
}

export async function encryptPkcs8(pkcs8: Uint8Array, passphrase: Passphrase): Promise<Uint8Array> {
  const [salt, iv, { N, p }] = [randomBytes(16), randomBytes(16), costFor(passphrase)]
  const key = await deriveScrypt({ N, r: BLOCK, p, salt })(passphrase.bytes, 32)
  try {
    const kdf = der.sequence(der.octets(salt), der.small(N), der.small(BLOCK), der.small(p))
    return sealed(pkcs8, { kdf: der.sequence(der.oid(SCRYPT), kdf), key, iv })
  } finally {
    key.fill(0)
  }
}

/**
 * PBKDF2 with HMAC-SHA1, its hash unsaid, and AES-256-CBC: all that Notary reads. It takes any number of rounds, and
 * gets as many as keep it waiting for a tenth of a second; the 2048 that it writes itself stop nobody who guesses.
 */
export async function encryptForNotary(pkcs8: Uint8Array, passphrase: Passphrase): Promise<Uint8Array> {
  const [salt, iv] = [randomBytes(8), randomBytes(16)]
  const key = await promisify(pbkdf2)(passphrase.bytes, salt, NOTARY_ROUNDS, 32, 'sha1')
  try {
    const kdf = der.sequence(der.octets(salt), der.small(NOTARY_ROUNDS))
    return sealed(pkcs8, { kdf: der.sequence(der.oid(PBKDF2), kdf), key, iv })
  } finally {
    key.fill(0)
  }
}
const NOTARY_ROUNDS = 200_000

function sealed(pkcs8: Uint8Array, { kdf, key, iv }: { kdf: Uint8Array; key: Uint8Array; iv: Uint8Array }): Uint8Array {
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  const parameters = der.sequence(kdf, der.sequence(der.oid(AES_256_CBC), der.octets(iv)))
  return der.sequence(
    der.sequence(der.oid(PBES2), parameters),
    der.octets(concat(cipher.update(pkcs8), cipher.final())),
  )
}

/** undefined for a wrong passphrase, as far as padding shows it; KEY_MALFORMED for what is no PBES2 that we read. */
export async function decryptPkcs8(encrypted: Uint8Array, passphrase: Uint8Array): Promise<Uint8Array | undefined> {
  const { derive, cipher, iv, sealed } = readRecipe(encrypted)
  const key = await derive(passphrase, cipher.length)
  const decipher = createDecipheriv(cipher.name, key, iv)
  const start = decipher.update(sealed)
  try {
    const end = decipher.final()
    const pkcs8 = concat(start, end)
    end.fill(0)
    return pkcs8
  } catch {
    return undefined // bad padding, which is all that OpenSSL can say
  } finally {
    start.fill(0)
    key.fill(0)
  }
}

function readRecipe(encrypted: Uint8Array): Recipe {
  const whole = new DerReader(encrypted, 'encrypted private key')
  const info = whole.sequence()
  whole.end()
  const algorithm = info.sequence()
  const sealed = info.octets()
  info.end()
  if (!sameBytes(algorithm.oid(), PBES2)) throw unknown('its encryption is not PBES2')
  const parameters = algorithm.sequence()
  algorithm.end()
  const derive = readDerivation(parameters.sequence())
  const encryption = parameters.sequence()
  parameters.end()
  const found = encryption.oid()
  const cipher = CIPHERS.find((candidate) => sameBytes(candidate.oid, found))
  if (cipher === undefined) throw unknown('its cipher is not AES-CBC')
  const iv = encryption.octets()
  encryption.end()
  if (iv.length !== 16) throw unknown('its initialisation vector has not 16 bytes')
  return { derive, cipher, iv, sealed }
}

function readDerivation(algorithm: DerReader): Derive {
  const found = algorithm.oid()
  const parameters = algorithm.sequence()
  algorithm.end()
  if (sameBytes(found, SCRYPT)) return readScrypt(parameters)
  if (sameBytes(found, PBKDF2)) return readPbkdf2(parameters)
  throw unknown('its key derivation is neither scrypt nor PBKDF2')
}

function readScrypt(parameters: DerReader): Derive {
  const salt = parameters.octets()
  const [N, r, p] = [parameters.small(), parameters.small(), parameters.small()]
  parameters.skipSmall() // the key's length: the cipher says it
  parameters.end()
  if (N < 2 || (N & (N - 1)) !== 0) throw unknown('its scrypt cost is no power of two')
  if (128 * N * r > MAX_MEMORY || N * r * p > MAX_WORK) throw unknown('its scrypt cost is beyond all measure')
  return deriveScrypt({ N, r, p, salt })
}

function readPbkdf2(parameters: DerReader): Derive {
  const salt = parameters.octets()
  const rounds = parameters.small()
  parameters.skipSmall() // the key's length: the cipher says it
  const prf = parameters.more ? readPrf(parameters.sequence()) : 'sha1' // RFC 8018 A.2: the default
  parameters.end()
  if (rounds > MAX_ROUNDS) throw unknown('its PBKDF2 rounds are beyond all measure')
  return (passphrase, length) => promisify(pbkdf2)(passphrase, salt, rounds, length, prf)
}

function readPrf(algorithm: DerReader): string {
  const found = algorithm.oid()
  algorithm.none()
  algorithm.end()
  const prf = PRFS.find((candidate) => sameBytes(candidate.oid, found))
  if (prf === undefined) throw unknown('its PBKDF2 hash is not SHA-1 or SHA-2')
  return prf.name
}

function deriveScrypt({ N, r, p, salt }: { N: number; r: number; p: number; salt: Uint8Array }): Derive {
  const maxmem = 128 * r * (N + p + 2) + 1024 * 1024
  return (passphrase, length) =>
    new Promise((resolve, reject) => {
      scrypt(passphrase, salt, length, { N, r, p, maxmem }, (error, key) => (error ? reject(error) : resolve(key)))
    })
}

function unknown(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'encrypted private key', why })
}
