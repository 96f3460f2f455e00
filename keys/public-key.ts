/** Keys of either dialect, as the model has them: what a key's `scheme` says tells which dialect wrote it. */
import { methodOf } from '../tuf/codec/notary-methods.ts'
import type { PublicKey, Signature } from '../tuf/model/metadata.ts'
import { fromNotaryFields, toNotaryFields } from './schemes/notary.ts'
import type { PublicMaterial, SignatureForm, Signer } from './signer.ts'
import { fromTufFields, toTufFields } from './tuf-key.ts'
import type { TufKeyFields } from './tuf-key.ts'

/** The form of signatures that fit a key. */
export function formOf({ scheme }: Pick<PublicKey, 'scheme'>): SignatureForm {
  return methodOf(scheme) === undefined ? 'tuf-1.0' : 'notary-v1'
}

/** The public key of a key object. Throws KEY_MALFORMED and KEY_WEAK. */
export function readPublicKey(key: TufKeyFields): PublicMaterial {
  return formOf(key) === 'tuf-1.0' ? fromTufFields(key) : fromNotaryFields(key)
}

/** What a dialect's `Codec.key` takes for a public key. */
export function keyFields(material: PublicMaterial, form: SignatureForm): TufKeyFields {
  return form === 'tuf-1.0' ? toTufFields(material) : toNotaryFields(material)
}

/** A signature by the private half of this key, as the dialect of the key writes it. */
export async function signAs(key: PublicKey, signer: Signer, payload: Uint8Array): Promise<Signature> {
  const sig = await signer.sign(payload, formOf(key))
  return { keyid: key.id, sig, scheme: key.scheme, unknown: new Map() }
}
