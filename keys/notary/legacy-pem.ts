import { createDecipheriv, createHash } from 'node:crypto'
import { concat, fromHex } from '../bytes.ts'
import { KeyError } from '../errors.ts'

/**
 * What PEM called encryption before PKCS#8 (RFC 1421 headers, OpenSSL's key derivation): one round of MD5, which slows
 * nobody who guesses. Read, so that such keys can move to something better; never written.
 */
const CIPHERS = new Map([
  ['AES-128-CBC', { name: 'aes-128-cbc', length: 16, iv: 16 }],
  ['AES-192-CBC', { name: 'aes-192-cbc', length: 24, iv: 16 }],
  ['AES-256-CBC', { name: 'aes-256-cbc', length: 32, iv: 16 }],
  ['DES-EDE3-CBC', { name: 'des-ede3-cbc', length: 24, iv: 8 }],
])
const SALT = 8

/** `undefined` for a wrong passphrase, as far as padding shows it. */
export type Decrypt = (passphrase: Uint8Array) => Uint8Array | undefined

/** How to decrypt a block with these headers; undefined where they say that it is not encrypted. Throws KEY_MALFORMED. */
export function legacyDecryption(headers: ReadonlyMap<string, string>, sealed: Uint8Array): Decrypt | undefined {
  const [kind, info] = [headers.get('Proc-Type'), headers.get('DEK-Info')]
  if (kind === undefined && info === undefined) return undefined
  if (kind !== '4,ENCRYPTED') throw malformed('its Proc-Type is not 4,ENCRYPTED')
  const [, name = '', hex = ''] = /^([A-Z0-9-]+),([0-9A-Fa-f]+)$/.exec(info ?? '') ?? []
  const cipher = CIPHERS.get(name)
  const iv = fromHex(hex.toLowerCase())
  if (cipher === undefined) throw malformed('its DEK-Info names none of AES-CBC and DES-EDE3-CBC')
  if (iv?.length !== cipher.iv) throw malformed(`its initialisation vector has not ${cipher.iv} bytes`)
  return (passphrase) => {
    const key = derive(passphrase, iv.subarray(0, SALT), cipher.length)
    const decipher = createDecipheriv(cipher.name, key, iv)
    const start = decipher.update(sealed)
    try {
      return concat(start, decipher.final())
    } catch {
      return undefined // bad padding, which is all that can be said
    } finally {
      start.fill(0)
      key.fill(0)
    }
  }
}

/** EVP_BytesToKey with MD5 and one round: each block hashes the one before it, the passphrase and the salt. */
function derive(passphrase: Uint8Array, salt: Uint8Array, length: number): Uint8Array {
  const key = new Uint8Array(length)
  let block: Uint8Array = new Uint8Array()
  for (let at = 0; at < length; at += block.length) {
    block = createHash('md5').update(block).update(passphrase).update(salt).digest()
    key.set(block.subarray(0, length - at), at)
  }
  block.fill(0)
  return key
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'encrypted private key', why })
}
