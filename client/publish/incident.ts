/**
 * What was left open when a stolen key was replaced: which tags and delegations nobody has decided on yet. One file for
 * each role, so that what is decided later neither rotates again nor depends on a server's memory.
 */
import { join } from 'node:path'
import { hash } from '../../keys/digest.ts'
import { decodeJson, isJsonList, isJsonObject, isTrustError, member, members, roleName } from '../../tuf/index.ts'
import type { Json, JsonObject, RoleName } from '../../tuf/index.ts'
import { delegationEntry } from '../server-api.ts'
import { ClientError } from '../trust/errors.ts'
import { stateFolder } from '../trust/repository.ts'
import type { Doubt, Meaning, TagDoubt } from './doubts.ts'
import { readRecord, writeRecord } from './kept-record.ts'
import type { Decision } from './sifting.ts'

/** `signed`: the tag was signed anew since, which settles it. */
export type Outcome = Decision | 'signed'

export type Incident = {
  readonly repository: string
  readonly role: RoleName
  /** When the role got its new keys, or was first seen to have them; milliseconds, like `since`. */
  readonly at: number
  readonly since: number | undefined
  /** Ids of the keys that left, of those that took their place, and of all that the role has since. */
  readonly stolen: readonly string[]
  readonly joined: readonly string[]
  readonly keys: readonly string[]
  /** It is known that these keys came into force. It is written down before they do, and some never will. */
  readonly published: boolean
  /** What was changed since then is still to be looked at, once these keys are in force. */
  readonly due: boolean
  readonly doubts: readonly (Doubt & { readonly outcome: Outcome | undefined })[]
}

/** Far more than the tags of any repository. */
const MAX_BYTES = 64 * 1024 * 1024

/** Those that never came to be, beside the one that did: each has keys of its own, so there are few. */
const MOST_WAITING = 8
/** Of older ones it is kept when the role was in whose hands. */
const MOST_OLD = 64

/** Newest first. Throws CONFIG_MALFORMED for a file that was damaged or edited, and CONFIG_UNUSABLE. */
export function readIncidents(state: string, repository: string, role: RoleName): readonly Incident[] {
  const path = pathOf(state, repository, role)
  const bytes = readRecord(path, MAX_BYTES)
  if (bytes === undefined) return []
  try {
    const incidents = decodeIncidents(decodeJson(bytes, { depth: 32, what: 'record of an incident' }))
    if (incidents?.every((incident) => incident.repository === repository && incident.role === role)) return incidents
  } catch (cause) {
    if (!isTrustError(cause)) throw cause
  }
  throw new ClientError('CONFIG_MALFORMED', { path, what: 'it is no record of an incident; move it away to go on' })
}

/** Durable when it returns: what the newest says is out is about to be taken out. */
export async function writeIncidents(state: string, [newest, ...earlier]: readonly Incident[]): Promise<void> {
  if (newest === undefined) return
  const path = pathOf(state, newest.repository, newest.role)
  const file = { version: 1, ...encodeIncident(newest), earlier: earlier.map(encodeIncident) }
  await writeRecord(path, `${JSON.stringify(file, undefined, 1)}\n`)
}

export function undecided({ doubts }: Incident): readonly Doubt[] {
  return doubts.filter(({ outcome }) => outcome === undefined)
}

/**
 * Whether its keys came into force, going by those that the role has now. Where nobody saw it, and the role got others
 * since, those that joined tell it.
 */
export function isPublished(incident: Incident, keyids: readonly string[]): boolean {
  const { published, joined, stolen } = incident
  const has = (id: string) => keyids.includes(id)
  return published || isCurrent(incident, keyids) || (joined.some(has) && !stolen.some(has))
}

/** Whether the role has the very keys that it got then. */
export function isCurrent({ keys }: Incident, keyids: readonly string[]): boolean {
  return keys.toSorted().join() === keyids.toSorted().join()
}

/** A new one in front. What it took over from the one in force stays there too, for it may never come to be. */
export function withNewIncident(
  incidents: readonly Incident[],
  added: Incident,
  inForce: Incident | undefined,
): readonly Incident[] {
  const place = inForce === undefined ? incidents.length : incidents.indexOf(inForce)
  const waiting = incidents.slice(0, place).filter((other) => !isCurrent(other, added.keys))
  const isOver = inForce === undefined || isCurrent(inForce, added.keys)
  const seen = isOver ? [] : [{ ...inForce, published: true }]
  return [added, ...waiting.slice(0, MOST_WAITING), ...seen, ...incidents.slice(place + 1)]
}

/** It came into force: whatever was begun before is over, and what that left undecided was taken over. */
export function withPublished(incidents: readonly Incident[], incident: Incident, at: number): readonly Incident[] {
  const older = incidents.slice(incidents.indexOf(incident) + 1).filter(({ published }) => published)
  return [
    { ...incident, published: true, at },
    ...older.slice(0, MOST_OLD).map((each) => ({ ...each, due: false, doubts: [] })),
  ]
}

function pathOf(state: string, repository: string, role: RoleName): string {
  return join(stateFolder(state, repository), `incident-${hash('sha256', Buffer.from(role)).slice(0, 16)}`)
}

function encodeIncident({ doubts, since, ...incident }: Incident): object {
  return { ...incident, since: since ?? null, doubts: doubts.map(encodeDoubt) }
}

