/** The first root and targets of a repository. */
import { hash } from '../../keys/digest.ts'
import { keyFields, readPublicKey } from '../../keys/public-key.ts'
import { authorityOf, firstRoot, firstTargets, ROOT, TARGETS } from '../../tuf/index.ts'
import type { Codec, PublicKey, Suite } from '../../tuf/index.ts'
import { schemeOfKeytype } from '../../tuf/codec/notary-methods.ts'
import type { KeyFields, ServerApi } from '../server-api.ts'
import { customsOf } from './customs.ts'
import type { GivenKey } from './customs.ts'
import { named } from './publish.ts'
import type { Edit } from './edit.ts'

export type Founding = {
  readonly repository: string
  readonly root: readonly PublicKey[]
  readonly rootThreshold: number
  readonly targets: readonly PublicKey[]
  readonly targetsThreshold: number
  readonly timestamp: PublicKey
  readonly snapshot: PublicKey
}

/** Both at version 1, to be signed by the keys they name. Throws ROOT_CERTIFICATE for keys that clients would not take. */
export function foundingEdits(plan: Founding, codec: Codec, suite: Suite, now: number): readonly Edit[] {
  const { repository, root, rootThreshold, targets, targetsThreshold, timestamp, snapshot } = plan
  const roles = {
    root: { keys: root, threshold: rootThreshold },
    targets: { keys: targets, threshold: targetsThreshold },
    timestamp: { keys: [timestamp], threshold: 1 },
    snapshot: { keys: [snapshot], threshold: 1 },
  }
  const { lifetimes, naming } = customsOf(codec)
  const first = firstRoot(roles, { codec, expires: now + lifetimes.root }, naming(new Map(), repository))
  codec.rootAuthority(first, { suite, repository })
  const body = firstTargets({}, { codec, expires: now + lifetimes.targets })
  return [
    { role: ROOT, body: first, authorities: [authorityOf(first, ROOT)] },
    named({ role: TARGETS, body, authorities: [authorityOf(first, TARGETS)] }, codec, repository),
  ]
}

/** A key as metadata lists it. */
export function publicKeyOf(key: GivenKey, codec: Codec, suite: Suite): PublicKey {
  return codec.key(customsOf(codec).fields(key), suite)
}

/** A key that the server named, in whichever dialect: before a repository is there, none of them is its own. */
export function serverKey({ keytype, scheme, public: text }: KeyFields, codec: Codec, suite: Suite): PublicKey {
  const material = readPublicKey({ keytype, scheme: scheme ?? schemeOfKeytype(keytype), public: text })
  return codec.key(keyFields(material, codec.dialect), suite)
}

type ServerKeys = { readonly timestamp: PublicKey; readonly snapshot: PublicKey }

/** Asked for one after the other: `notary-server` 0.7 can end by itself where it makes two keys at once. */
export async function serverKeys(api: Pick<ServerApi, 'onlineKey'>, codec: Codec, suite: Suite): Promise<ServerKeys> {
  const timestamp = serverKey(await api.onlineKey('timestamp'), codec, suite)
  return { timestamp, snapshot: serverKey(await api.onlineKey('snapshot'), codec, suite) }
}

/**
 * How the keystore calls the keys of a repository: made before anything is published, they are found again by it when
 * that was interrupted. A name that is too long for the keystore is told apart by a hash.
 */
export function keyNameFor(role: string, repository: string): string {
  const name = `${role} ${repository}`
  return name.length <= 120 && !name.includes('--')
    ? name
    : `${role} ${hash('sha256', Buffer.from(repository)).slice(0, 40)}`
}
