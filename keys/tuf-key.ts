import type { PublicKey } from '../tuf/model/metadata.ts'
import { KeyError } from './errors.ts'
import { ALGORITHMS, publicMaterial, SCHEMES } from './schemes/table.ts'
import type { PublicMaterial } from './signer.ts'

/** What a TUF 1.0 key object says of a key, unknown members aside. */
export type TufKeyFields = Pick<PublicKey, 'keytype' | 'scheme' | 'public'>

/** A public key as TUF 1.0 lists it (tuf spec 4.2): what we write has one spelling, so it has one key id. */
export function toTufFields(material: PublicMaterial): TufKeyFields {
  const scheme = SCHEMES[material.algorithm]
  return { keytype: scheme.keytypes[0], scheme: scheme.name, public: scheme.writePublic(material.spki) }
}

/**
 * The public key of a TUF 1.0 key object. Throws KEY_MALFORMED for an unknown scheme, a keytype or a key that
 * does not fit it, and KEY_WEAK.
 */
export function fromTufFields(key: TufKeyFields): PublicMaterial {
  const algorithm = ALGORITHMS.find((candidate) => SCHEMES[candidate].name === key.scheme)
  if (algorithm === undefined) throw malformed('its scheme is not one we use')
  const scheme = SCHEMES[algorithm]
  if (!scheme.keytypes.includes(key.keytype)) throw malformed(`its keytype does not fit ${scheme.name}`)
  const material = publicMaterial(scheme.readPublic(key.public))
  if (material.algorithm !== algorithm) throw malformed(`it is an ${material.algorithm} key under ${scheme.name}`)
  return material
}

/**
 * The bytes whose sha256 is the key id: canonical JSON of the key object.
 * Written out here, since `keys/` knows no codec; nothing in a key that we write needs escaping.
 */
export function tufKeyObject(material: PublicMaterial): Uint8Array {
  const { keytype, scheme, public: text } = toTufFields(material)
  return new TextEncoder().encode(`{"keytype":"${keytype}","keyval":{"public":"${text}"},"scheme":"${scheme}"}`)
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'public key', why })
}
