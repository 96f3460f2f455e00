import type { Attribute, Handle } from 'pkcs11js'
import { isKeyError, KeyError } from '../../errors.ts'
import { randomBytes } from '../../random.ts'
import type { Algorithm, PublicMaterial } from '../../signer.ts'
import type { UnfitKey } from '../custodian.ts'
import { CKA, CKO } from './constants.ts'
import { ON_TOKEN, TOKEN_KEYS } from './mechanisms.ts'
import { call } from './token.ts'
import type { Token, TokenKey } from './token.ts'

/** A key pair on a token by its public half, which needs no PIN. */
export type PublicObject = {
  readonly id: Uint8Array
  readonly label: string
  readonly public: PublicMaterial
}

export type Wanted = { readonly object?: string; readonly id?: Uint8Array }

const MOST_OBJECTS = 1000
const ID_LENGTH = 16

/** The public keys that fit, and those that are none of ours. */
export function publicObjects(token: Token, wanted: Wanted): readonly (PublicObject | UnfitKey)[] {
  return TOKEN_KEYS.flatMap((kind) =>
    objects(token, [
      { type: CKA.class, value: CKO.publicKey },
      { type: CKA.keyType, value: kind.keyType },
      ...filterOf(wanted),
    ]).map((handle) => read(token, handle, kind)),
  )
}

/** The private half of a key pair; the token must be logged in to. */
export function privateKey(token: Token, { id, label }: Pick<PublicObject, 'id' | 'label'>): TokenKey {
  const wanted = id.length > 0 ? { id } : { object: label }
  const [handle, ...more] = objects(token, [{ type: CKA.class, value: CKO.privateKey }, ...filterOf(wanted)])
  const name = `the private key "${label}"`
  if (handle === undefined)
    throw new KeyError('KEY_NOT_FOUND', { wanted: name, where: token.name, among: token.reference })
  if (more.length > 0) throw new KeyError('KEY_AMBIGUOUS', { wanted: name, ids: [handle, ...more].map(() => label) })
  return { handle, always: attribute(token, handle, CKA.alwaysAuthenticate)?.[0] === 1 }
}

/** Makes a pair whose private half never leaves the token; the token must be logged in to. */
export function generatePair(token: Token, label: string, algorithm: Algorithm): PublicObject {
  const { cryptoki, session } = token
  const id = Buffer.from(randomBytes(ID_LENGTH))
  const names = [
    { type: CKA.token, value: true },
    { type: CKA.label, value: label },
    { type: CKA.id, value: id },
  ]
  const secret = [
    ...names,
    { type: CKA.private, value: true },
    { type: CKA.sensitive, value: true },
    { type: CKA.extractable, value: false },
    { type: CKA.sign, value: true },
  ]
  const { generate, forms } = ON_TOKEN[algorithm]
  const causes: unknown[] = []
  for (const form of forms) {
    try {
      cryptoki.C_GenerateKeyPair(session, generate, [...names, { type: CKA.verify, value: true }, ...form], secret)
      return onlyPublic(token, { id, object: label })
    } catch (error) {
      if (isKeyError(error)) throw error
      causes.push(error)
    }
  }
  const [cause] = causes
  throw new KeyError('SIGNER_UNFIT', { key: token.name, why: `it makes no ${algorithm} keys` }, { cause })
}

/** Throws KEY_NOT_FOUND, KEY_AMBIGUOUS and, for a key of another kind, SIGNER_UNFIT. */
export function onlyPublic(token: Token, wanted: Wanted): PublicObject {
  const [found, ...more] = publicObjects(token, wanted)
  const name = wanted.object === undefined ? 'such a key' : `the key "${wanted.object}"`
  if (found === undefined)
    throw new KeyError('KEY_NOT_FOUND', { wanted: name, where: token.name, among: token.reference })
  if (more.length > 0) {
    throw new KeyError('KEY_AMBIGUOUS', { wanted: name, ids: [found, ...more].map(({ label }) => label) })
  }
  if ('why' in found) throw new KeyError('SIGNER_UNFIT', { key: `"${found.label}" on ${token.name}`, why: found.why })
  return found
}

function read(token: Token, handle: Handle, kind: (typeof TOKEN_KEYS)[number]): PublicObject | UnfitKey {
  const label = Buffer.from(attribute(token, handle, CKA.label) ?? '').toString('utf8')
  const parts = kind.attributes.map((type) => attribute(token, handle, type) ?? new Uint8Array())
  try {
    return { id: attribute(token, handle, CKA.id) ?? new Uint8Array(), label, public: kind.material(parts) }
  } catch (error) {
    if (!isKeyError(error)) throw error
    return { label, why: 'why' in error.detail ? error.detail.why : error.message }
  }
}

function filterOf({ object, id }: Wanted): readonly Attribute[] {
  const label = object === undefined ? [] : [{ type: CKA.label, value: object }]
  return id === undefined ? label : [...label, { type: CKA.id, value: Buffer.from(id) }]
}

function objects({ cryptoki, session, name }: Token, template: readonly Attribute[]): readonly Handle[] {
  return call(name, () => {
    cryptoki.C_FindObjectsInit(session, [...template])
    try {
      return cryptoki.C_FindObjects(session, MOST_OBJECTS)
    } finally {
      cryptoki.C_FindObjectsFinal(session)
    }
  })
}

/** undefined where the object has none: tokens differ in what they tell. */
function attribute({ cryptoki, session }: Token, handle: Handle, type: number): Uint8Array | undefined {
  try {
    const [found] = cryptoki.C_GetAttributeValue(session, handle, [{ type }])
    return found === undefined || !('value' in found) ? undefined : new Uint8Array(found.value)
  } catch {
    return undefined
  }
}
