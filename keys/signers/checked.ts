import { KeyError } from '../errors.ts'
import { OPENSSL } from '../native/openssl.ts'
import { openPublic } from '../native/public.ts'
import { SCHEMES } from '../schemes/table.ts'
import type { PublicMaterial, Signer } from '../signer.ts'

export type CheckedOptions = {
  readonly public: PublicMaterial
  /** For errors: `the ssh-agent`. */
  readonly signer: string
  readonly sign: (payload: Uint8Array) => Promise<Uint8Array>
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
    async sign(payload) {
      if (closed) throw new KeyError('KEY_CLOSED', { algorithm })
      const signature = await sign(payload)
      if (wellFormed(signature) && OPENSSL[algorithm].verify(payload, key, signature)) return signature
      throw new KeyError('SIGNATURE_WRONG', { signer })
    },
    close() {
      closed = true
      close()
    },
  }
}
