import { fromBase64 } from '../../bytes.ts'
import { KeyError } from '../../errors.ts'
import type { PublicMaterial } from '../../signer.ts'
import { readKeyBlob } from './key-blob.ts'
import { SshReader } from './wire.ts'

const LINE = /^((?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+) ([A-Za-z0-9+/=]+)(?: ([^\r\n]*))?\r?\n?$/

/** Whether a text is the line of an `id_....pub`, right or wrong. */
export function isPublicLine(text: string): boolean {
  return LINE.test(text)
}

/** The key of such a line (RFC 4253 6.6). Throws SIGNER_UNFIT for a kind that signs nothing of ours, KEY_MALFORMED and KEY_WEAK. */
export function readPublicLine(text: string): PublicMaterial {
  const [, kind = '', base64 = '', comment = kind] = LINE.exec(text) ?? []
  const blob = fromBase64(base64)
  if (blob === undefined || new SshReader(blob, malformed).text() !== kind)
    throw malformed('its blob is of another kind')
  return readKeyBlob(blob, comment)
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'ssh public key', why })
}
