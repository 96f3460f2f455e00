import { KeyError } from '../errors.ts'
import { readPemBlocks, writePem } from '../pem.ts'
import { readCertificate } from './certificate.ts'
import type { ParsedCertificate } from './certificate.ts'

/** A key's own certificate, and those behind it that may vouch for it. */
export type Bundle = { readonly leaf: ParsedCertificate; readonly others: readonly ParsedCertificate[] }

/**
 * The certificates of one Notary key. The text must be what Go writes of them, to the byte: the key's id is made from
 * the text, so that a second spelling would be a second key. Throws KEY_MALFORMED.
 */
export function readBundle(pem: Uint8Array): Bundle {
  const text = new TextDecoder().decode(pem)
  const blocks = readPemBlocks(text, WHAT)
  if (text !== blocks.map(({ der }) => writePem('CERTIFICATE', der)).join('')) {
    throw new KeyError('KEY_MALFORMED', { what: WHAT, why: 'it is not PEM as Notary writes it' })
  }
  const [leaf, ...others] = blocks.map(({ der }) => readCertificate(der))
  if (leaf === undefined) throw new KeyError('KEY_MALFORMED', { what: WHAT, why: 'it is empty' })
  return { leaf, others }
}
const WHAT = 'certificate'
