import { sameBytes } from '../bytes.ts'
import { DerReader } from '../der.ts'
import { isKeyError, KeyError } from '../errors.ts'
import { type PrivateForm, toPkcs8 } from '../native/convert.ts'
import { Secret } from '../native/secret.ts'
import { ed25519Point } from '../schemes/ed25519.ts'
import { fromNotaryEd25519, notaryEd25519In, publicIn } from './ed25519.ts'

/** `ed25519` is the bare 96 bytes of Notary's first versions. */
export type ForeignForm = PrivateForm | 'ed25519'

/** The key of what another program wrote, decrypted. Takes over `der` and wipes it. Throws KEY_MALFORMED or KEY_WEAK. */
export function openForeign(der: Uint8Array, form: ForeignForm): Secret {
  try {
    const ed25519 = form === 'ed25519' ? der : form === 'pkcs8' ? notaryEd25519In(der) : undefined
    if (ed25519 === undefined && form !== 'ed25519') return new Secret(toPkcs8(der, form))
    return openEd25519(ed25519 ?? der)
  } finally {
    der.fill(0)
  }
}

/** Whether bytes are of that form at all: what a wrong passphrase decrypts to is not. */
export function hasForm(der: Uint8Array, form: ForeignForm): boolean {
  if (form === 'ed25519') return der.length === 96 && sameBytes(der.subarray(0, 32), der.subarray(64))
  try {
    const whole = new DerReader(der, 'private key')
    const key = whole.sequence()
    whole.end()
    key.version()
    return key.more
  } catch (error) {
    if (!isKeyError(error)) throw error
    return false
  }
}

/** Notary takes the public half's word; here the seed must make it. */
function openEd25519(bytes: Uint8Array): Secret {
  const claimed = publicIn(bytes)
  const secret = new Secret(fromNotaryEd25519(bytes))
  if (sameBytes(ed25519Point(secret.public.spki), claimed)) return secret
  secret.close()
  throw new KeyError('KEY_MALFORMED', {
    what: 'ed25519 private key',
    why: 'its two halves do not belong together',
  })
}
