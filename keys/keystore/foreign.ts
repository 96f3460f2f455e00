import { createPrivateKey, type KeyObject } from 'node:crypto'
import { KeyError } from '../errors.ts'
import { Secret } from '../native/secret.ts'
import { type PemBlock, readPemBlocks } from '../pem.ts'
import type { PassphraseSource } from './passphrase.ts'
import { unlock } from './unlock.ts'

/**
 * A private key that other programs wrote: PKCS#8, plain or encrypted, SEC1 (`EC PRIVATE KEY`) or PKCS#1
 * (`RSA PRIVATE KEY`). Other blocks (`EC PARAMETERS`, a certificate, a public key) are passed over.
 */
export async function readForeignKey(pem: string, passphrase: PassphraseSource): Promise<Secret> {
  const blocks = readPemBlocks(pem, 'private key').filter(({ label }) => label.endsWith('PRIVATE KEY'))
  const [block] = blocks
  if (block === undefined || blocks.length > 1) throw malformed(`there are ${blocks.length} private keys in it`)
  switch (block.label) {
    case 'PRIVATE KEY':
      return new Secret(block.der)
    case 'ENCRYPTED PRIVATE KEY':
      return unlock(block.der, passphrase, 'the imported key')
    case 'EC PRIVATE KEY':
      return converted(block, 'sec1')
    case 'RSA PRIVATE KEY':
      return converted(block, 'pkcs1')
    default:
      throw malformed(`a PEM block "${block.label}" is none of PKCS#8, SEC1 and PKCS#1`)
  }
}

function converted({ der }: PemBlock, type: 'sec1' | 'pkcs1'): Secret {
  const key = readWith(der, type)
  return new Secret(key.export({ format: 'der', type: 'pkcs8' }))
}

function readWith(der: Uint8Array, type: 'sec1' | 'pkcs1'): KeyObject {
  const key = Buffer.from(der.buffer, der.byteOffset, der.length)
  try {
    return createPrivateKey({ key, format: 'der', type })
  } catch {
    throw malformed(`it is not ${type.toUpperCase()}`)
  } finally {
    der.fill(0)
  }
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'private key', why })
}
