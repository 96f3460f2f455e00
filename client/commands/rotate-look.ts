/** A role whose keys were replaced already, by others or earlier: what was changed before is looked at, and none replaced. */
import { authorityOf, ROOT, TARGETS } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { keyringOf, openDesk } from '../publish/desk.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { keysInForce, planSifting } from '../publish/rotating.ts'
import type { NewKeys } from '../publish/rotating.ts'
import { openIncidentLog } from './incident-log.ts'
import type { OpenIncident } from './incident-log.ts'
import type { Rotated } from './rotate-role.ts'
import { keysHere } from './rotation-keys.ts'
import type { Rotation } from './rotation-keys.ts'
import { sayUnsigned } from './say-unsigned.ts'

/** Whether the keys that the role has got since a theft stay: only what was changed until then is looked at, or from earlier on. */
export async function isToLook(context: Context, rotation: Rotation, open: OpenIncident | undefined): Promise<boolean> {
  const { compromised, gone, keys, since } = rotation
  if (!compromised || gone.length > 0) return false
  if (keys.length > 0) return since !== undefined && (await areOthersToReplace(context, rotation))
  if (open?.isCurrent !== true) return false
  const { incident } = open
  if (incident.due) return (since ?? incident.since) !== undefined
  return since !== undefined && incident.since !== undefined && since < incident.since
}

/** The keys that targets shall have are those that it has, and who signs for root is elsewhere: it was done there. */
async function areOthersToReplace(context: Context, { repository, role, keys }: Rotation): Promise<boolean> {
  if (role !== TARGETS) return false
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const keyring = await keyringOf(context, [])
  const isRootHere = keyring.canSign(authorityOf(standing.root, ROOT))
  keyring.close()
  return !isRootHere && (await areInForce(context, await keysInForce(standing, repository, role), keys, standing.codec))
}

async function areInForce(
  context: Context,
  inForce: NewKeys,
  named: readonly string[],
  codec: Rotated['codec'],
): Promise<boolean> {
  const keystore = await context.keystore()
  const wanted = new Set(await Promise.all(named.map(async (name) => (await keystore.find(name)).id)))
  const here = (await keysHere(context, codec, inForce.keys)).map(({ id }) => id)
  return wanted.size === inForce.keys.length && wanted.size === here.length && here.every((id) => wanted.has(id))
}

/** Takes out, or back, what was changed since; the keys of now sign that. */
export async function lookAgain(context: Context, rotation: Rotation): Promise<Rotated> {
  const { repository, role } = rotation
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const keys = await keysInForce(standing, repository, role)
  const desk = await openDesk(context, repository)
  try {
    const log = await openIncidentLog(context, desk, rotation, { before: keys, after: keys, looking: true })
    const making = { clock: context.clock, sift: log.sift, alsoBy: [] }
    const outcome = await publishOrPropose(desk, log.recording(planSifting(repository, role, making)))
    const { pending, unsigned } = outcome
    if (pending === undefined) await log.published()
    context.terminal.warn(
      `${role} of ${repository} got its keys already, and none now; if one of these leaked as well, name it with --stolen`,
    )
    sayUnsigned(context.terminal, repository, unsigned)
    return {
      codec: standing.codec,
      standing,
      before: keys,
      after: keys,
      roles: [role],
      incident: log.incident(),
      pending,
    }
  } finally {
    desk.close()
  }
}
