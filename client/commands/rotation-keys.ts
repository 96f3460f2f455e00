/** The keys that a role gets by a rotation, and those that it gives up. */
import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { roleName, ROOT } from '../../tuf/index.ts'
import type { Codec, PublicKey, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { customsOf } from '../publish/customs.ts'
import { keyNameFor, publicKeyOf, serverKey } from '../publish/found.ts'
import { rootKeysOf } from '../publish/root-keys.ts'
import type { NewKeys } from '../publish/rotating.ts'
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
  /** Milliseconds since 1970. */
  readonly since: number | undefined
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
  const online = (['timestamp', 'snapshot'] as const).find((name) => rotation.role === roleName(name))
  const isTaken = online === 'snapshot' && rotation.keys.length > 0 && customsOf(standing.codec).snapshotMayBeOurs
  return online === undefined || isTaken
    ? await ownKeys(context, standing, rotation, before)
    : await onlineKeys(context, standing, rotation, online)
}

/** The server holds these keys, so it makes the new one too. */
async function onlineKeys(
  context: Context,
  { codec, suite }: Standing,
  { repository, role, keys }: Rotation,
  top: OnlineRole,
): Promise<NewKeys> {
  if (keys.length > 0) throw usage(`the server holds the keys of ${role}`, 'leave --key out')
  const server = await context.api(repository)
  return { keys: [serverKey(await server.newOnlineKey(top), codec, suite)], threshold: 1 }
}

async function ownKeys(context: Context, standing: Standing, rotation: Rotation, before: NewKeys): Promise<NewKeys> {
  const { codec, suite, root } = standing
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
  if (rotation.keys.length > 0) {
    const infos = await Promise.all(rotation.keys.map((key) => keystore.find(key)))
    const keys = new Map((await listed(infos)).map((key) => [key.id, key]))
    if (keys.size < threshold)
      throw usage(`${rotation.role} needs ${threshold} signatures, and ${keys.size} keys are named`)
    return { threshold, keys: [...keys.values()] }
  }
  if (before.keys.length !== 1) {
    throw usage(
      `${rotation.role} has ${before.keys.length} keys`,
      `name each key that it shall have from now on: tagseal rotate ${rotation.repository} ${rotation.role} --key ID --key ID; a new one is made by "tagseal key generate"`,
    )
  }
  const name = keyNameFor(`${rotation.role}.${root.version + 1}`, rotation.repository)
  const identities = new Set(before.keys.map((key) => suite.open(key)?.identity))
  const isNew = (info: KeyInfo) => !identities.has(suite.open(publicKeyOf(info, codec, suite))?.identity)
  const made = (await keystore.list()).find((key) => key.name === name && isNew(key))
  const key =
    made ?? (await keystore.generate({ algorithm: customsOf(codec).algorithm, name, encrypted: rotation.encrypted }))
  return { threshold, keys: await listed([key]) }
}

/** By what they are and not by their ids: a dialect may name a key by its certificate. */
export async function leavingKeys(
  context: Context,
  codec: Codec,
  before: NewKeys,
  after: NewKeys,
): Promise<readonly KeyInfo[]> {
  const identity = (key: PublicKey) => nativeSuite.open(key)?.identity
  const kept = new Set(after.keys.map(identity))
  const left = new Set(before.keys.map(identity).filter((known) => !kept.has(known)))
  const here = await (await context.keystore()).list()
  return here.filter((info) => left.has(identity(publicKeyOf(info, codec, nativeSuite))))
}
