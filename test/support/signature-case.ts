import type { PublicKey } from '../../tuf/model/metadata.ts'

/** One question to a suite. `key` false: no suite may open it. `holds`: what every suite must say of the signature. */
export type SignatureCase =
  | { readonly key: PublicKey; readonly opens: false }
  | { readonly key: PublicKey; readonly payload: Uint8Array; readonly signature: Uint8Array; readonly holds: boolean }

/** Case name, a sentence, to case. */
export type SignatureCases = Readonly<Record<string, SignatureCase>>
