import { fromBase64, sameBytes, toBase64 } from '../bytes.ts'
import { KeyError } from '../errors.ts'
import { hash } from '../native/hash.ts'
import { readPemBlocks, writePem } from '../pem.ts'
import { publicMaterial } from '../schemes/table.ts'
import type { PublicMaterial } from '../signer.ts'
import { tufKeyObject } from '../tuf-key.ts'
import type { KeyEntry, KeyInfo, NotaryNote } from './keystore.ts'

/**
 * The text of one key file: a preamble that needs no passphrase, then PKCS#8 as PEM.
 *
 * RFC 7468 lets text stand before a PEM block, so `openssl pkey -in FILE` opens the whole file (ADR 0007).
 */
export type KeyFile = { readonly info: KeyInfo; readonly der: Uint8Array }

const LABEL = { encrypted: 'ENCRYPTED PRIVATE KEY', plain: 'PRIVATE KEY' } as const
const FIRST_LINE = 'tagseal key, format 1'
/** What Notary wrote beside a key; a repository's name may be long. */
const NOTE = /^[\x21-\x7e]{1,255}$/
/** No control characters, no `-----`, nothing that a shell or a table would stumble over. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9 ._@:/+-]{0,126}[A-Za-z0-9._@:/+-])?$/

/** The TUF 1.0 key id: sha256 of the canonical key object. */
export function tufKeyId(material: PublicMaterial): string {
  return hash('sha256', tufKeyObject(material))
}

export type KeyFacts = {
  readonly name?: string
  readonly encrypted: boolean
  readonly now: number
  readonly notary?: NotaryNote
}

/** Everything about a new key but its secret. Throws KEY_MALFORMED for a name that cannot be kept. */
export function keyInfo(material: PublicMaterial, { name, encrypted, now, notary }: KeyFacts): KeyInfo {
  if (name !== undefined && !isKeyName(name)) {
    throw malformed('key name', 'give 1 to 128 letters, digits, blanks and ._@:/+-, with no blank at its ends')
  }
  return {
    id: tufKeyId(material),
    ...(name !== undefined && { name }),
    algorithm: material.algorithm,
    public: material,
    encrypted,
    createdAt: Math.floor(now / 1000) * 1000,
    ...(notary !== undefined && isKept(notary) && { notary }),
  }
}

/** Whether a name can be kept with a key. */
export function isKeyName(name: string): boolean {
  return NAME.test(name) && !name.includes('--')
}

/** What does not fit into a line is no role or repository that anything would be signed for. */
function isKept({ role, gun }: NotaryNote): boolean {
  return NOTE.test(role) && (gun === undefined || NOTE.test(gun))
}

export function writeKeyFile({ info, der }: KeyFile): string {
  const preamble = [
    FIRST_LINE,
    `id: ${info.id}`,
    `algorithm: ${info.algorithm}`,
    `created: ${new Date(info.createdAt).toISOString()}`,
    ...(info.name === undefined ? [] : [`name: ${info.name}`]),
    ...(info.notary === undefined ? [] : [`notary-role: ${info.notary.role}`]),
    ...(info.notary?.gun === undefined ? [] : [`notary-gun: ${info.notary.gun}`]),
    `public: ${toBase64(info.public.spki)}`,
  ]
  return `${preamble.join('\n')}\n${writePem(info.encrypted ? LABEL.encrypted : LABEL.plain, der)}`
}

/** Accepts what `writeKeyFile` writes, byte for byte, and nothing else. `path` is for errors. */
export function readKeyFile(text: string, path: string): KeyFile {
  const [block, ...more] = readPemBlocks(text, path)
  if (block === undefined || more.length > 0) throw malformed(path, 'it does not hold exactly one private key')
  const material = readPublicLine(block.before, path)
  const name = /^name: (.*)$/m.exec(block.before)?.[1]
  const created = Date.parse(/^created: (.*)$/m.exec(block.before)?.[1] ?? '')
  if (Number.isNaN(created)) throw malformed(path, 'it does not say when it was made')
  const encrypted = block.label === LABEL.encrypted
  const facts = { encrypted, now: created, ...readNote(block.before) }
  const info = keyInfo(material, { ...(name !== undefined && { name }), ...facts })
  const file = { info, der: block.der }
  if (writeKeyFile(file) !== text) throw malformed(path, 'it was changed since it was written')
  return file
}

/** What a file of that name says before anything of it is checked. */
export function readEntry(id: string, text: string): KeyEntry {
  const name = /^name: (.*)$/m.exec(text)?.[1]
  return { id, ...(name !== undefined && { name }), encrypted: text.includes(`-----BEGIN ${LABEL.encrypted}-----`) }
}

function readNote(preamble: string): Pick<KeyFacts, 'notary'> {
  const [role, gun] = [/^notary-role: (.*)$/m.exec(preamble)?.[1], /^notary-gun: (.*)$/m.exec(preamble)?.[1]]
  return role === undefined ? {} : { notary: { role, ...(gun !== undefined && { gun }) } }
}

function readPublicLine(preamble: string, path: string): PublicMaterial {
  const spki = fromBase64(/^public: (.*)$/m.exec(preamble)?.[1] ?? '')
  if (!preamble.startsWith(FIRST_LINE) || spki === undefined) throw malformed(path, 'it is no key file of tagseal')
  return publicMaterial(spki)
}

/** Whether two public keys are one; both are canonical. */
export function sameKey(a: PublicMaterial, b: PublicMaterial): boolean {
  return sameBytes(a.spki, b.spki)
}

function malformed(what: string, why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what, why })
}
