import { KeyError } from '../errors.ts'
import type { Secret } from '../native/secret.ts'
import { legacyDecryption } from '../notary/legacy-pem.ts'
import { type ForeignForm, openForeign } from '../notary/private-key.ts'
import { type PemBlock, readPemBlocks } from '../pem.ts'
import type { PassphraseSource } from './passphrase.ts'
import { decryptPkcs8 } from './pbes2.ts'
import { type Locked, unlockAny } from './unlock.ts'

/** A private key that another program wrote, as far as it can be told without its passphrase. */
export type ForeignKey = {
  /** For people. */
  readonly label: string
  /** What Notary wrote beside it: who signs with it, and for which repository. Nobody has checked either. */
  readonly role?: string
  readonly gun?: string
  /** How it was called where it comes from. */
  readonly name?: string
  readonly encrypted: boolean
  /** Once: what is not encrypted belongs to the key that is opened, and is wiped with it. */
  readonly open: (passphrase: PassphraseSource) => Promise<Secret>
}

/** `notary key export` writes every key of a machine into one file. */
const MAX_FILE = 1024 * 1024
const MOST_KEYS = 1000

const FORMS: ReadonlyMap<string, ForeignForm> = new Map([
  ['ENCRYPTED PRIVATE KEY', 'pkcs8'],
  ['PRIVATE KEY', 'pkcs8'],
  ['EC PRIVATE KEY', 'sec1'],
  ['RSA PRIVATE KEY', 'pkcs1'],
  ['ED25519 PRIVATE KEY', 'ed25519'],
] as const)

/**
 * The private keys of a file: PKCS#8, plain or encrypted, SEC1 (`EC PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`), and what
 * Notary and docker write, with their headers. Other blocks (`EC PARAMETERS`, a certificate, a public key) are passed over.
 */
export function readForeignKeys(pem: string): ForeignKey[] {
  const blocks = readPemBlocks(pem, 'private key', MAX_FILE).filter(({ label }) => label.endsWith('PRIVATE KEY'))
  if (blocks.length === 0) throw malformed('there are 0 private keys in it')
  if (blocks.length > MOST_KEYS) throw malformed(`there are more than ${MOST_KEYS} private keys in it`)
  return blocks.map((block) => foreignKey(block))
}

/** The only private key of a file. */
export function readForeignKey(pem: string): ForeignKey {
  const [key, ...more] = readForeignKeys(pem)
  if (key === undefined || more.length > 0) throw malformed(`there are ${more.length + 1} private keys in it`)
  return key
}

function foreignKey(block: PemBlock): ForeignKey {
  const [role, gun] = [block.headers.get('role'), block.headers.get('gun')]
  const key = labelOf(block)
  const facts = { label: key, ...(role !== undefined && { role }), ...(gun !== undefined && { gun }) }
  const form = FORMS.get(block.label)
  if (form === undefined) throw malformed(`a PEM block "${block.label}" is none of PKCS#8, SEC1 and PKCS#1`)
  const open = (der: Uint8Array) => openForeign(der, form)
  const decrypt = decryptionOf(block)
  return decrypt === undefined
    ? { ...facts, encrypted: false, open: async () => open(block.der) }
    : { ...facts, encrypted: true, open: (source) => unlockAny({ key, form, isForeign: true, decrypt, open }, source) }
}

function decryptionOf({ label, headers, der }: PemBlock): Locked['decrypt'] | undefined {
  if (label === 'ENCRYPTED PRIVATE KEY') return (passphrase) => decryptPkcs8(der, passphrase)
  const decrypt = legacyDecryption(headers, der)
  return decrypt && (async (passphrase) => decrypt(passphrase))
}

/** `the root key 03b940ba9118`: what Notary wrote beside it, as far as it can be printed. */
function labelOf({ headers }: PemBlock): string {
  const [role, gun, path = ''] = ['role', 'gun', 'path'].map((name) => headers.get(name))
  if (role === undefined) return 'the imported key'
  const id = /[0-9a-f]{64}/.exec(path)?.[0].slice(0, 12)
  return [`the ${role} key`, ...(gun === undefined ? [] : [`of ${gun}`]), ...(id === undefined ? [] : [id])].join(' ')
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'private key', why })
}
