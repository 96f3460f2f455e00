import type { Test } from 'tap'
import { openKeystore } from '../../keys/keystore/file.ts'
import { OPENSSL } from '../../keys/native/openssl.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { keyFields } from '../../keys/public-key.ts'
import { keyId } from '../../tuf/index.ts'
import { openPublic } from '../../keys/native/public.ts'
import { withSigners } from '../../keys/signers/keystore.ts'
import type { SigningKeystore, SigningOptions } from '../../keys/signers/keystore.ts'
import type { PublicMaterial } from '../../keys/signer.ts'
import { passphrase, privateFolder } from './secrets.ts'

export type Said = { readonly said: string[]; readonly warned: string[] }

/** A keystore in a folder of its own, whose keys may be anywhere, and what it told its user. */
export function openSigning(t: Test, options: Partial<SigningOptions> = {}): SigningKeystore & Said & { dir: string } {
  const dir = options.dir ?? privateFolder(t)
  const [said, warned]: [string[], string[]] = [[], []]
  const keystore = withSigners(openKeystore({ dir, passphrase: passphrase('of the files') }), {
    dir,
    clock: () => Date.parse('2026-11-25T12:00:00Z'),
    env: process.env,
    say: (sentence) => said.push(sentence),
    warn: (sentence) => warned.push(sentence),
    terminal: () => undefined,
    ...options,
  })
  t.teardown(() => keystore.close())
  return { ...keystore, said, warned, dir }
}

/** Whether OpenSSL finds that the key signed it. */
export function isSignedBy({ algorithm, spki }: PublicMaterial, payload: Uint8Array, signature: Uint8Array): boolean {
  return OPENSSL[algorithm].verify(payload, openPublic(spki), signature)
}

/** The same for a signature as Notary v1 writes it, and its keys. */
export function isSignedForNotary(material: PublicMaterial, payload: Uint8Array, signature: Uint8Array): boolean {
  const key = {
    id: keyId('0'.repeat(64)),
    ...keyFields(material, 'notary-v1'),
    unknown: new Map(),
    unknownKeyval: new Map(),
  }
  return nativeSuite.open(key)?.verify(payload, signature) === true
}
