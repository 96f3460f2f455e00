import { der } from './der.ts'
import { KeyError } from './errors.ts'
import { randomBytes } from './random.ts'
import type { Algorithm, Signer } from './signer.ts'

/** Bodies of object identifiers; X.690 8.19. */
const OID = {
  ecdsaWithSha256: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02), // 1.2.840.10045.4.3.2
  ecdsaWithSha384: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03), // 1.2.840.10045.4.3.3
  ecdsaWithSha512: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04), // 1.2.840.10045.4.3.4
  commonName: Uint8Array.of(0x55, 0x04, 0x03), // 2.5.4.3
  keyUsage: Uint8Array.of(0x55, 0x1d, 0x0f), // 2.5.29.15
  basicConstraints: Uint8Array.of(0x55, 0x1d, 0x13), // 2.5.29.19
  extendedKeyUsage: Uint8Array.of(0x55, 0x1d, 0x25), // 2.5.29.37
  codeSigning: Uint8Array.of(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03), // 1.3.6.1.5.5.7.3.3
} as const
const TAG = {
  boolean: 0x01,
  bits: 0x03,
  utf8: 0x0c,
  utcTime: 0x17,
  anyTime: 0x18,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
} as const

/** `name` becomes the common name. `from` and `until` in milliseconds since 1970, both included. */
export type CertificateFacts = {
  readonly name: string
  readonly from: number
  readonly until: number
  readonly purpose: keyof typeof EXTENSIONS
}

/** What a certificate is for; none of them certifies anybody else. */
const EXTENSIONS = {
  /** digitalSignature. */
  signing: [extension(OID.keyUsage, 'critical', keyUsage(0x80, 7))],
  /** What notary gives the certificate of a root key: its own clients, and docker's, take it for nothing else. */
  'notary root': [
    extension(OID.keyUsage, 'critical', keyUsage(0xa0, 5)), // digitalSignature, keyEncipherment
    extension(OID.extendedKeyUsage, 'plain', der.sequence(der.oid(OID.codeSigning))),
    extension(OID.basicConstraints, 'critical', der.sequence()), // CA:FALSE
  ],
} as const

const SIGNATURE_OID: ReadonlyMap<Algorithm, Uint8Array> = new Map([
  ['ecdsa-p256', OID.ecdsaWithSha256],
  ['ecdsa-p384', OID.ecdsaWithSha384],
  ['ecdsa-p521', OID.ecdsaWithSha512],
])

/** An X.509 certificate (RFC 5280) that an ECDSA key makes for itself, DER. Throws KEY_MALFORMED for any other key. */
export async function selfSigned(signer: Signer, facts: CertificateFacts): Promise<Uint8Array> {
  const oid = SIGNATURE_OID.get(signer.public.algorithm)
  if (oid === undefined) {
    throw new KeyError('KEY_MALFORMED', { what: 'key of a certificate', why: 'only an ecdsa key makes one for itself' })
  }
  const algorithm = der.sequence(der.oid(oid))
  const subject = nameOf(facts.name)
  const body = der.sequence(
    der.tagged(TAG.version, der.small(2)), // v3
    der.positive(randomBytes(16)),
    algorithm,
    subject,
    der.sequence(time(facts.from), time(facts.until)),
    subject,
    signer.public.spki,
    der.tagged(TAG.extensions, der.sequence(...EXTENSIONS[facts.purpose])),
  )
  return der.sequence(body, algorithm, der.bits(await signer.sign(body)))
}

function nameOf(common: string): Uint8Array {
  const attribute = der.sequence(der.oid(OID.commonName), der.tagged(TAG.utf8, Buffer.from(common)))
  return der.sequence(der.tagged(TAG.set, attribute))
}

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on. */
function time(at: number): Uint8Array {
  const digits = new Date(at).toISOString().replaceAll(/\..*|\D/g, '')
  return new Date(at).getUTCFullYear() < 2050
    ? der.tagged(TAG.utcTime, Buffer.from(`${digits.slice(2)}Z`))
    : der.tagged(TAG.anyTime, Buffer.from(`${digits}Z`))
}

function extension(oid: Uint8Array, weight: 'critical' | 'plain', value: Uint8Array): Uint8Array {
  const critical = weight === 'critical' ? [der.tagged(TAG.boolean, Uint8Array.of(0xff))] : []
  return der.sequence(der.oid(oid), ...critical, der.octets(value))
}

/** The first byte of the bits of RFC 5280 4.2.1.3, and how many of its last are none. */
function keyUsage(bits: number, unused: number): Uint8Array {
  return der.tagged(TAG.bits, Uint8Array.of(unused, bits))
}
