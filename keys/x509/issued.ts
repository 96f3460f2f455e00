import { isKeyError } from '../errors.ts'
import { SCHEMES, publicMaterial } from '../schemes/table.ts'
import type { PublicMaterial } from '../signer.ts'
import type { ParsedCertificate } from './certificate.ts'

export type CertificateHash = 'sha256' | 'sha384' | 'sha512'

/** Whether `issuer` signed these bytes: PKCS#1 v1.5 with an RSA key, ECDSA in DER with one of a curve. */
export type CheckIssued = (
  issuer: PublicMaterial,
  hash: CertificateHash,
  payload: Uint8Array,
  signature: Uint8Array,
) => boolean

type SignedWith = { readonly key: 'rsa' | 'ecdsa'; readonly hash: CertificateHash }

/** AlgorithmIdentifiers, by their content in hex (RFC 4055 5, RFC 5758 3.2). */
const SIGNATURES: ReadonlyMap<string, SignedWith> = new Map([
  ['06092a864886f70d01010b0500', { key: 'rsa', hash: 'sha256' }],
  ['06092a864886f70d01010c0500', { key: 'rsa', hash: 'sha384' }],
  ['06092a864886f70d01010d0500', { key: 'rsa', hash: 'sha512' }],
  ['06082a8648ce3d040302', { key: 'ecdsa', hash: 'sha256' }],
  ['06082a8648ce3d040303', { key: 'ecdsa', hash: 'sha384' }],
  ['06082a8648ce3d040304', { key: 'ecdsa', hash: 'sha512' }],
])

/** Why nobody should rely on a certificate, whoever issued it; undefined where nothing speaks against it. */
export function weaknessOf({ signatureAlgorithm, isBeyondUs, spki }: ParsedCertificate): string | undefined {
  if (!SIGNATURES.has(signatureAlgorithm))
    return 'a certificate is signed with SHA-1, or in another way that is not taken'
  if (isBeyondUs) return 'a certificate has a critical extension that we do not know'
  try {
    publicMaterial(spki)
    return undefined
  } catch (error) {
    if (!isKeyError(error)) throw error
    return error.message
  }
}

/** Name for name, and signature for key. */
export function isIssuedBy(child: ParsedCertificate, issuer: ParsedCertificate, check: CheckIssued): boolean {
  const { signedPart, signature } = child
  const how = SIGNATURES.get(child.signatureAlgorithm)
  if (how === undefined || child.issuer !== issuer.subject || weaknessOf(issuer) !== undefined) return false
  const material = publicMaterial(issuer.spki)
  if ((material.algorithm === 'rsa-pss' ? 'rsa' : 'ecdsa') !== how.key) return false
  return (
    SCHEMES[material.algorithm].signatureForm(material.spki)(signature) &&
    check(material, how.hash, signedPart, signature)
  )
}
