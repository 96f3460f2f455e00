/** The keys that a role gets by a rotation, and those that it gives up. */
import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { roleName, ROOT } from '../../tuf/index.ts'
import type { Codec, PublicKey, RoleName } from '../../tuf/index.ts'
import { namesIn } from '../ceremony/names.ts'
import type { Context } from '../context.ts'
import type { SigningKeystore } from '../../keys/signers/keystore.ts'
import { customsOf } from '../publish/customs.ts'
import { PublishError } from '../publish/errors.ts'
import { keyNameFor, publicKeyOf, serverKey } from '../publish/found.ts'
import { keystoreIdOf } from '../publish/keyring.ts'
import { rootKeysOf } from '../publish/root-keys.ts'
import { listingVersion } from '../publish/rotating.ts'
import type { NewKeys } from '../publish/rotating.ts'
import type { Decide } from '../publish/sifting.ts'
import type { Standing } from '../publish/standing.ts'
import type { OnlineRole } from '../server-api.ts'
import { usage } from './errors.ts'
import { givenCertificate } from './given-keys.ts'

export type Rotation = {
  readonly repository: string
  readonly role: RoleName
  readonly keys: readonly string[]
  /** Files with certificates of root keys. */
  readonly certificates: readonly string[]
  readonly encrypted: boolean
  /** Ids, or names here or in the root, of those that leave; the others stay. Empty: all leave that `keys` does not name. */
  readonly gone: readonly string[]
  /** How many of `gone` were named as stolen, and not as lost. */
  readonly stolen: number
  /** Somebody else has what leaves, and whatever was kept beside it. */
  readonly compromised: boolean
  /** Milliseconds since 1970. */
  readonly since: number | undefined
  /** How long ago that was, where it was said so. */
  readonly ago?: number | undefined
  readonly decide: Decide
  /** How many roots before the present one. */
  readonly legacy: number
}

/** What the role has from now on: keys of the server where it holds those of the role, and else of this machine. */
export async function newKeys(
  context: Context,
  standing: Standing,
  rotation: Rotation,
  before: NewKeys,
): Promise<NewKeys> {
  const online = onlineRole(rotation.role)
  const isTaken = online === 'snapshot' && rotation.keys.length > 0 && customsOf(standing.codec).snapshotMayBeOurs
  return online === undefined || isTaken
    ? await ownKeys(context, standing, rotation, before)
    : await onlineKeys(context, standing, rotation, online)
}

export function onlineRole(role: RoleName): OnlineRole | undefined {
  return (['timestamp', 'snapshot'] as const).find((name) => role === roleName(name))
}

/** The server holds these keys, so it makes the new one too. */
async function onlineKeys(
  context: Context,
  { codec, suite }: Standing,
  { repository, role, keys, gone, compromised }: Rotation,
  top: OnlineRole,
): Promise<NewKeys> {
  if (keys.length > 0) throw usage(`the server holds the keys of ${role}`, 'leave --key out')
  if (gone.length > 0) throw usage(`all keys of ${role} are replaced together`, 'leave --stolen and --lost out')
  const server = await context.api(repository)
  return { keys: [serverKey(await server.newOnlineKey(top, compromised), codec, suite)], threshold: 1 }
}

/**
 * The roles of whose keys the server lost sight together: they lie in one database under one key, so that whoever took
 * one of them had the other at hand. A snapshot key of a publisher is another matter.
 */
export async function lostTogether(
  context: Context,
  standing: Standing,
  rotation: Rotation,
): Promise<readonly OnlineRole[]> {
  const online = onlineRole(rotation.role)
  if (online === undefined) return []
  const other = online === 'timestamp' ? 'snapshot' : 'timestamp'
  if (!rotation.compromised || rotation.keys.length > 0) return [online]
  return (await isServers(context, standing, rotation.repository, other)) ? [online, other] : [online]
}

async function isServers(
  context: Context,
  { root, codec, suite }: Standing,
  repository: string,
  role: OnlineRole,
): Promise<boolean> {
  if (role === 'timestamp' || !customsOf(codec).snapshotMayBeOurs) return true
  const held = serverKey(await (await context.api(repository)).onlineKey(role), codec, suite)
  return root.roles.get(roleName(role))?.keyids.includes(held.id) === true
}

