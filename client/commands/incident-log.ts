/** What a rotation leaves open, written down before it is carried out; and found again when somebody decides. */
import { listedRoles } from '../../tuf/index.ts'
import type { DelegatedRole, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { planDeciding } from '../publish/deciding.ts'
import { openDesk } from '../publish/desk.ts'
import { doubtsIn, labelOf } from '../publish/doubts.ts'
import type { Doubt, Doubts, TagDoubt } from '../publish/doubts.ts'
import type { Plan } from '../publish/edit.ts'
import {
  isCurrent,
  isPublished,
  readIncidents,
  undecided,
  withNewIncident,
  withPublished,
  writeIncidents,
} from '../publish/incident.ts'
import type { Incident } from '../publish/incident.ts'
import { lifetimeIn, lifetimeText } from '../publish/lifetime.ts'
import type { Pending } from '../proposals/propose.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import type { Desk } from '../publish/publish.ts'
import { keysInForce, leaving } from '../publish/rotating.ts'
import type { NewKeys, Sift } from '../publish/rotating.ts'
import { sift } from '../publish/sifting.ts'
import { openSignedBefore } from '../publish/signed-before.ts'
import type { HoldingRole, Standing } from '../publish/standing.ts'
import type { Terminal } from '../terminal.ts'
import { isClientError } from '../trust/errors.ts'
import { withOutcomes } from './decisions.ts'
import type { Decisions } from './decisions.ts'
import type { Rotation } from './rotation-keys.ts'

export type IncidentLog = {
  readonly sift: (standing: Standing, family: readonly HoldingRole[]) => Promise<Sift>
  /** Writes down what a plan leaves out before it is carried out. */
  readonly recording: (plan: Plan) => Plan
  readonly incident: () => Incident | undefined
  /** The plan was carried out. */
  readonly published: () => Promise<void>
}

/** `looking`: the keys of the role stay, for they were replaced before this. */
export type LoggedKeys = { readonly before: NewKeys; readonly after: NewKeys; readonly looking?: boolean }

export async function openIncidentLog(
  { paths: { state }, clock, terminal, repository: trusted, signal }: Context,
  { server }: Desk,
  { repository, role, since: said, decide }: Rotation,
  { before, after, looking = false }: LoggedKeys,
): Promise<IncidentLog> {
  const known = readIncidents(state, repository, role)
  const thefts = known.filter((incident) => isPublished(incident, idsOf(before)))
  const [last] = thefts
  const open = last === undefined ? [] : undecided(last)
  const due = last !== undefined && (looking || last.due) ? last.since : undefined
  const since = earliest(said === undefined ? undefined : beforeTheft(thefts, said), due)
  const { fetchVersion } = await trusted(repository)
  let found: Doubts | undefined
  let written: readonly Incident[] = []

  function incident(): Incident | undefined {
    if (found === undefined && open.length === 0) return undefined
    const own = found?.doubts ?? []
    return {
      repository,
      role,
      at: clock(),
      since: since ?? last?.since,
      stolen: looking ? (last?.stolen ?? []) : leaving(before, after).map(({ id }) => id),
      joined: looking ? (last?.joined ?? []) : leaving(after, before).map(({ id }) => id),
      keys: idsOf(after),
      published: false,
      due: looking,
      doubts: [
        ...withOutcomes(looking ? withDropped(own, last) : own, decide, false).filter((each) => !isOut(each, open)),
        // They are out of every file by now: to decide on them is another publish.
        ...carriedInto(own, open).map((each) => ({ ...each, outcome: undefined })),
      ],
    }
  }

  return {
    async sift(standing, family) {
      const { codec, suite } = standing
      if (since === undefined) return (held) => sift(held, [], decide, { codec, suite })
      if (said !== undefined && since < said) sayTheft(terminal, { repository, role, since })
      const signedBefore = openSignedBefore(standing, async (name, version) => fetchVersion(name, version, signal))
      const looked = await doubtsIn({ server, family, since, suite, signedBefore })
      if (looked.orders === undefined) sayUnknownOrder(terminal, repository, family)
      sayMembers(terminal, repository, family)
      const doubts = looked.doubts
        .filter((doubt) => !looking || !isSettled(doubt, after, last))
        .map((doubt) => withMeaningOf(doubt, open))
      if (looking) sayPassedOver(terminal, looked.doubts.length - doubts.length)
      found = { ...looked, doubts }
      return (held) => sift(held, doubts, decide, { codec, suite, orders: looked.orders })
    },
    recording: (plan) => async (standing) => {
      const edits = await plan(standing)
      const isTold = edits.length === 0 && (!looking || written.length > 0)
      const noted = isTold ? undefined : incident()
      if (noted !== undefined) {
        written = withNewIncident(known, noted, last)
        await writeIncidents(state, written)
      }
      return edits
    },
    incident,
    async published() {
      const [newest] = written
      if (newest === undefined) return
      try {
        const [now, ...earlier] = withPublished(written, newest, newest.at)
        if (now !== undefined) await writeIncidents(state, [{ ...now, due: false }, ...earlier])
      } catch (error) {
        if (!isClientError(error)) throw error
        terminal.detail(`it is published, and that was not noted: ${error.message}`) // the keys in force will tell it
      }
    },
  }
}

function idsOf({ keys }: NewKeys): readonly string[] {
  return keys.map(({ id }) => id)
}

/**
 * How things stood while a thief had the keys is nothing to go back to: a moment within an earlier theft is moved to where
 * that one began.
 */
function beforeTheft(thefts: readonly Incident[], said: number): number {
  let since = said
  // Each ends after those behind it began.
  for (const theft of thefts) {
    if (theft.since !== undefined && theft.since < since && since < theft.at) since = theft.since
  }
  return since
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
}

/**
 * Whoever signs a tag with the keys of now has decided on it, and whoever kept something. What was restored was so at a
 * moment that may have been too late. A delegation may only have followed the keys.
 */
function isSettled(doubt: Doubt, after: NewKeys, last: Incident | undefined): boolean {
  const outcome = last?.doubts.find((each) => labelOf(each) === labelOf(doubt))?.outcome
  if (outcome === 'keep' || outcome === 'signed') return true
  const own = new Set(idsOf(after))
  const isSigned = doubt.keyids.length > 0 && doubt.keyids.every((id) => own.has(id))
  return doubt.kind === 'tag' && outcome !== 'restore' && isSigned
}

function sayPassedOver({ note }: Pick<Terminal, 'note'>, count: number): void {
  if (count === 0) return
  note(`${count} that were changed since are settled: kept before, or signed by the keys of now`)
}

/** What was looked at before, and stays out. */
function withDropped(doubts: readonly Doubt[], last: Incident | undefined): Incident['doubts'] {
  const dropped = new Set(last?.doubts.flatMap((doubt) => (doubt.outcome === 'drop' ? [labelOf(doubt)] : [])))
  return doubts.map((doubt) => {
    const isLeft = doubt.kind === 'tag' && doubt.now === undefined && dropped.has(labelOf(doubt))
    return { ...doubt, outcome: isLeft ? 'drop' : undefined }
  })
}

function sayTheft(
  { warn }: Pick<Terminal, 'warn'>,
  { repository, role, since }: { readonly repository: string; readonly role: RoleName; readonly since: number },
): void {
  const from = new Date(since).toISOString()
  warn(
    `by what was said before, ${role} of ${repository} was in the hands of a thief then: this looks at what was changed since ${from}`,
  )
}

function sayUnknownOrder(terminal: Terminal, repository: string, family: readonly HoldingRole[]): void {
  if (!family.some(({ file }) => file !== undefined && listedRoles(file).length > 1)) return
  terminal.warn(`the server does not say in which order roles were asked: tagseal delegation list ${repository}`)
}

/** Nobody recorded who wrote these: a thief could have a team's tags expire within the hour, for ever after. */
function sayMembers({ warn, hint }: Terminal, repository: string, family: readonly HoldingRole[]): void {
  const roles = family.flatMap(({ file }) => file?.delegations?.roles ?? []).filter(({ unknown }) => unknown.size > 0)
  const [first] = roles
  if (first === undefined) return
  const told = roles.slice(0, MOST_NAMED).map((role) => `${role.name} (${memberText(role)})`)
  const more = roles.length > MOST_NAMED ? `, and ${roles.length - MOST_NAMED} more` : ''
  warn(`no record says who wrote how long files live, or what else is unknown to it: ${told.join(', ')}${more}`)
  hint(`where that was not you: tagseal delegation add ${repository} ${first.name} --lifetime 30d`)
}

const MOST_NAMED = 12

function memberText(role: DelegatedRole): string {
  const lifetime = lifetimeIn({ role })
  return lifetime === undefined ? [...role.unknown.keys()].join(', ') : `for ${lifetimeText(lifetime)}`
}

/** A tag that an incident before this one took out, and that nobody signed since. */
function isOut(doubt: Doubt, open: readonly Doubt[]): boolean {
  return doubt.kind === 'tag' && doubt.now === undefined && open.some((each) => labelOf(each) === labelOf(doubt))
}

/** What was out when the second thief put it in meant nothing then; what it meant before the first one is known. */
function withMeaningOf(doubt: Doubt, open: readonly Doubt[]): Doubt {
  if (doubt.before !== undefined) return doubt
  const other = open.find((each) => labelOf(each) === labelOf(doubt))
  if (doubt.kind === 'tag' && other?.kind === 'tag') return { ...doubt, before: other.before, isSigned: other.isSigned }
  if (doubt.kind !== 'delegation' || other?.kind !== 'delegation') return doubt
  return { ...doubt, before: other.before, isSigned: other.isSigned }
}

/** Looked at from another moment it may have meant something else before; what it meant since is what it was found as. */
function carriedInto(found: readonly Doubt[], open: readonly Doubt[]): readonly Doubt[] {
  const again = new Map(found.map((doubt) => [labelOf(doubt), doubt]))
  return open.flatMap((doubt) => {
    const other = again.get(labelOf(doubt))
    if (other === undefined) return [doubt]
    if (doubt.kind !== 'tag' || other.kind !== 'tag' || !isOut(other, open)) return []
    const wasSigned = doubt.isSigned && JSON.stringify(digestsOf(doubt)) === JSON.stringify(digestsOf(other))
    return [{ ...doubt, before: other.before, isSigned: other.isSigned || wasSigned }]
  })
}

function digestsOf({ before }: TagDoubt): unknown {
  return before && [before.length, ...before.hashes]
}

/** Written down when others are to replace the keys: once they did, what was changed since is looked at here. */
export async function recordProposed(
  { paths: { state }, clock }: Context,
  { repository, role, since }: Rotation,
  { before, after }: LoggedKeys,
): Promise<void> {
  const known = readIncidents(state, repository, role)
  const last = known.find((each) => isPublished(each, idsOf(before)))
  const ids = (keys: NewKeys['keys']) => keys.map(({ id }) => id)
  const due: Incident = {
    repository,
    role,
    at: clock(),
    since,
    stolen: ids(leaving(before, after)),
    joined: ids(leaving(after, before)),
    keys: idsOf(after),
    published: false,
    due: true,
    doubts: last?.doubts.filter(({ outcome }) => outcome === undefined) ?? [],
  }
  await writeIncidents(state, withNewIncident(known, due, last))
}

/** `isCurrent`: the role has the very keys that it got then. */
export type OpenIncident = { readonly incident: Incident; readonly isCurrent: boolean }

/** The last incident of this role whose keys came into force: it was dealt with, and may have left things to decide. */
export async function openIncident(
  { paths: { state }, repository: trusted, signal, clock }: Context,
  repository: string,
  role: RoleName,
): Promise<OpenIncident | undefined> {
  const known = readIncidents(state, repository, role)
  if (known.length === 0) return undefined
  const standing = await (await trusted(repository)).refreshToPublish(signal)
  const keyids = idsOf(await keysInForce(standing, repository, role))
  const incident = known.find((each) => isPublished(each, keyids))
  if (incident === undefined) return undefined
  // Another change of keys must not make it look like one that never came to be.
  if (!incident.published) await writeIncidents(state, withPublished(known, incident, clock()))
  return { incident: { ...incident, published: true }, isCurrent: isCurrent(incident, keyids) }
}

/** `pending`: others sign as well what is decided, and until they do nothing counts as decided. */
export type Decided = { readonly after: Incident; readonly pending: Pending | undefined }

/** Carries out what is decided of an incident, and rotates nothing. */
export async function decideIncident(context: Context, incident: Incident, { decide }: Decisions): Promise<Decided> {
  const { paths, clock } = context
  const desk = await openDesk(context, incident.repository)
  let signed: ReadonlySet<string> = new Set()
  try {
    const doubts = undecided(incident)
    const settled = (labels: ReadonlySet<string>) => {
      signed = labels
    }
    const { pending } = await publishOrPropose(desk, planDeciding({ doubts, decide, clock, settled }))
    if (pending !== undefined) return { after: incident, pending }
  } finally {
    desk.close()
  }
  const told = incident.doubts.map((doubt) => {
    const isSigned = doubt.outcome === undefined && signed.has(labelOf(doubt))
    return isSigned ? { ...doubt, outcome: 'signed' as const } : doubt
  })
  const after = { ...incident, doubts: withOutcomes(told, decide, true) }
  const known = readIncidents(paths.state, incident.repository, incident.role)
  await writeIncidents(
    paths.state,
    known.map((each) => (each.published && isCurrent(each, incident.keys) ? after : each)),
  )
  return { after, pending: undefined }
}
