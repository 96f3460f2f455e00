import type { Terminal } from '../keystore/terminal.ts'
import type { Algorithm, PublicMaterial, Signer } from '../signer.ts'

/** A key that somebody else keeps. */
export type FoundKey = {
  /** Finds the same key again, whatever else comes to be kept there: what a keystore stores. */
  readonly reference: string
  readonly public: PublicMaterial
  /** What it is called where it is. */
  readonly label: string
  /** Whether somebody is asked for a PIN before it signs. */
  readonly asks: boolean
}

/** A key that is there and signs nothing of ours. */
export type UnfitKey = { readonly label: string; readonly why: string }

/**
 * One kind of place where private keys are: an agent, a token, a program. Nothing it says is believed but its public
 * keys, and those are for whoever names them to compare: what it signs is verified (`checked.ts`).
 */
export type Custodian = {
  /** The only key that a reference fits. Throws KEY_NOT_FOUND, KEY_AMBIGUOUS and SIGNER_UNFIT. */
  readonly find: (reference: string) => Promise<FoundKey>
  /** Every key there, or those that the reference fits. */
  readonly list: (reference: string) => Promise<readonly (FoundKey | UnfitKey)[]>
  /** May ask for a PIN. Whoever opens a signer closes it. */
  readonly open: (reference: string, key: PublicMaterial) => Promise<Signer>
  /** Makes a key there that never leaves it. Throws SIGNER_UNFIT where none can be made. */
  readonly generate: (reference: string, algorithm: Algorithm) => Promise<FoundKey>
  readonly close: () => Promise<void>
}

/** What signers need of the world around them. */
export type Surroundings = {
  /** Programs get it whole, so there must be none of our own secrets in it. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Tells a person what is waited for. */
  readonly say: (sentence: string) => void
  /** Told what is unwise and still works. */
  readonly warn: (sentence: string) => void
  readonly signal?: AbortSignal
  /** Holds the PIN of tokens whose reference names no file of its own. */
  readonly pinFile?: string
  /** The PKCS#11 module of references that name none. */
  readonly module?: string
  /** The terminal to ask on; undefined where there is none. */
  readonly terminal?: () => Terminal | undefined
  /** How long a signature may take: somebody may have to find and touch a token. A minute where nothing is said. */
  readonly milliseconds?: number
}

export function isUnfit(key: object): key is UnfitKey {
  return 'why' in key
}
