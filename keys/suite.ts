import type { Suite, Verifier } from '../tuf/model/suite.ts'
import { isKeyError } from './errors.ts'
import { formOf, readPublicKey } from './public-key.ts'
import { NOTARY_SIGNATURES } from './schemes/notary-signatures.ts'
import { SCHEMES } from './schemes/table.ts'
import type { Algorithm, Computation, PublicMaterial, SignatureForm } from './signer.ts'
import type { TufKeyFields } from './tuf-key.ts'
import { readCertificates } from './x509/certificates.ts'
import type { CheckIssued } from './x509/issued.ts'

/** The arithmetic of one algorithm: a canonical key in, a check of well-formed signatures out. */
export type Arithmetic = (spki: Uint8Array) => (payload: Uint8Array, signature: Uint8Array) => boolean

/** What a suite brings of its own. */
export type SuiteParts = Pick<Suite, 'hash' | 'hasher'> & {
  readonly isIssued: CheckIssued
  readonly arithmetic: Readonly<Record<Computation, Arithmetic>>
}

/** One refresh meets the same few keys in file after file; a server meets those of its busiest repositories. */
const REMEMBERED = 256

/** Keys and signatures pass the same strict reading in every suite; only the arithmetic differs. */
export function makeSuite({ hash, hasher, isIssued, arithmetic }: SuiteParts): Suite {
  const opened = new Map<string, Verifier>()
  return {
    hash,
    hasher,
    certificates: (pem) => readCertificates(pem, isIssued),
    open(key) {
      const text = JSON.stringify([key.keytype, key.scheme, key.public])
      return opened.get(text) ?? openNew(key, text)
    },
  }

  function openNew(key: TufKeyFields, text: string): Verifier | undefined {
    const material = materialOf(key)
    if (material === undefined) return undefined
    if (opened.size === REMEMBERED) opened.delete(opened.keys().next().value ?? text)
    const verifier = openVerifier(material, formOf(key))
    opened.set(text, verifier)
    return verifier
  }

  function openVerifier({ algorithm, spki }: PublicMaterial, form: SignatureForm): Verifier {
    const wellFormed = SCHEMES[algorithm].signatureForm(spki)
    const { computation, read } = form === 'tuf-1.0' ? asItIs(algorithm) : NOTARY_SIGNATURES[algorithm]
    const holds = arithmetic[computation](spki)
    return {
      identity: hash('sha256', spki),
      verify(payload, given) {
        const signature = read(given)
        return signature !== undefined && wellFormed(signature) && holds(payload, signature)
      },
    }
  }
}

function asItIs(computation: Algorithm) {
  return { computation, read: (signature: Uint8Array) => signature }
}

/** A key that cannot be read is nobody's key, not a reason to stop: other keys may still meet the threshold. */
function materialOf(key: TufKeyFields): PublicMaterial | undefined {
  try {
    return readPublicKey(key)
  } catch (error) {
    if (!isKeyError(error)) throw error
    return undefined
  }
}
