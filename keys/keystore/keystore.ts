import type { KeyError } from '../errors.ts'
import type { Algorithm, PublicMaterial, Signer } from '../signer.ts'
import type { ForeignKey } from './foreign.ts'
import type { PassphraseSource } from './passphrase.ts'

/** What is known of a stored key without its passphrase. */
export type KeyInfo = {
  /** The TUF 1.0 key id, lower-case hex: the same everywhere this key is listed. */
  readonly id: string
  /** The owner's note; several keys may bear one name. */
  readonly name?: string
  readonly algorithm: Algorithm
  readonly public: PublicMaterial
  readonly encrypted: boolean
  /** Milliseconds since 1970, whole seconds. */
  readonly createdAt: number
  /** What Notary, where the key comes from, wrote beside it: for what it signs. A note that nobody has checked. */
  readonly notary?: NotaryNote
  /** Where the private half is, where it is in no file: `ssh:...`, `pkcs11:...`, `exec:...`. `encrypted` says if a PIN is asked. */
  readonly signer?: string
}

export type NotaryNote = { readonly role: string; readonly gun?: string }

/** `id` is Notary's canonical one; the file is named by it. */
export type NotaryFile = { readonly id: string; readonly note: NotaryNote; readonly pem: string }

/** What a key file says of itself, which nobody has checked yet: enough to choose one, and `open` checks the rest. */
export type KeyEntry = Pick<KeyInfo, 'id' | 'name' | 'encrypted'>

export type NewKey = {
  readonly algorithm: Algorithm
  readonly name?: string
  /** false stores the private key readable to whoever reads the file: only ever on somebody's explicit word. */
  readonly encrypted: boolean
}

export type ImportedKey = Omit<NewKey, 'algorithm'> & {
  /** As PEM PKCS#8, SEC1, PKCS#1 or what Notary writes; or one key that was read from such a file. */
  readonly pem: string | ForeignKey
  /** Opens it, where it is encrypted. What the keystore writes is under its own passphrase; where none is named, this one. */
  readonly passphrase?: PassphraseSource
  /** Told of a key that is stored under the passphrase that it came with. */
  readonly stays?: (key: KeyInfo) => void
}

/** `bad`: what `list` would have thrown, once for each key that cannot be used. */
export type Survey = { readonly keys: readonly KeyInfo[]; readonly bad: readonly KeyError[] }

/** Any `threshold` of `shares`; both from 2 to 255. */
export type Splitting = { readonly threshold: number; readonly shares: number }

/**
 * Custody of private keys. `wanted` is a key id, TUF's or Notary's (canonical), the beginning of one (four characters and
 * more), or a name; one that fits none is KEY_NOT_FOUND, one that fits several KEY_AMBIGUOUS.
 *
 * Every method that stores is atomic and durable when it returns, and none replaces another key.
 */
export type Keystore = {
  readonly generate: (key: NewKey) => Promise<KeyInfo>
  /** Oldest first, each of them checked. */
  readonly list: () => Promise<KeyInfo[]>
  /** The same, with what is wrong with those that cannot be used in place of a refusal. */
  readonly survey: () => Promise<Survey>
  /** In no order, and unchecked: one file that is damaged keeps nobody from using the others. */
  readonly index: () => Promise<readonly KeyEntry[]>
  readonly find: (wanted: string) => Promise<KeyInfo>
  /** Asks for the passphrase where needed. The private half is checked against the public one. */
  readonly open: (wanted: string) => Promise<Signer>
  readonly import: (key: ImportedKey) => Promise<KeyInfo>
  /** SPKI as PEM. */
  readonly exportPublic: (wanted: string) => Promise<string>
  /** PKCS#8 as PEM, under a passphrase of its own; readable where `passphrase` is `none`. */
  readonly exportPrivate: (wanted: string, passphrase: PassphraseSource | 'none') => Promise<string>
  /** A key file as `notary` and `docker` keep them. */
  readonly exportNotary: (wanted: string, passphrase: PassphraseSource) => Promise<NotaryFile>
  /** The texts of its shares, in turn; any `threshold` of them are the private key, whoever holds them. */
  readonly exportShares: (wanted: string, splitting: Splitting) => Promise<readonly string[]>
  /** Puts a key under another passphrase, or under none. */
  readonly passwd: (wanted: string, passphrase: PassphraseSource | 'none') => Promise<KeyInfo>
  readonly remove: (wanted: string) => Promise<KeyInfo>
}
