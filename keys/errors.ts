/** What can go wrong with keys and passphrases, and the facts each refusal carries. Never a secret among them. */
export type KeyFailures = {
  /** `among`: a reference that fits everything that is there, where keys are kept elsewhere. */
  readonly KEY_NOT_FOUND: { readonly wanted: string; readonly where: string; readonly among?: string }
  /** A prefix or name that fits several keys. */
  readonly KEY_AMBIGUOUS: { readonly wanted: string; readonly ids: readonly string[] }
  readonly KEY_EXISTS: { readonly id: string; readonly path: string }
  /** A key file or folder that others could read or replace. `mend` is the command that puts it right. */
  readonly KEY_PERMISSIONS: { readonly path: string; readonly problem: string; readonly mend: string }
  /** Not a key of the kind asked for, or not written in the one accepted way. */
  readonly KEY_MALFORMED: { readonly what: string; readonly why: string }
  /** Well-formed, and not strong enough to sign anything with. */
  readonly KEY_WEAK: { readonly what: string; readonly why: string }
  readonly KEY_CLOSED: { readonly algorithm: string }
  /** The private half is not here; `signer` says where. */
  readonly KEY_ELSEWHERE: { readonly id: string; readonly signer: string }
  /** A file that should be a share of a private key, and is not one as we write them. */
  readonly SHARE_MALFORMED: { readonly file: string; readonly why: string }
  /** A share with a slip of the pen or a missing line; `where` says which. */
  readonly SHARE_DAMAGED: { readonly file: string; readonly where: string }
  readonly SHARE_TWICE: { readonly number: number; readonly files: readonly string[] }
  /** Shares that were never made together. */
  readonly SHARES_MIXED: { readonly files: readonly string[]; readonly why: string }
  readonly SHARES_TOO_FEW: { readonly id: string; readonly need: number; readonly have: number }
  /** Each is whole, and together they are another key or none: one of them is not what was written. */
  readonly SHARES_WRONG: { readonly id: string }
  /** Text that should say where a private key is: `ssh:...`, `pkcs11:...`, `exec:...`. */
  readonly SIGNER_MALFORMED: { readonly reference: string; readonly why: string }
  /** An agent, a token or a program that cannot be reached or started. */
  readonly SIGNER_UNAVAILABLE: { readonly signer: string; readonly why: string }
  /** A key that is there and cannot make a signature that anybody would verify. */
  readonly SIGNER_UNFIT: { readonly key: string; readonly why: string }
  readonly SIGNER_FAILED: { readonly signer: string; readonly why: string }
  readonly SIGNER_TIMEOUT: { readonly signer: string; readonly seconds: number }
  /** What a signer answered is no signature of the key it is to sign with. */
  readonly SIGNATURE_WRONG: { readonly signer: string }
  readonly PIN_MISSING: { readonly token: string }
  /** `source` is a file name. */
  readonly PIN_UNUSABLE: { readonly source: string; readonly why: string }
  readonly PIN_WRONG: { readonly token: string }
  /** A token that takes no PIN, or whose last attempt nobody should spend unasked. */
  readonly PIN_LOCKED: { readonly token: string; readonly why: string }
  readonly KEYSTORE_IO: { readonly path: string; readonly why: string }
  readonly PASSPHRASE_MISSING: { readonly key: string }
  /** `isForeign`: a key that is taken in, and not one of the keystore. */
  readonly PASSPHRASE_WRONG: { readonly key: string; readonly isForeign?: true }
  /** `source` is a file name or "the terminal". */
  readonly PASSPHRASE_UNUSABLE: { readonly source: string; readonly why: string }
  /** The person at the terminal would rather not. */
  readonly PASSPHRASE_CANCELLED: { readonly prompt: string }
  /** No key-encryption key where one was looked for. */
  readonly KEK_MISSING: { readonly looked: string }
  readonly KEK_MALFORMED: { readonly source: string; readonly why: string }
  /** Sealed under another key-encryption key. Both are fingerprints. */
  readonly SEALED_OTHER_KEK: { readonly sealed: string; readonly have: string }
  /** Changed since it was sealed, or sealed for another purpose. */
  readonly SEALED_BROKEN: { readonly what: string }
}
export type KeyCode = keyof KeyFailures

