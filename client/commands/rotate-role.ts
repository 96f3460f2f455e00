/** One role of one repository gets new keys. */
import { roleName, ROOT } from '../../tuf/index.ts'
import type { Authority, Codec, RoleName, TopRole } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { keyringOf, openDesk } from '../publish/desk.ts'
import type { Pending } from '../proposals/propose.ts'
import { customsOf } from '../publish/customs.ts'
import type { Incident } from '../publish/incident.ts'
import { rootsBefore } from '../publish/older-roots.ts'
import { publish } from '../publish/publish.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { keysInForce, planDelegatedRotation, planTopRotation, replacerOf } from '../publish/rotating.ts'
import type { NewKeys } from '../publish/rotating.ts'
import type { Standing } from '../publish/standing.ts'
import { openIncidentLog } from './incident-log.ts'
import { lostTogether, newKeys } from './rotation-keys.ts'
import type { Rotation } from './rotation-keys.ts'
import { sayUnsigned } from './say-unsigned.ts'

export type Rotated = {
  readonly codec: Codec
  /** What was in force when this began. */
  readonly standing: Standing
  readonly before: NewKeys
  readonly after: NewKeys
  /** Every role that got new keys. */
  readonly roles: readonly RoleName[]
  /** What may be a thief's work, with what is decided of it; undefined where nobody said since when. */
  readonly incident: Incident | undefined
  /** Where others sign as well that a delegated role has other keys: nothing is in force yet. */
  readonly pending: Pending | undefined
}

/** The new keys are there before anything is published, and found again where this was interrupted. */
export async function rotateRole(context: Context, rotation: Rotation): Promise<Rotated> {
  const { repository, role } = rotation
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const before = await keysInForce(standing, repository, role)
  await refuseUnable(context, standing, await replacerOf(standing, repository, role))
  const wanted = await wantedKeys(context, standing, rotation, before)
  const after = wanted.get(role) ?? before
  const desk = await openDesk(context, repository)
  try {
    const log = await openIncidentLog(context, desk, rotation, { before, after })
    const alsoBy = await rootsBefore(context, standing, repository, rotation.legacy)
    const making = { clock: context.clock, sift: log.sift, alsoBy }
    const tops = topRolesOf(wanted)
    const { unsigned, pending } =
      tops === undefined
        ? await publishOrPropose(desk, log.recording(planDelegatedRotation(repository, role, after, making)))
        : { ...(await publish(desk, log.recording(planTopRotation(tops, making)))), pending: undefined }
    if (pending === undefined) await log.published()
    sayUnsigned(context.terminal, repository, unsigned)
    const roles = [...wanted.keys()]
    return { codec: standing.codec, standing, before, after, roles, incident: log.incident(), pending }
  } finally {
    desk.close()
  }
}

/** The keys that the role gets, and every role that gets new ones together with it. */
export async function wantedKeys(
  context: Context,
  standing: Standing,
  rotation: Rotation,
  before: NewKeys,
): Promise<ReadonlyMap<RoleName, NewKeys>> {
  const online = await lostTogether(context, standing, rotation)
  if (online.length === 0) return new Map([[rotation.role, await newKeys(context, standing, rotation, before)]])
  const wanted = new Map<RoleName, NewKeys>()
  for (const name of online) {
    const role = roleName(name)
    const own = await keysInForce(standing, rotation.repository, role)
    wanted.set(role, await newKeys(context, standing, { ...rotation, role }, own))
  }
  return wanted
}

/** undefined for a delegated role. */
export function topRolesOf(wanted: ReadonlyMap<RoleName, NewKeys>): ReadonlyMap<TopRole, NewKeys> | undefined {
  const tops = new Map<TopRole, NewKeys>()
  for (const [role, keys] of wanted) {
    const top = topRole(role)
    if (top !== undefined) tops.set(top, keys)
  }
  return tops.size === 0 ? undefined : tops
}

export function topRole(role: RoleName): TopRole | undefined {
  return (['root', 'targets', 'snapshot', 'timestamp'] as const).find((top) => role === roleName(top))
}

/**
 * Said before a key is made: one that nothing names would be left on this machine. What others sign as well waits for them
 * on the server, unless it is a root.
 */
async function refuseUnable(context: Context, { codec }: Standing, authority: Authority): Promise<void> {
  const keyring = await keyringOf(context, [])
  const mayWait = authority.name !== ROOT && customsOf(codec).proposes && keyring.canHelp(authority)
  if (!mayWait) keyring.refuseUnable(authority)
  keyring.close()
}
