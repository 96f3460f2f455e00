/** What differs between the dialects for whoever makes repositories and publishes to them. Verifying asks the codec. */
import { keyFields } from '../../keys/public-key.ts'
import { toNotaryCertificate } from '../../keys/schemes/notary.ts'
import type { Algorithm, PublicMaterial } from '../../keys/signer.ts'
import { delegationName } from '../../tuf/codec/notary-delegations.ts'
import { newRoleName, REPOSITORY_FIELD, refusePattern, roleName } from '../../tuf/index.ts'
import type { Codec, PublicKey, RoleName, Scope, TopRole, Unknown } from '../../tuf/index.ts'

/** A public key as somebody has it, before a dialect lists it. `certificate` is PEM, where it has one. */
export type GivenKey = { readonly public: PublicMaterial; readonly certificate?: string }

export type Customs = {
  /** How long what we sign lives, in milliseconds. */
  readonly lifetimes: Readonly<Record<TopRole, number>>
  /** Of keys that are made for a repository: every tool of the dialect can use them. */
  readonly algorithm: Algorithm
  /** The key as a role lists it; what `Codec.key` takes. */
  readonly fields: (key: GivenKey) => Pick<PublicKey, 'keytype' | 'scheme' | 'public'>
  /** Whether root lists its own keys in certificates. */
  readonly rootHasCertificates: boolean
  /** The highest threshold that the dialect's clients know. */
  readonly mostNeeded: number
  /** Whether the dialect's other tools keep signed members that they do not know. */
  readonly keepsUnknown: boolean
  /** Whether the keys of older roots may sign a new one too, for clients that know no newer root. */
  readonly oldRootsSign: boolean
  /** Signed members beside the known ones, with the repository's name among them where the dialect has room for it. */
  readonly naming: (unknown: Unknown, repository: string) => Unknown
  /** More tags than this do not stay in one file. */
  readonly flatUpTo: number
  /** Whether a publisher may hold the snapshot key, and then signs every snapshot. */
  readonly snapshotMayBeOurs: boolean
  /** Whether a role may need the signatures of several people, so that a publish waits for them. */
  readonly proposes: boolean
  /** Whether a delegation can end the search. */
  readonly terminates: boolean
  /** A new delegated role. Throws MALFORMED for a name that other tools would not take. */
  readonly newRole: (name: RoleName) => RoleName
  /** The only role that may delegate to this one; undefined where any may. */
  readonly parentOf: (role: RoleName) => RoleName | undefined
  /** What a role may sign, as somebody wrote it; of nothing, every tag. Throws MALFORMED. */
  readonly scope: (paths: readonly string[]) => Scope
}

const DAY_MS = 86_400_000

/** DESIGN 5. */
const tuf: Customs = {
  lifetimes: { root: 730 * DAY_MS, targets: 365 * DAY_MS, snapshot: 7 * DAY_MS, timestamp: DAY_MS },
  algorithm: 'ed25519',
  fields: (key) => keyFields(key.public, 'tuf-1.0'),
  rootHasCertificates: false,
  mostNeeded: Number.POSITIVE_INFINITY,
  keepsUnknown: true,
  oldRootsSign: false,
  naming: (unknown, repository) => new Map(unknown).set(REPOSITORY_FIELD, repository),
  flatUpTo: 1000,
  snapshotMayBeOurs: false,
  proposes: true,
  terminates: true,
  newRole: newRoleName,
  parentOf: () => undefined,
  scope(paths) {
    for (const path of paths) refusePattern(path)
    return { kind: 'paths', paths: paths.length === 0 ? ['*'] : paths }
  },
}

const CERTIFICATE_MS = 3650 * DAY_MS

/** As `notary` does itself: its lifetimes, and keys that its own client can go on with. */
const notary: Customs = {
  // A timestamp is the server's: of 14 days where that is the original, which renews none ahead of its end.
  lifetimes: { root: CERTIFICATE_MS, targets: 1095 * DAY_MS, snapshot: 1095 * DAY_MS, timestamp: DAY_MS },
  algorithm: 'ecdsa-p256',
  fields: ({ public: material, certificate }) =>
    certificate === undefined ? keyFields(material, 'notary-v1') : toNotaryCertificate(Buffer.from(certificate)),
  rootHasCertificates: true,
  mostNeeded: 1,
  keepsUnknown: false,
  oldRootsSign: true,
  // Go drops members that it does not know, so a file with one could not be edited there. The certificate names it.
  naming: (unknown) => unknown,
  flatUpTo: Number.POSITIVE_INFINITY,
  snapshotMayBeOurs: true,
  proposes: false,
  terminates: false,
  newRole: delegationName,
  parentOf: (role) => roleName(role.slice(0, role.lastIndexOf('/'))),
  // No tag has a "*" in it, so whoever writes one alone means what it means elsewhere.
  scope: (paths) => ({
    kind: 'path-prefixes',
    prefixes: paths.length === 0 ? [''] : paths.map((path) => (path === '*' ? '' : path)),
  }),
}

const CUSTOMS: Readonly<Record<Codec['dialect'], Customs>> = { 'tuf-1.0': tuf, 'notary-v1': notary }

export function customsOf({ dialect }: Pick<Codec, 'dialect'>): Customs {
  return CUSTOMS[dialect]
}

/** Warnings begin, and a publish renews, with a fifth of the lifetime left. */
export function isDue(
  codec: Pick<Codec, 'dialect'>,
  kind: TopRole,
  expires: number,
  now: number,
  lifetime: number = customsOf(codec).lifetimes[kind],
): boolean {
  return expires - now < lifetime / 5
}
