import { KeyError } from '../errors.ts'
import { OPENSSL } from '../native/openssl.ts'
import { openPublic } from '../native/public.ts'
import { NOTARY_SIGNATURES } from '../schemes/notary-signatures.ts'
import { SCHEMES } from '../schemes/table.ts'
import type { Computation, PublicMaterial, Signer } from '../signer.ts'

export type CheckedOptions = {
  readonly public: PublicMaterial
  /** For errors: `the ssh-agent`. */
  readonly signer: string
  /** As TUF 1.0 writes it, whatever is computed. */
  readonly sign: (payload: Uint8Array, computation: Computation) => Promise<Uint8Array>
  readonly close?: () => void
}

/**
 * A signer whose answers are believed by nobody: each signature is verified against the key it is asked for before
 * anybody gets it. An agent or a script with the wrong key would else publish what no client accepts.
 */
export function checkedSigner({ public: material, signer, sign, close = () => undefined }: CheckedOptions): Signer {
  const { algorithm, spki } = material
  const wellFormed = SCHEMES[algorithm].signatureForm(spki)
  const key = openPublic(spki)
  let closed = false
  return {
    public: material,
    async sign(payload, form = 'tuf-1.0') {
      if (closed) throw new KeyError('KEY_CLOSED', { algorithm })
      const { computation, write } = form === 'tuf-1.0' ? asItIs(algorithm) : NOTARY_SIGNATURES[algorithm]
      const signature = await sign(payload, computation)
      if (wellFormed(signature) && OPENSSL[computation].verify(payload, key, signature)) return write(signature)
      throw new KeyError('SIGNATURE_WRONG', { signer })
    },
    close() {
      closed = true
      close()
    },
  }
}

function asItIs(computation: Computation) {
  return { computation, write: (signature: Uint8Array): Uint8Array => signature }
}

/** What a computation hashes with before it signs; ed25519 takes the payload itself. */
export const HASH_OF = {
  ed25519: undefined,
  'ecdsa-p256': 'sha256',
  'ecdsa-p384': 'sha384',
  'ecdsa-p384-sha256': 'sha256',
  'ecdsa-p521': 'sha512',
  'ecdsa-p521-sha256': 'sha256',
  'rsa-pss': 'sha256',
  'rsa-pss-salt-32': 'sha256',
} as const satisfies Record<Computation, 'sha256' | 'sha384' | 'sha512' | undefined>
