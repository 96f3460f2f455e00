import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { Algorithm } from '../signer.ts'
import { Secret } from './secret.ts'

const generate = promisify(generateKeyPair)

/** 3072 bits: as strong as the elliptic curves beside it (NIST SP 800-57, 128 bits). */
const MAKE = {
  ed25519: () => generate('ed25519'),
  'ecdsa-p256': () => generate('ec', { namedCurve: 'P-256' }),
  'ecdsa-p384': () => generate('ec', { namedCurve: 'P-384' }),
  'ecdsa-p521': () => generate('ec', { namedCurve: 'P-521' }),
  'rsa-pss': () => generate('rsa', { modulusLength: 3072 }),
} as const satisfies Record<Algorithm, () => Promise<{ privateKey: KeyObject }>>

/** A new key, in memory only. Whoever asks for it closes it. */
export async function generateKey(algorithm: Algorithm): Promise<Secret> {
  const { privateKey } = await MAKE[algorithm]()
  return new Secret(privateKey.export({ format: 'der', type: 'pkcs8' }))
}
