import type { KeyInfo, NotaryFile, NotaryNote } from '../keystore/keystore.ts'
import type { Passphrase } from '../keystore/passphrase.ts'
import { encryptForNotary } from '../keystore/pbes2.ts'
import type { Secret } from '../native/secret.ts'
import { writePem } from '../pem.ts'
import { ed25519Point } from '../schemes/ed25519.ts'
import { toNotaryEd25519 } from './ed25519.ts'
import { notaryKeyId } from './key-id.ts'

/** A key as a file of `~/.notary/private` holds it: PKCS#8 under a passphrase, with its role and repository as headers. */
export async function notaryFile(secret: Secret, info: KeyInfo, passphrase: Passphrase): Promise<NotaryFile> {
  const pkcs8 = notaryPkcs8(secret)
  try {
    const note = noteOf(info)
    const headers = new Map(Object.entries(note))
    const pem = writePem('ENCRYPTED PRIVATE KEY', await encryptForNotary(pkcs8, passphrase), headers)
    return { id: notaryKeyId(secret.public), note, pem }
  } finally {
    pkcs8.fill(0)
  }
}

/** EC and RSA keys are read as everybody writes them. */
function notaryPkcs8(secret: Secret): Uint8Array {
  const { algorithm, public: material } = secret
  return secret.lend((pkcs8) =>
    algorithm === 'ed25519' ? toNotaryEd25519(pkcs8, ed25519Point(material.spki)) : pkcs8.slice(),
  )
}

/**
 * What Notary wrote beside it, or what `init` named it: `root team/app`. Notary chooses keys by their ids, and asks for
 * passphrases by their roles; whatever is none of its own roles is a delegation's.
 */
function noteOf({ notary, name }: KeyInfo): NotaryNote {
  const [, role, gun] = /^(root|targets|snapshot)(?: (\S+))?$/.exec(name ?? '') ?? []
  const note = notary ?? (role === undefined ? { role: 'signer' } : { role, ...(gun !== undefined && { gun }) })
  return note.role === 'root' ? { role: 'root' } : note // a root key is for every repository there
}