async function ownKeys(context: Context, standing: Standing, rotation: Rotation, before: NewKeys): Promise<NewKeys> {
  const { codec, suite } = standing
  const takesCertificates = rotation.role === ROOT && customsOf(codec).rootHasCertificates
  if (rotation.certificates.length > 0 && !takesCertificates)
    throw usage('--root-cert goes with the root of a repository of Notary')
  const keystore = await context.keystore()
  const listed = async (infos: readonly KeyInfo[]) => {
    if (rotation.role !== ROOT) return infos.map((info) => publicKeyOf(info, codec, suite))
    const { repository } = rotation
    const given = await Promise.all(rotation.certificates.map((file) => givenCertificate(context, file)))
    const making = { repository, keystore, codec, suite, clock: context.clock }
    return await rootKeysOf(infos, { ...making, before: before.keys, given })
  }
  const { threshold } = before
  const kept = await staying(keystore, rotation, before, standing)
  const refuseFew = (keys: readonly PublicKey[], named: number) => {
    if (keys.length >= threshold) return
    throw usage(`${rotation.role} needs ${threshold} signatures, and ${named} keys are named`)
  }
  if (rotation.keys.length > 0) {
    const infos = await Promise.all(rotation.keys.map((key) => keystore.find(key)))
    const named = await listed(infos)
    const keys = [...new Map([...kept, ...named].map((key) => [key.id, key])).values()]
    refuseFew(keys, keys.length)
    return { threshold, keys }
  }
  if (before.keys.length !== 1 && rotation.gone.length === 0) {
    throw usage(
      `${rotation.role} has ${before.keys.length} keys`,
      `say which is stolen or lost, and the others stay: tagseal rotate ${rotation.repository} ${rotation.role} --stolen ID, or --lost ID, for each of them; or name each key that it shall have from now on: --key ID --key ID${rotation.compromised ? ' --compromised' : ''}`,
    )
  }
  const count = Math.max(1, before.keys.length - kept.length)
  const made = await madeKeys(context, standing, rotation, before, count)
  return { threshold, keys: [...kept, ...(await listed(made))] }
}

/** Found again by their names where this was interrupted: nothing else names keys that no root does. */
async function madeKeys(
  context: Context,
  standing: Standing,
  { repository, role, encrypted }: Rotation,
  before: NewKeys,
  count: number,
): Promise<readonly KeyInfo[]> {
  const { codec, suite } = standing
  const keystore = await context.keystore()
  const serial = (await listingVersion(standing, role)) + 1
  const identities = new Set(before.keys.map((key) => suite.open(key)?.identity))
  const isNew = (info: KeyInfo) => !identities.has(suite.open(publicKeyOf(info, codec, suite))?.identity)
  const here = await keystore.list()
  const keys: KeyInfo[] = []
  for (let i = 0; i < count; i++) {
    const name = keyNameFor(`${role}.${serial}${i === 0 ? '' : `.${i + 1}`}`, repository)
    const made = here.find((key) => key.name === name && isNew(key))
    keys.push(made ?? (await keystore.generate({ algorithm: customsOf(codec).algorithm, name, encrypted })))
  }
  return keys
}

/** The keys of the role that nobody said are gone; none where nobody said which are. Throws KEY_NOT_IN_ROLE. */
async function staying(
  keystore: Pick<SigningKeystore, 'list'>,
  { role, gone }: Rotation,
  before: NewKeys,
  { root, suite }: Pick<Standing, 'root' | 'suite'>,
): Promise<readonly PublicKey[]> {
  if (gone.length === 0) return []
  const names = namesIn(root)
  const here = await keystore.list()
  const identity = (key: PublicKey) => suite.open(key)?.identity
  const leave = new Set<PublicKey>()
  for (const text of gone) {
    const named = here.filter((info) => info.name === text || (text.length >= 8 && info.id.startsWith(text)))
    const ids = new Set(named.map(({ id }) => id))
    const found = before.keys.filter((key) => names.get(key.id) === text || matches(key, text, ids))
    if (found.length !== 1 && new Set(found.map(identity)).size !== 1) {
      throw new PublishError('KEY_NOT_IN_ROLE', { role, key: text })
    }
    for (const key of found) leave.add(key)
  }
  return before.keys.filter((key) => !leave.has(key))
}

/** By the id that metadata gives it, or by the one that our keystore gives it or would give it. */
function matches(key: PublicKey, text: string, ids: ReadonlySet<string>): boolean {
  const ours = keystoreIdOf(key)
  const known = text.length >= 8 ? [key.id, ours] : []
  return (ours !== undefined && ids.has(ours)) || known.some((id) => id?.startsWith(text) === true)
}

/** By what they are and not by their ids: a dialect may name a key by its certificate. */
export async function leavingKeys(
  context: Context,
  codec: Codec,
  before: NewKeys,
  after: NewKeys,
): Promise<readonly KeyInfo[]> {
  const kept = new Set(after.keys.map(identityOf))
  const left = before.keys.filter((key) => !kept.has(identityOf(key)))
  return await keysHere(context, codec, left)
}

/** Those of the keys whose private halves are on this machine. */
export async function keysHere(
  context: Context,
  codec: Codec,
  keys: readonly PublicKey[],
): Promise<readonly KeyInfo[]> {
  const wanted = new Set(keys.map(identityOf))
  const here = await (await context.keystore()).list()
  return here.filter((info) => wanted.has(identityOf(publicKeyOf(info, codec, nativeSuite))))
}

function identityOf(key: PublicKey): string | undefined {
  return nativeSuite.open(key)?.identity
}
