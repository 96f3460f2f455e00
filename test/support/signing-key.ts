import { constants, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { nativeSuite } from '../../keys/native/suite.ts'
import { writePem } from '../../keys/pem.ts'
import { keyFields, readPublicKey } from '../../keys/public-key.ts'
import { toNotaryCertificate } from '../../keys/schemes/notary.ts'
import { selfSigned } from '../../keys/self-signed.ts'
import type { CertificateFacts } from '../../keys/self-signed.ts'
import type { Algorithm } from '../../keys/signer.ts'
import { encodeCanonical, encodeHex, encodeText, keyId, notaryCodec, tufCodec } from '../../tuf/index.ts'
import type { Codec, KeyId, PublicKey } from '../../tuf/index.ts'
import { TUF_NAMES } from './tuf-key.ts'

/** A key that signs at once, so that tables of cases can be built without waiting. */
export type SigningKey = {
  readonly id: KeyId
  readonly public: PublicKey
  readonly sign: (payload: Uint8Array) => Uint8Array
}

/** A new key. */
export function signingKey(algorithm: Algorithm = 'ed25519', codec: Codec = tufCodec): SigningKey {
  return fromPrivate(generate(algorithm), algorithm, codec)
}

/** A root key of Notary v1: in a certificate that it made for itself. */
export async function certifiedKey(facts: Omit<CertificateFacts, 'purpose'>): Promise<SigningKey> {
  const key = generate('ecdsa-p256')
  const bare = fromPrivate(key, 'ecdsa-p256', notaryCodec)
  const signer = {
    public: readPublicKey(bare.public),
    sign: async (payload: Uint8Array) => new Uint8Array(sign('sha256', payload, key)),
    close: () => {},
  }
  const certificate = await selfSigned(signer, { ...facts, purpose: 'notary root' })
  const listed = notaryCodec.key(toNotaryCertificate(encodeText(writePem('CERTIFICATE', certificate))), nativeSuite)
  return { ...bare, id: listed.id, public: listed }
}

/** The same private key under another key id, as metadata may list it twice. */
export function renamed(key: SigningKey, note: string): SigningKey {
  const { keytype, scheme, public: text } = key.public
  const object = encodeCanonical({ keytype, keyval: { public: text }, scheme, 'x-note': note })
  const id = keyId(nativeSuite.hash('sha256', object))
  return { id, public: { ...key.public, id, unknown: new Map([['x-note', note]]) }, sign: key.sign }
}

function generate(algorithm: Algorithm): KeyObject {
  switch (algorithm) {
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey
    case 'ecdsa-p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    case 'ecdsa-p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
    case 'ecdsa-p521':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey
    case 'rsa-pss':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  }
}

function fromPrivate(key: KeyObject, algorithm: Algorithm, codec: Codec): SigningKey {
  if (codec.dialect === 'notary-v1') return asNotary(key, algorithm)
  const fields = { ...TUF_NAMES[algorithm], public: publicText(key, algorithm) }
  const listed = codec.key(fields, nativeSuite)
  return { id: listed.id, public: listed, sign: (payload) => signWith(key, algorithm, payload) }
}

function asNotary(key: KeyObject, algorithm: Algorithm): SigningKey {
  const spki = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }))
  const listed = notaryCodec.key(keyFields({ algorithm, spki }, 'notary-v1'), nativeSuite)
  const isCurve = algorithm.startsWith('ecdsa-')
  const numbers = (payload: Uint8Array) => new Uint8Array(sign('sha256', payload, { key, dsaEncoding: 'ieee-p1363' }))
  return {
    id: listed.id,
    public: listed,
    sign: isCurve ? numbers : (payload) => signWith(key, algorithm, payload),
  }
}

function publicText(key: KeyObject, algorithm: Algorithm): string {
  if (algorithm !== 'ed25519') return generatePem(key)
  const { x = '' } = key.export({ format: 'jwk' })
  return encodeHex(Buffer.from(x, 'base64url'))
}

function generatePem(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString()
}

function signWith(key: KeyObject, algorithm: Algorithm, payload: Uint8Array): Uint8Array {
  switch (algorithm) {
    case 'ed25519':
      return new Uint8Array(sign(null, payload, key))
    case 'ecdsa-p256':
      return new Uint8Array(sign('sha256', payload, key))
    case 'ecdsa-p384':
      return new Uint8Array(sign('sha384', payload, key))
    case 'ecdsa-p521':
      return new Uint8Array(sign('sha512', payload, key))
    case 'rsa-pss':
      return new Uint8Array(sign('sha256', payload, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }))
  }
}