/** What the system says of a disk, for whoever knows its codes and for everybody else. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission denied (EACCES)'],
  ['EISDIR', 'it is a folder (EISDIR)'],
  ['ENOENT', 'there is no such file (ENOENT)'],
  ['ENOSPC', 'the disk is full (ENOSPC)'],
  ['ENOTDIR', 'a part of the path is no folder (ENOTDIR)'],
  ['EROFS', 'the file system is read-only (EROFS)'],
])

export function inWords(why: string): string {
  return WORDS.get(why) ?? why
}

const SENTENCE: { readonly [C in KeyCode]: (d: KeyFailures[C]) => string } = {
  KEY_NOT_FOUND: (d) =>
    d.among === undefined ? `no key ${d.wanted} in ${d.where}` : `${d.wanted} is not in ${d.where}`,
  KEY_AMBIGUOUS: (d) => `${d.wanted} fits ${d.ids.length} keys: ${d.ids.join(', ')}`,
  KEY_EXISTS: (d) => `the key ${d.id} is already there: ${d.path}`,
  KEY_PERMISSIONS: (d) => `${d.path} ${d.problem}; mend it with: ${d.mend}`,
  KEY_MALFORMED: (d) => `malformed ${d.what}: ${d.why}`,
  KEY_WEAK: (d) => `weak ${d.what}: ${d.why}`,
  KEY_CLOSED: (d) => `this ${d.algorithm} key was closed and signs no more`,
  KEY_ELSEWHERE: (d) => `the private half of key ${d.id} is not in the keystore but in ${d.signer}`,
  SHARE_MALFORMED: (d) => `${d.file} is no share of a key: ${d.why}`,
  SHARE_DAMAGED: (d) => `${d.file} is damaged: ${d.where}`,
  SHARE_TWICE: (d) => `share ${d.number} is there twice: ${d.files.join(' and ')}`,
  SHARES_MIXED: (d) => `${d.files.join(' and ')} do not belong together: ${d.why}`,
  SHARES_TOO_FEW: (d) => `${d.have} of the ${d.need} shares that bring key ${d.id} back`,
  SHARES_WRONG: (d) => `these shares do not make the key ${d.id}: one of them is not what was written`,
  SIGNER_MALFORMED: (d) => `${d.reference} names no signer: ${d.why}`,
  SIGNER_UNAVAILABLE: (d) => `${d.signer} cannot be used: ${d.why}`,
  SIGNER_UNFIT: (d) => `${d.key} cannot sign metadata: ${d.why}`,
  SIGNER_FAILED: (d) => `${d.signer} did not sign: ${d.why}`,
  SIGNER_TIMEOUT: (d) => `${d.signer} gave no answer within ${d.seconds} seconds`,
  SIGNATURE_WRONG: (d) => `what ${d.signer} answered is no signature of its key: it is not used`,
  PIN_MISSING: (d) => `${d.token} needs its PIN and there is no terminal to ask on`,
  PIN_UNUSABLE: (d) => `the PIN from ${d.source} cannot be used: ${d.why}`,
  PIN_WRONG: (d) => `${d.token} refused the PIN; it was tried once and is not tried again`,
  PIN_LOCKED: (d) => `${d.token} takes no PIN: ${d.why}`,
  KEYSTORE_IO: (d) => `cannot use ${d.path}: ${inWords(d.why)}`,
  PASSPHRASE_MISSING: (d) => `${d.key} needs a passphrase and there is no terminal to ask on`,
  PASSPHRASE_WRONG: (d) => `the passphrase does not open ${d.key}`,
  PASSPHRASE_UNUSABLE: (d) => `the passphrase from ${d.source} cannot be used: ${d.why}`,
  PASSPHRASE_CANCELLED: (d) => `nobody answered "${d.prompt}"`,
  KEK_MISSING: (d) => `no key-encryption key: looked for ${d.looked}`,
  KEK_MALFORMED: (d) => `the key-encryption key from ${d.source} cannot be used: ${d.why}`,
  SEALED_OTHER_KEK: (d) => `sealed under the key-encryption key ${d.sealed}, and this one is ${d.have}`,
  SEALED_BROKEN: (d) => `${d.what} does not open: it was changed, or sealed for something else`,
}

/** A key that cannot be used. Branch on `code`; `detail` says which and why. */
export class KeyError<C extends KeyCode = KeyCode> extends Error {
  override readonly name = 'KeyError'
  readonly code: C
  readonly detail: KeyFailures[C]
  constructor(code: C, detail: KeyFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyKeyError = { readonly [C in KeyCode]: KeyError<C> }[KeyCode]

export function isKeyError(error: unknown): error is AnyKeyError {
  return error instanceof KeyError
}
