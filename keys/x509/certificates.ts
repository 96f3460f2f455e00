import type { Certificate } from '../../tuf/model/certificate.ts'
import { isKeyError } from '../errors.ts'
import { readBundle } from './bundle.ts'
import type { ParsedCertificate } from './certificate.ts'
import { isIssuedBy, weaknessOf } from './issued.ts'
import type { CheckIssued } from './issued.ts'

/** keyCertSign, in the first byte of the key usage. */
const MAY_SIGN = 0x04

/** What stands behind each: one suite may be asked about the certificates of another. */
const PARSED = new WeakMap<Certificate, ParsedCertificate>()

/** Certificates as the trust rules see them; undefined for what is no PEM in its one form. */
export function readCertificates(pem: Uint8Array, check: CheckIssued): readonly Certificate[] | undefined {
  return parse(pem)?.map((parsed) => asSeen(parsed, check))
}

function asSeen(parsed: ParsedCertificate, check: CheckIssued): Certificate {
  const { commonName, notBefore, notAfter, isCa, pathLength, keyUsage, extendedKeyUsage, spki } = parsed
  const certificate: Certificate = {
    commonName,
    notBefore,
    notAfter,
    isCa,
    pathLength,
    maySign: keyUsage === undefined || (keyUsage & MAY_SIGN) !== 0,
    purposes: extendedKeyUsage,
    weakness: weaknessOf(parsed),
    spki,
    isIssuedBy(other) {
      const issuer = PARSED.get(other)
      return issuer !== undefined && isIssuedBy(parsed, issuer, check)
    },
  }
  PARSED.set(certificate, parsed)
  return certificate
}

function parse(pem: Uint8Array): readonly ParsedCertificate[] | undefined {
  try {
    const { leaf, others } = readBundle(pem)
    return [leaf, ...others]
  } catch (error) {
    if (!isKeyError(error)) throw error
    return undefined
  }
}
