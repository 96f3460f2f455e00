import { sameBytes } from '../bytes.ts'
import { DerReader, der } from '../der.ts'
import { KeyError } from '../errors.ts'
import { readPem, writePem } from '../pem.ts'
import type { Scheme } from './scheme.ts'
import { readSpki } from './spki.ts'

/** RSASSA-PSS with SHA-256 and MGF1-SHA-256 (RFC 8017 8.1); salt of 32 bytes when written, of any length when read. */
const OID = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01) // 1.2.840.113549.1.1.1 rsaEncryption
/** TUF 1.0 wants 2048 at least. Above 8192 one check costs milliseconds, and a file may ask for a thousand. */
const MIN_BITS = 2048
const MAX_BITS = 8192

export const rsaPss: Scheme = {
  algorithm: 'rsa-pss',
  name: 'rsassa-pss-sha256',
  keytypes: ['rsa'],
  owns: (parts) => sameBytes(parts.oid, OID),
  canonical(parts) {
    if (!sameBytes(parts.parameters, der.none())) throw malformed('its parameters are not null') // RFC 3279 2.3.1
    const { modulus, exponent } = readRsaKey(parts.key)
    refuseNumbers(modulus, exponent)
    const key = der.sequence(der.positive(modulus), der.small(exponent))
    return der.sequence(der.sequence(der.oid(OID), der.none()), der.bits(key))
  },
  readPublic: (text) => readPem(text, 'PUBLIC KEY'),
  writePublic: (spki) => writePem('PUBLIC KEY', spki),
  // RFC 8017 8.1.2 step 1: as long as the modulus; OpenSSL alone would take shorter ones.
  signatureForm(spki) {
    const { modulus } = rsaNumbers(spki)
    return (signature) => signature.length === modulus.length
  },
}

type RsaNumbers = { readonly modulus: Uint8Array; readonly exponent: number }

/** The numbers of a canonical SPKI. */
export function rsaNumbers(spki: Uint8Array): RsaNumbers {
  return readRsaKey(readSpki(spki).key)
}

/** RSAPublicKey (RFC 8017 A.1.1). An exponent of 2^31 and more is refused, as Go does. */
function readRsaKey(bits: Uint8Array): RsaNumbers {
  const whole = new DerReader(bits, 'rsa public key')
  const key = whole.sequence()
  whole.end()
  const numbers = { modulus: key.positive(), exponent: key.small() }
  key.end()
  return numbers
}

function refuseNumbers(modulus: Uint8Array, exponent: number): void {
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24
  if (bits < MIN_BITS) throw weak(`${bits} bits, and ${MIN_BITS} is the least`)
  if (bits > MAX_BITS) throw malformed(`it has ${bits} bits, and ${MAX_BITS} is the most`)
  if (((modulus.at(-1) ?? 0) & 1) === 0) throw weak('its modulus is even')
  if (exponent < 3 || exponent % 2 === 0) throw weak(`its exponent is ${exponent}`)
}

function weak(why: string): KeyError {
  return new KeyError('KEY_WEAK', { what: 'rsa public key', why })
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'rsa public key', why })
}
