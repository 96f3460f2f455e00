/** Signed Notary v1 files, made once and sent to every server: what signing costs must not be in a server's figure. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './measure.ts'

/** A key as a Notary root lists it. */
type Listed = {
  readonly keytype: string
  readonly keyval: { readonly private: null; readonly public: string }
}
/** What `timestamp.key` and `snapshot.key` answer. */
export type ServerKey = { readonly keytype: string; readonly keyval: { readonly public: string } }
export type NotaryKeys = { readonly root: Signer; readonly targets: Signer }
type Signer = { readonly secret: KeyObject; readonly listed: Listed }
type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

const EXPIRES = '2036-01-01T00:00:00Z'

/** Keys for every repository below a prefix: the certificate names it with a star. */
export async function makeNotaryKeys(dir: string, prefix: string): Promise<NotaryKeys> {
  const [key, certificate, config] = ['root.key', 'root.crt', 'empty.cnf'].map((name) => join(dir, name))
  if (key === undefined || certificate === undefined || config === undefined) throw new Error('three names')
  await mkdir(dir, { recursive: true })
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3650']
  const extensions = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=codeSigning']
  const subject = ['-subj', `/CN=${prefix.replaceAll('/', String.raw`\/`)}*`]
  const files = ['-keyout', key, '-out', certificate]
  await run({ command: 'openssl', args: ['req', '-x509', ...made, ...subject, ...extensions, ...files] })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return {
    root: {
      secret: createPrivateKey(await readFile(key)),
      listed: listed('ecdsa-x509', (await readFile(certificate)).toString('base64')),
    },
    targets: { secret: privateKey, listed: listed('ecdsa', spki.toString('base64')) },
  }
}

export function rootFile({ root, targets }: NotaryKeys, timestamp: ServerKey, snapshot: ServerKey): Buffer {
  const theirs = [timestamp, snapshot].map(({ keytype, keyval }) => listed(keytype, keyval.public))
  const [timestampKey, snapshotKey] = theirs.map(idOf)
  const role = (id: string | undefined) => ({ keyids: [id ?? ''], threshold: 1 })
  return signed(root, {
    _type: 'Root',
    consistent_snapshot: false,
    expires: EXPIRES,
    keys: Object.fromEntries([root.listed, targets.listed, ...theirs].map((key) => [idOf(key), key])),
    roles: {
      root: role(idOf(root.listed)),
      snapshot: role(snapshotKey),
      targets: role(idOf(targets.listed)),
      timestamp: role(timestampKey),
    },
    version: 1,
  })
}

/** A targets file of `tags` tags, of which the first is another image in every version. */
export function targetsFile({ targets }: NotaryKeys, version: number, tags: number): Buffer {
  const image = (name: string) => ({ hashes: { sha256: sha256(name).toString('base64') }, length: 1024 })
  const names = Array.from({ length: tags }, (_, at) => `tag-${at}`)
  return signed(targets, {
    _type: 'Targets',
    delegations: { keys: {}, roles: [] },
    expires: EXPIRES,
    targets: Object.fromEntries(names.map((name, at) => [name, image(at === 0 ? `${name} ${version}` : name)])),
    version,
  })
}

function listed(keytype: string, text: string): Listed {
  return { keytype, keyval: { private: null, public: text } }
}

function idOf(key: Listed): string {
  return sha256(canonical(key)).toString('hex')
}

function signed({ secret, listed }: Signer, body: Json): Buffer {
  const payload = canonical(body)
  const sig = sign('sha256', Buffer.from(payload), { key: secret, dsaEncoding: 'ieee-p1363' }).toString('base64')
  return Buffer.from(`{"signed":${payload},"signatures":[{"keyid":"${idOf(listed)}","method":"ecdsa","sig":"${sig}"}]}`)
}

/** Enough of canonical JSON for names in ASCII. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
