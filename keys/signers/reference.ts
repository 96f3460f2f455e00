import { KeyError } from '../errors.ts'

/** Where private keys can be besides files. */
export const SIGNER_KINDS = ['ssh', 'pkcs11', 'exec'] as const
export type SignerKind = (typeof SIGNER_KINDS)[number]

const MAX_REFERENCE = 2048

/** Whether a text says where a key is, right or wrong, and is neither a key id nor a name nor a file. */
export function isReference(text: string): boolean {
  return SIGNER_KINDS.some((kind) => text.startsWith(`${kind}:`))
}

/** Throws SIGNER_MALFORMED for what is no reference, or could not be kept in one line. */
export function kindOf(reference: string): SignerKind {
  const kind = SIGNER_KINDS.find((candidate) => reference.startsWith(`${candidate}:`))
  if (kind === undefined) throw malformed(reference, `it begins with none of ${SIGNER_KINDS.join(':, ')}:`)
  if (reference.length > MAX_REFERENCE) throw malformed(`${kind}:`, `it is longer than ${MAX_REFERENCE} characters`)
  if (/\p{Cc}/u.test(reference)) throw malformed(`${kind}:`, 'it has control characters')
  return kind
}

export function malformed(reference: string, why: string): KeyError {
  return new KeyError('SIGNER_MALFORMED', { reference, why })
}
