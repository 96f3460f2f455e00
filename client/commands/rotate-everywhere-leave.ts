/** One key leaves one of many repositories, and what it left undecided there is decided. */
import { ROOT, SNAPSHOT, TIMESTAMP } from '../../tuf/index.ts'
import type { PublicKey, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { labelOf } from '../publish/doubts.ts'
import { PublishError } from '../publish/errors.ts'
import { impactOf, sightingsOf } from '../publish/impact.ts'
import { undecided } from '../publish/incident.ts'
import type { Incident } from '../publish/incident.ts'
import { keystoreIdOf } from '../publish/keyring.ts'
import { allRoles } from '../publish/standing.ts'
import type { Standing } from '../publish/standing.ts'
import { usage } from './errors.ts'
import { eachOf, idsNamed } from './everywhere.ts'
import type { Done, Everywhere, Running, Settling } from './everywhere.ts'
import type { RoleImpact } from './impact-everywhere.ts'
import { decideIncident, openIncident } from './incident-log.ts'
import { rotateRole } from './rotate-role.ts'
import { inTurn } from './rotation-turn.ts'

/** A key leaves the roles of a repository one after the other. */
const MOST_ROLES = 64

/** Role by role, each on top of what the one before it left. */
export async function leave(context: Context, wish: Everywhere, running: Running, repository: string): Promise<Done> {
  return await inTurn(context, repository, async () => await leaveRoles(context, wish, running, repository))
}

async function leaveRoles(context: Context, wish: Everywhere, running: Running, repository: string): Promise<Done> {
  const roles: RoleName[] = []
  const impacts: RoleImpact[] = []
  let standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const settling = new Map(await leftOpen(context, wish, repository, standing))
  for (let round = 0; round < MOST_ROLES; round++) {
    const listing = (await rolesWith(context, standing, wish)).find(({ role }) => !roles.includes(role))
    if (listing === undefined) break
    refuseOther(repository, listing.role)
    const key = await running.keyFor(listing.key)
    const since = running()?.since
    const rotated = await rotateRole(context, {
      ...wish.rotation,
      repository,
      role: listing.role,
      keys: [key],
      gone: [listing.key.id],
      since,
    })
    const { incident, pending } = rotated
    if (pending !== undefined)
      throw new PublishError('APPROVAL_PENDING', { repository, proposal: pending.id, roles: pending.roles })
    if (incident !== undefined) settling.set(listing.role, settlingOf(incident.doubts.length, incident))
    roles.push(listing.role)
    const seen = wish.rotation.compromised ? await sightingsOf(await context.api(repository)) : undefined
    standing = await (await context.repository(repository)).refreshToPublish(context.signal)
    if (!wish.rotation.compromised) continue
    const { standing: before, roles: replaced } = rotated
    const question = { roles: replaced, before, after: standing, seen, since, root: undefined, now: context.clock() }
    const changed = incident?.doubts.filter(({ kind }) => kind === 'tag').length ?? 0
    impacts.push({ role: listing.role, changed, impact: await impactOf(question) })
  }
  return { repository, roles, before: false, settling, impacts }
}

/** What an earlier run left undecided where the key is gone by now, after what is decided in this one. */
async function leftOpen(
  context: Context,
  wish: Everywhere,
  repository: string,
  standing: Standing,
): Promise<ReadonlyMap<RoleName, Settling>> {
  const { decisions } = wish
  const left = new Map<RoleName, Settling>()
  for (const incident of await incidentsOf(context, wish, repository, standing)) {
    const was = undecided(incident).length
    const after = decisions.given && was > 0 ? (await decideIncident(context, incident, decisions)).after : incident
    left.set(incident.role, settlingOf(was, after))
  }
  return left
}

/** Those in which the key left a role of this repository. */
async function incidentsOf(
  context: Context,
  { gone, role }: Everywhere,
  repository: string,
  standing: Standing,
): Promise<readonly Incident[]> {
  const ids = await idsNamed(context, gone)
  const found: Incident[] = []
  for (const { name } of await allRoles(standing)) {
    if (role !== undefined && role !== name) continue
    const incident = (await openIncident(context, repository, name))?.incident
    if (incident?.stolen.some((id) => ids.has(id) || id.startsWith(gone)) === true) found.push(incident)
  }
  return found
}

/** `was`: how much was undecided before. */
function settlingOf(was: number, incident: Incident): Settling {
  const open = undecided(incident).length
  return { decided: was - open, open, labels: incident.doubts.map(labelOf) }
}

/**
 * A decision that names something is looked up in all repositories before anything is decided in the first: a misspelt
 * name must not pass for decided. Where the key is still to leave one, what is found there is known only afterwards.
 * Throws USAGE.
 */
export async function whatWaits(
  context: Context,
  wish: Everywhere,
  names: readonly string[],
): Promise<ReadonlySet<string>> {
  const labels = new Set<string>()
  if (wish.decisions.named.length === 0) return labels
  let isSure = true
  await eachOf(context, names, async (repository) => {
    try {
      const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
      const incidents = await incidentsOf(context, wish, repository, standing)
      for (const { doubts } of incidents) for (const doubt of doubts) labels.add(labelOf(doubt))
      if ((await rolesWith(context, standing, wish)).length > 0) isSure = false
    } catch {
      isSure = false // it is said of the repository itself when its turn comes
    }
  })
  const unknown = wish.decisions.named.filter((label) => !labels.has(label))
  if (!isSure || context.signal.aborted || unknown.length === 0) return labels
  throw usage(
    `nothing is to be decided about ${unknown.join(', ')} in any of ${names.length} repositories`,
    'leave the decisions out to see what is',
  )
}

export function sayUnknown(
  { terminal }: Context,
  { decisions }: Everywhere,
  before: ReadonlySet<string>,
  done: readonly Done[],
) {
  const found = new Set(done.flatMap(({ settling }) => [...settling.values()].flatMap(({ labels }) => labels)))
  for (const label of decisions.named.filter((each) => !before.has(each) && !found.has(each)))
    terminal.warn(`nothing is to be decided about ${label}`)
}

type Listing = { readonly role: RoleName; readonly key: PublicKey }

/** Targets first: what is under the very keys of targets follows it. */
async function rolesWith(
  context: Context,
  standing: Standing,
  { gone, role }: Everywhere,
): Promise<readonly Listing[]> {
  const ids = await idsNamed(context, gone)
  const isGone = (key: PublicKey) => {
    const ours = keystoreIdOf(key)
    const byId = gone.length >= 8 && (key.id.startsWith(gone) || ours?.startsWith(gone) === true)
    return byId || (ours !== undefined && ids.has(ours))
  }
  const { root } = standing
  const top = [ROOT, TIMESTAMP, SNAPSHOT].map((name) => ({
    name,
    keyids: root.roles.get(name)?.keyids ?? [],
    keys: root.keys,
  }))
  const below = (await allRoles(standing)).map(({ name, authority }) => ({
    name,
    keyids: authority.role.keyids,
    keys: authority.keys,
  }))
  return [...below, ...top].flatMap(({ name, keyids, keys }) => {
    const key = keyids.flatMap((id) => keys.get(id) ?? []).find(isGone)
    return key === undefined || (role !== undefined && role !== name) ? [] : [{ role: name, key }]
  })
}

/** Each of these is another matter, and asks for other keys. */
function refuseOther(repository: string, role: RoleName): void {
  if (role !== ROOT && role !== TIMESTAMP && role !== SNAPSHOT) return
  throw usage(`${role} of ${repository} lists the key as well`, `tagseal rotate ${repository} ${role} --stolen ID`)
}
