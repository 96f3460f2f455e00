/** A repository that the original server had, as it would be sent to ours: a vector, and its root key at work. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { serverKey } from '../../client/publish/found.ts'
import { readForeignKeys } from '../../keys/keystore/foreign.ts'
import { openPassphrases } from '../../keys/keystore/passphrase-source.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { sameKey } from '../../keys/keystore/key-file.ts'
import { readPublicKey, signAs } from '../../keys/public-key.ts'
import type { Signer } from '../../keys/signer.ts'
import { authorityOf, DEFAULT_LIMITS, nextRoot, notaryCodec, ROOT } from '../../tuf/index.ts'
import type { PublicKey, Root } from '../../tuf/index.ts'
import { NOTARY_PASSPHRASES } from './notary.ts'
import { NOTARY_VECTORS } from './notary-vectors.ts'

export type OnlineFields = { readonly keytype: string; readonly scheme: string | undefined; readonly public: string }

/** File names of an import to their bytes, without the root that hands over. */
export function stateFiles(state: string): Map<string, Uint8Array> {
  const read = (name: string) => new Uint8Array(readFileSync(join(NOTARY_VECTORS, state, name)))
  const names = readdirSync(join(NOTARY_VECTORS, state), { recursive: true, encoding: 'utf8' })
  const files = new Map<string, Uint8Array>()
  for (const name of names.filter((each) => each.endsWith('.json')).toSorted()) {
    const role = name.slice(0, -'.json'.length)
    if (/^\d+\.root$/.test(role) || !/^(?:\d+\.|root$)/.test(role)) files.set(role, read(name))
  }
  return files
}

/** The newest root of a set of files. */
export function newestRoot(files: ReadonlyMap<string, Uint8Array>): Root {
  const versions = [...files.keys()].filter((name) => /^\d+\.root$/.test(name)).map((name) => Number.parseInt(name, 10))
  const bytes = files.get(`${Math.max(...versions)}.root`) ?? new Uint8Array()
  return notaryCodec.decode('root', bytes, { suite: nativeSuite, limits: DEFAULT_LIMITS }).body
}

export type HandOver = {
  readonly root: Root
  readonly timestamp: OnlineFields
  readonly snapshot: OnlineFields
  readonly expires: number
  /** Instead of the root's own. */
  readonly signer?: Signer
}

/** The next root, which names these keys for timestamp and snapshot. */
export async function handOverRoot({ root, timestamp, snapshot, expires, signer }: HandOver): Promise<Uint8Array> {
  const key = (fields: OnlineFields) => ({ keys: [serverKey(fields, notaryCodec, nativeSuite)], threshold: 1 })
  const change = { timestamp: key(timestamp), snapshot: key(snapshot) }
  const next = nextRoot(root, change, { codec: notaryCodec, expires })
  return await signed(next, signer)
}

async function signed(root: Root, signer: Signer | undefined): Promise<Uint8Array> {
  const { keys, role } = authorityOf(root, ROOT)
  const payload = notaryCodec.encode(root)
  const signatures = role.keyids
    .flatMap((id) => keys.get(id) ?? [])
    .map(async (key) => {
      const secret = signer ?? (await rootSecret(key))
      const signature = await signAs(key, secret, payload)
      secret.close()
      return signature
    })
  return notaryCodec.assemble(root, await Promise.all(signatures))
}

/** The private half of a root key, of those that lie beside the vectors. */
async function rootSecret(key: PublicKey): Promise<Signer> {
  const material = readPublicKey(key)
  const passphrases = openPassphrases({ env: NOTARY_PASSPHRASES, terminal: () => undefined })
  const folder = join(NOTARY_VECTORS, 'keys', 'trust-private')
  for (const name of readdirSync(folder)) {
    const [found] = readForeignKeys(readFileSync(join(folder, name), 'latin1'))
    const secret = found?.role === 'root' ? await found.open(passphrases) : undefined
    if (secret !== undefined && sameKey(secret.public, material)) return secret
    secret?.close()
  }
  throw new Error('no private root key for this vector')
}
