import type { AnyKeyError, KeyCode } from '../keys/errors.ts'

/** What a server does with keys: it opens its own, and asks a token, a program or a signer. People do the rest. */
const HINT: { readonly [C in KeyCode]?: string } = {
  KEY_MALFORMED: 'put back what was there, or name another file',
  KEYSTORE_IO: 'check the disk and the permissions of what is named',
  SIGNER_MALFORMED: 'write pkcs11:token=T?module-path=/M.so, exec:/path/to/program, unix:/SOCKET or https://HOST',
  SIGNER_UNAVAILABLE: 'see that it runs, and that this user may use it',
  SIGNER_UNFIT: 'name a signer that makes ed25519 or ecdsa keys',
  SIGNER_FAILED: 'see that it works by itself, then start the server again',
  SIGNER_TIMEOUT: 'see that it works by itself, or give it longer: TAGSEAL_SERVER_SIGNER_TIMEOUT',
  SIGNATURE_WRONG: 'find out what answers in the place of that key',
  PIN_MISSING: 'put the PIN into a file and name it in the URI: pin-source=file:/PATH',
  PIN_UNUSABLE: 'mend the file that pin-source names, or name another',
  PIN_WRONG: 'check the file that pin-source names: a token locks itself after a few wrong ones',
  PIN_LOCKED: "log in once with the right PIN by the token's own tool, or have it unlocked",
  KEK_MISSING: 'give it by --kek-file, the systemd credential tagseal-kek or TAGSEAL_SERVER_KEK',
  KEK_MALFORMED: 'put back the key-encryption key as it was made: 32 bytes in a file, or their hex or base64',
  SEALED_OTHER_KEK: 'give the key-encryption key that this folder had before: --kek-file FILE',
  SEALED_BROKEN: 'put back a backup: tagseal-server restore FILE',
}

/** The next step for whoever runs a server; `keys/` knows no command line. */
export function keyHint(error: AnyKeyError): string | undefined {
  return error.code === 'KEY_PERMISSIONS' ? error.detail.mend : HINT[error.code]
}
