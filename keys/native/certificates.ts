import { X509Certificate, type webcrypto } from 'node:crypto'
import { isKeyError, KeyError } from '../errors.ts'
import { readPemBlocks } from '../pem.ts'
import { readCertificate as readFields } from '../x509/certificate.ts'

/** Certificates whose owners are trusted to sign something, themselves or through certificates that they signed. */
export type CertificateBundle = {
  readonly keys: readonly CertifiedKey[]
  /**
   * The public key of the first certificate of a chain (DER, each signed by the next), where the chain leads to the
   * bundle and every certificate in it is valid now.
   */
  readonly keyOf: (chain: readonly Uint8Array[], now: number) => Uint8Array | undefined
}

/** A public key in the two forms that tokens name keys by. */
export type CertifiedKey = { readonly spki: Uint8Array; readonly jwk: webcrypto.JsonWebKey }

/** Of the first certificate in a text of PEM, in milliseconds since 1970. Throws what OpenSSL says of anything else. */
export function lifeOf(pem: string): { readonly from: number; readonly to: number } {
  const { validFrom, validTo } = new X509Certificate(pem)
  return { from: Date.parse(validFrom), to: Date.parse(validTo) }
}

const MAX_CHAIN = 5

/** Throws KEY_MALFORMED for anything but certificates in PEM. */
export function readBundle(pem: string, what: string): CertificateBundle {
  const blocks = readPemBlocks(pem, what)
  if (blocks.length === 0 || blocks.some(({ label }) => label !== 'CERTIFICATE')) {
    throw new KeyError('KEY_MALFORMED', { what, why: 'it must hold certificates and nothing else' })
  }
  const trusted = blocks.map(({ der }) => {
    const certificate = readCertificate(der)
    if (certificate !== undefined) return certificate
    throw new KeyError('KEY_MALFORMED', { what, why: 'a certificate in it cannot be read' })
  })
  return {
    keys: trusted.map((each) => ({ spki: keyOf(each), jwk: each.x509.publicKey.export({ format: 'jwk' }) })),
    keyOf(chain, now) {
      if (chain.length > MAX_CHAIN) return undefined
      const certificates = chain.map(readCertificate)
      const [leaf] = certificates
      if (leaf === undefined || !certificates.every((each) => each !== undefined)) return undefined
      return leads(certificates, trusted, now) ? keyOf(leaf) : undefined
    },
  }
}

/** As OpenSSL has it, and how many authorities it lets follow (RFC 5280 4.2.1.9), which Node does not tell. */
type Certificate = { readonly x509: X509Certificate; readonly pathLength: number }

/** From the first on, each is trusted itself, or signed by one that is, or signed by the next. */
function leads(chain: readonly Certificate[], trusted: readonly Certificate[], now: number): boolean {
  for (const [depth, certificate] of chain.entries()) {
    if (!isValid(certificate, now)) return false
    if (trusted.some((anchor) => anchor.x509.raw.equals(certificate.x509.raw))) return true
    if (trusted.some((anchor) => isValid(anchor, now) && signed(anchor, certificate, depth))) return true
    const next = chain[depth + 1]
    if (next === undefined || !signed(next, certificate, depth)) return false
  }
  return false
}

function isValid({ x509 }: Certificate, now: number): boolean {
  const { validFromDate, validToDate } = x509
  return validFromDate.getTime() <= now && now <= validToDate.getTime()
}

/** `below`: how many authorities stand between the issuer and the end of the chain. */
function signed(issuer: Certificate, { x509 }: Certificate, below: number): boolean {
  return (
    issuer.x509.ca &&
    below <= issuer.pathLength &&
    x509.checkIssued(issuer.x509) && // names, and the right to sign certificates
    x509.verify(issuer.x509.publicKey)
  )
}

function keyOf({ x509 }: Certificate): Uint8Array {
  return new Uint8Array(x509.publicKey.export({ format: 'der', type: 'spki' }))
}

function readCertificate(der: Uint8Array): Certificate | undefined {
  const x509 = open(der)
  try {
    return x509 && { x509, pathLength: readFields(der).pathLength ?? MAX_CHAIN }
  } catch (error) {
    if (!isKeyError(error)) throw error
    return undefined
  }
}

function open(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    // OpenSSL's reason says nothing to anybody.
    return undefined
  }
}
