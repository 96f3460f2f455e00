import { notaryScheme } from '../../tuf/codec/notary-methods.ts'
import type { NotaryMethod } from '../../tuf/codec/notary-methods.ts'
import { fromBase64, toBase64 } from '../bytes.ts'
import { KeyError } from '../errors.ts'
import type { Algorithm, PublicMaterial } from '../signer.ts'
import { readBundle } from '../x509/bundle.ts'
import { ed25519Point, ed25519Spki } from './ed25519.ts'
import { publicMaterial } from './table.ts'

/** How Notary v1 writes keys (Go's `tuf/data`): base64 of DER, of PEM certificates, or of the bare point. */
type KeyForm = {
  readonly method: NotaryMethod
  readonly algorithms: readonly Algorithm[]
  /** The key that `public` holds once its base64 is undone. Throws KEY_MALFORMED. */
  readonly read: (bytes: Uint8Array) => Uint8Array
}

const EC = ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521'] as const
const same = (spki: Uint8Array): Uint8Array => spki
const ofCertificate = (pem: Uint8Array): Uint8Array => readBundle(pem).leaf.spki

const KEY_FORMS: ReadonlyMap<string, KeyForm> = new Map(
  Object.entries({
    ecdsa: { method: 'ecdsa', algorithms: EC, read: same },
    'ecdsa-x509': { method: 'ecdsa', algorithms: EC, read: ofCertificate },
    rsa: { method: 'rsapss', algorithms: ['rsa-pss'], read: same },
    'rsa-x509': { method: 'rsapss', algorithms: ['rsa-pss'], read: ofCertificate },
    ed25519: { method: 'eddsa', algorithms: ['ed25519'], read: ed25519Spki },
  } as const satisfies Record<string, KeyForm>),
)

/** A Notary key object in the model: `scheme` is not in the file, and `public` is base64. */
type Fields = { readonly keytype: string; readonly scheme: string; readonly public: string }

/** A public key as Notary lists it without a certificate. */
export function toNotaryFields({ algorithm, spki }: PublicMaterial): Fields {
  if (algorithm === 'ed25519') return fields('ed25519', 'eddsa', ed25519Point(spki))
  return algorithm === 'rsa-pss' ? fields('rsa', 'rsapss', spki) : fields('ecdsa', 'ecdsa', spki)
}

/** A root key: its certificate, and those that vouch for it after it, as PEM. Throws KEY_MALFORMED and KEY_WEAK. */
export function toNotaryCertificate(pem: Uint8Array): Fields {
  const { algorithm } = publicMaterial(readBundle(pem).leaf.spki)
  if (algorithm === 'ed25519') throw malformed('Notary knows no ed25519 certificate')
  return algorithm === 'rsa-pss' ? fields('rsa-x509', 'rsapss', pem) : fields('ecdsa-x509', 'ecdsa', pem)
}

/** The public key of a Notary key object. Throws KEY_MALFORMED and KEY_WEAK. */
export function fromNotaryFields({ keytype, scheme, public: text }: Fields): PublicMaterial {
  const form = KEY_FORMS.get(keytype)
  if (form === undefined || scheme !== notaryScheme(form.method)) throw malformed('its keytype is not one we use')
  const bytes = fromBase64(text)
  if (bytes === undefined) throw malformed('its base64 is not canonical')
  const material = publicMaterial(form.read(bytes))
  if (!form.algorithms.includes(material.algorithm)) throw malformed(`it is an ${material.algorithm} key in ${keytype}`)
  return material
}

function fields(keytype: string, method: NotaryMethod, bytes: Uint8Array): Fields {
  return { keytype, scheme: notaryScheme(method), public: toBase64(bytes) }
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'public key', why })
}