function encodeDoubt({ outcome, by, ...doubt }: Incident['doubts'][number]): object {
  const rest = { by: by ?? null, outcome: outcome ?? null }
  if (doubt.kind === 'order') return { ...doubt, ...rest }
  if (doubt.kind === 'delegation') return { ...doubt, now: doubt.now ?? null, before: doubt.before ?? null, ...rest }
  return { ...doubt, now: encodeMeaning(doubt.now), before: encodeMeaning(doubt.before), ...rest }
}

function encodeMeaning(meaning: Meaning | undefined): object | null {
  return meaning === undefined ? null : { ...meaning, hashes: Object.fromEntries(meaning.hashes) }
}

function decodeIncidents(json: Json): readonly Incident[] | undefined {
  const value = asObject(json)
  const earlier = member(value, 'earlier') ?? []
  if (member(value, 'version') !== 1 || !isJsonList(earlier)) return undefined
  const read = [value, ...earlier.map(asObject)].map(decodeIncident)
  const known = read.filter((incident) => incident !== undefined)
  return known.length === read.length ? known : undefined
}

function decodeIncident(value: JsonObject): Incident | undefined {
  const [repository, role, at] = [member(value, 'repository'), member(value, 'role'), member(value, 'at')]
  const since = member(value, 'since')
  const doubts = member(value, 'doubts')
  if (typeof repository !== 'string' || typeof role !== 'string') return undefined
  if (typeof at !== 'number' || (since !== null && typeof since !== 'number') || !isJsonList(doubts)) return undefined
  const read = doubts.map((doubt) => decodeDoubt(asObject(doubt)))
  const known = read.filter((doubt) => doubt !== undefined)
  const [stolen, keys] = [textsOf(member(value, 'stolen')), textsOf(member(value, 'keys'))]
  if (known.length < read.length || stolen === undefined || keys === undefined) return undefined
  const [joined, published] = [textsOf(member(value, 'joined')) ?? [], member(value, 'published') === true]
  const due = member(value, 'due') === true
  return {
    repository,
    role: roleName(role),
    at,
    since: since ?? undefined,
    stolen,
    joined,
    keys,
    published,
    due,
    doubts: known,
  }
}

function decodeDoubt(value: JsonObject): Incident['doubts'][number] | undefined {
  const [kind, name, role, at] = ['kind', 'name', 'role', 'at'].map((each) => member(value, each))
  const [by, keyids, outcome] = [member(value, 'by'), textsOf(member(value, 'keyids')), member(value, 'outcome')]
  const known = OUTCOMES.find((each) => each === outcome)
  if (typeof name !== 'string' || typeof role !== 'string' || typeof at !== 'number') return undefined
  if (keyids === undefined || (outcome !== null && known === undefined)) return undefined
  const common = { name, role: roleName(role), at, keyids, outcome: known, by: typeof by === 'string' ? by : undefined }
  const [now, before] = [member(value, 'now') ?? null, member(value, 'before') ?? null]
  if (kind === 'order') return decodeOrder(common, now, before)
  const isSigned = member(value, 'isSigned') === true
  if (kind === 'tag') return decodeTag({ ...common, isSigned }, now, before)
  return kind === 'delegation' ? decodeDelegation({ ...common, isSigned }, now, before) : undefined
}

type Common = Omit<TagDoubt & { readonly outcome: Outcome | undefined }, 'kind' | 'now' | 'before' | 'isSigned'>
type Claimed = Common & { readonly isSigned: boolean }
const OUTCOMES = ['keep', 'restore', 'drop', 'signed'] as const satisfies readonly Outcome[]

function decodeTag(common: Claimed, nowJson: Json, beforeJson: Json) {
  const [now, before] = [decodeMeaning(nowJson), decodeMeaning(beforeJson)]
  if ((now === undefined && nowJson !== null) || (before === undefined && beforeJson !== null)) return undefined
  return { ...common, kind: 'tag', now, before } as const
}

function decodeDelegation(common: Claimed, nowJson: Json, beforeJson: Json) {
  const [now, before] = [nowJson, beforeJson].map((json) => (json === null ? undefined : delegationEntry(json)))
  if ((now === undefined && nowJson !== null) || (before === undefined && beforeJson !== null)) return undefined
  return { ...common, kind: 'delegation', now, before } as const
}

function decodeOrder(common: Common, nowJson: Json, beforeJson: Json) {
  const [now, before] = [textsOf(nowJson), textsOf(beforeJson)]
  if (now === undefined || before === undefined) return undefined
  return { ...common, kind: 'order', name: common.role, now, before } as const
}

function decodeMeaning(json: Json): Meaning | undefined {
  const value = asObject(json)
  const [length, hashes, custom] = [member(value, 'length'), member(value, 'hashes'), member(value, 'custom')]
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) return undefined
  const read = new Map<string, string>()
  for (const [name, hex] of members(asObject(hashes))) {
    if (typeof hex !== 'string' || !/^(?:[0-9a-f]{2})+$/.test(hex)) return undefined
    read.set(name, hex)
  }
  return read.size === 0 ? undefined : { length, hashes: read, ...(custom === undefined ? {} : { custom }) }
}

function asObject(json: Json | undefined): JsonObject {
  return isJsonObject(json) ? json : {}
}

function textsOf(json: Json | undefined): readonly string[] | undefined {
  if (!isJsonList(json)) return undefined
  const texts = json.filter((each) => typeof each === 'string')
  return texts.length === json.length ? texts : undefined
}
