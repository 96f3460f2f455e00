/** The first root and targets of a repository. */
import { hash } from '../../keys/digest.ts'
import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import { authorityOf, firstRoot, firstTargets, ROOT, TARGETS } from '../../tuf/index.ts'
import type { Codec, PublicKey, Suite } from '../../tuf/index.ts'
import { REPOSITORY_FIELD } from '../../tuf/model/repository.ts'
import type { KeyFields } from '../server-api.ts'
import { LIFETIME_MS } from './lifetimes.ts'
import { named } from './publish.ts'
import type { Edit } from './publish.ts'

export type Founding = {
  readonly repository: string
  readonly root: readonly PublicKey[]
  readonly rootThreshold: number
  readonly targets: readonly PublicKey[]
  readonly timestamp: PublicKey
  readonly snapshot: PublicKey
}

/** Both at version 1, to be signed by the keys they name. */
export function foundingEdits(plan: Founding, codec: Codec, now: number): readonly Edit[] {
  const { repository, root, rootThreshold, targets, timestamp, snapshot } = plan
  const roles = {
    root: { keys: root, threshold: rootThreshold },
    targets: { keys: targets, threshold: 1 },
    timestamp: { keys: [timestamp], threshold: 1 },
    snapshot: { keys: [snapshot], threshold: 1 },
  }
  const unknown = new Map([[REPOSITORY_FIELD, repository]])
  const first = firstRoot(roles, { codec, expires: now + LIFETIME_MS.root }, unknown)
  const body = firstTargets({}, { codec, expires: now + LIFETIME_MS.targets })
  return [
    { role: ROOT, body: first, authorities: [authorityOf(first, ROOT)] },
    named({ role: TARGETS, body, authorities: [authorityOf(first, TARGETS)] }, repository),
  ]
}

/** A key of the keystore as metadata lists it. */
export function publicKeyOf({ public: material }: Pick<KeyInfo, 'public'>, codec: Codec, suite: Suite): PublicKey {
  return codec.key(toTufFields(material), suite)
}

/** A key that the server named, its id computed here. */
export function serverKey(fields: KeyFields, codec: Codec, suite: Suite): PublicKey {
  return codec.key(fields, suite)
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
