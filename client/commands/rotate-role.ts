/** One role of one repository gets new keys. */
import { listedRoles, roleName, ROOT } from '../../tuf/index.ts'
import type { Authority, Codec, RoleName, TopRole } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { planDeciding } from '../publish/deciding.ts'
import { keyringOf, openDesk } from '../publish/desk.ts'
import { doubtsIn, labelOf } from '../publish/doubts.ts'
import type { Doubt, Doubts } from '../publish/doubts.ts'
import type { Pending } from '../proposals/propose.ts'
import { customsOf } from '../publish/customs.ts'
import type { Plan } from '../publish/edit.ts'
import { readIncident, undecided, writeIncident } from '../publish/incident.ts'
import type { Incident } from '../publish/incident.ts'
import { rootsBefore } from '../publish/older-roots.ts'
import { publish } from '../publish/publish.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import type { Desk } from '../publish/publish.ts'
import { keysInForce, leaving, planDelegatedRotation, planTopRotation, replacerOf } from '../publish/rotating.ts'
import type { NewKeys, Sift } from '../publish/rotating.ts'
import { sift } from '../publish/sifting.ts'
import type { HoldingRole, Standing } from '../publish/standing.ts'
import type { Terminal } from '../terminal.ts'
import { withOutcomes } from './decisions.ts'
import type { Decisions } from './decisions.ts'
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
    const log = incidentLog(context, desk, rotation, { before, after })
    const alsoBy = await rootsBefore(context, standing, repository, rotation.legacy)
    const making = { clock: context.clock, sift: log.sift, alsoBy }
    const tops = topRolesOf(wanted)
    const { unsigned, pending } =
      tops === undefined
        ? await publishOrPropose(desk, log.recording(planDelegatedRotation(repository, role, after, making)))
        : { ...(await publish(desk, log.recording(planTopRotation(tops, making)))), pending: undefined }
    sayUnsigned(context.terminal, unsigned)
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

type IncidentLog = {
  readonly sift: (standing: Standing, family: readonly HoldingRole[]) => Promise<Sift>
  /** Writes down what a plan leaves out before it is carried out. */
  readonly recording: (plan: Plan) => Plan
  readonly incident: () => Incident | undefined
}

function incidentLog(
  { paths: { state }, clock, terminal }: Context,
  { server }: Desk,
  { repository, role, since, decide }: Rotation,
  { before, after }: { readonly before: NewKeys; readonly after: NewKeys },
): IncidentLog {
  const open = carriedOver(readIncident(state, repository, role), before)
  let found: Doubts | undefined
  const incident = (): Incident | undefined =>
    found && {
      repository,
      role,
      at: clock(),
      since,
      stolen: leaving(before, after).map(({ id }) => id),
      keys: after.keys.map(({ id }) => id),
      doubts: [
        ...withOutcomes(found.doubts, decide).filter((each) => !isOut(each, open)),
        // They are out of every file by now: to decide on them is another publish.
        ...carriedInto(found.doubts, open).map((each) => ({ ...each, outcome: undefined })),
      ],
    }
  return {
    async sift({ codec, suite }, family) {
      const looked = since === undefined ? undefined : await doubtsIn({ server, family, since, suite })
      if (looked !== undefined && looked.orders === undefined) sayUnknownOrder(terminal, repository, family)
      found = looked
      return (held) => sift(held, looked?.doubts ?? [], decide, { codec, suite, orders: looked?.orders })
    },
    recording: (plan) => async (standing) => {
      const edits = await plan(standing)
      const noted = edits.length === 0 ? undefined : incident()
      if (noted !== undefined) await writeIncident(state, noted)
      return edits
    },
    incident,
  }
}

function sayUnknownOrder(terminal: Terminal, repository: string, family: readonly HoldingRole[]): void {
  if (!family.some(({ file }) => file !== undefined && listedRoles(file).length > 1)) return
  terminal.warn(`the server does not say in which order roles were asked: tagseal delegation list ${repository}`)
}

/** Of an incident before this one, what nobody decided. One whose keys never came into force left nothing out. */
function carriedOver(incident: Incident | undefined, { keys }: NewKeys): readonly Doubt[] {
  return incident !== undefined && isInForce(incident, keys) ? undecided(incident) : []
}

function isInForce(incident: Incident, keys: NewKeys['keys']): boolean {
  return (
    keys
      .map(({ id }) => id)
      .toSorted()
      .join() === [...incident.keys].toSorted().join()
  )
}

/** A tag that an incident before this one took out, and that nobody signed since. */
function isOut(doubt: Doubt, open: readonly Doubt[]): boolean {
  return doubt.kind === 'tag' && doubt.now === undefined && open.some((each) => labelOf(each) === labelOf(doubt))
}

/** Looked at from another moment it may have meant something else before; what it meant since is what it was found as. */
function carriedInto(found: readonly Doubt[], open: readonly Doubt[]): readonly Doubt[] {
  const again = new Map(found.map((doubt) => [labelOf(doubt), doubt]))
  return open.flatMap((doubt) => {
    const other = again.get(labelOf(doubt))
    if (other === undefined) return [doubt]
    if (doubt.kind !== 'tag' || other.kind !== 'tag' || !isOut(other, open)) return []
    return [{ ...doubt, before: other.before }]
  })
}

/** An incident of this role whose keys are those in force: it was dealt with, and may have left things to decide. */
export async function openIncident(
  context: Context,
  repository: string,
  role: RoleName,
): Promise<Incident | undefined> {
  const incident = readIncident(context.paths.state, repository, role)
  if (incident === undefined) return undefined
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const { keys } = await keysInForce(standing, repository, role)
  return isInForce(incident, keys) ? incident : undefined
}

/** Carries out what is decided of an incident, and rotates nothing. */
export async function decideIncident(context: Context, incident: Incident, { decide }: Decisions): Promise<Incident> {
  const { paths, clock } = context
  const desk = await openDesk(context, incident.repository)
  let signed: ReadonlySet<string> = new Set()
  try {
    const doubts = undecided(incident)
    const settled = (labels: ReadonlySet<string>) => {
      signed = labels
    }
    await publish(desk, planDeciding({ doubts, decide, clock, settled }))
  } finally {
    desk.close()
  }
  const told = incident.doubts.map((doubt) => {
    const isSigned = doubt.outcome === undefined && signed.has(labelOf(doubt))
    return isSigned ? { ...doubt, outcome: 'signed' as const } : doubt
  })
  const after = { ...incident, doubts: withOutcomes(told, decide) }
  await writeIncident(paths.state, after)
  return after
}
