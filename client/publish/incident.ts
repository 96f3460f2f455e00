/**
 * What was left open when a stolen key was replaced: which tags and delegations nobody has decided on yet. One file for
 * each role, so that what is decided later neither rotates again nor depends on a server's memory.
 */
import { join } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import { hash } from '../../keys/digest.ts'
import { decodeJson, isJsonList, isJsonObject, isTrustError, member, members, roleName } from '../../tuf/index.ts'
import type { Json, JsonObject, RoleName } from '../../tuf/index.ts'
import { delegationEntry } from '../server-api.ts'
import { writeAtomically } from '../trust/atomic.ts'
import { ClientError } from '../trust/errors.ts'
import { stateFolder } from '../trust/repository.ts'
import type { Doubt, Meaning } from './doubts.ts'
import { readRecord, usable } from './kept-record.ts'
import type { Decision } from './sifting.ts'

/** `signed`: the tag was signed anew since, which settles it. */
export type Outcome = Decision | 'signed'

export type Incident = {
  readonly repository: string
  readonly role: RoleName
  /** When the role got its new keys; milliseconds, like `since`. */
  readonly at: number
  readonly since: number | undefined
  /** Ids of the keys that left, and of all that the role has since. */
  readonly stolen: readonly string[]
  readonly keys: readonly string[]
  readonly doubts: readonly (Doubt & { readonly outcome: Outcome | undefined })[]
}

/** Far more than the tags of any repository. */
const MAX_BYTES = 64 * 1024 * 1024

/** Throws CONFIG_MALFORMED for a file that was damaged or edited, and CONFIG_UNUSABLE. */
export function readIncident(state: string, repository: string, role: RoleName): Incident | undefined {
  const path = pathOf(state, repository, role)
  const bytes = readRecord(path, MAX_BYTES)
  if (bytes === undefined) return undefined
  try {
    const incident = decodeIncident(decodeJson(bytes, { depth: 32, what: 'record of an incident' }))
    if (incident?.repository === repository && incident.role === role) return incident
  } catch (cause) {
    if (!isTrustError(cause)) throw cause
  }
  throw new ClientError('CONFIG_MALFORMED', { path, what: 'it is no record of an incident; move it away to go on' })
}

/** Durable when it returns: what it says is out is about to be taken out. */
export async function writeIncident(state: string, incident: Incident): Promise<void> {
  const path = pathOf(state, incident.repository, incident.role)
  usable(path, () => ensureFolder(stateFolder(state, incident.repository)))
  await writeAtomically(path, Buffer.from(`${JSON.stringify(encodeIncident(incident), undefined, 1)}\n`))
}

export function undecided({ doubts }: Incident): readonly Doubt[] {
  return doubts.filter(({ outcome }) => outcome === undefined)
}

function pathOf(state: string, repository: string, role: RoleName): string {
  return join(stateFolder(state, repository), `incident-${hash('sha256', Buffer.from(role)).slice(0, 16)}`)
}

function encodeIncident({ doubts, since, ...incident }: Incident): object {
  return { version: 1, ...incident, since: since ?? null, doubts: doubts.map(encodeDoubt) }
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

function decodeIncident(json: Json): Incident | undefined {
  const value = asObject(json)
  const [repository, role, at] = [member(value, 'repository'), member(value, 'role'), member(value, 'at')]
  const since = member(value, 'since')
  const doubts = member(value, 'doubts')
  if (member(value, 'version') !== 1 || typeof repository !== 'string' || typeof role !== 'string') return undefined
  if (typeof at !== 'number' || (since !== null && typeof since !== 'number') || !isJsonList(doubts)) return undefined
  const read = doubts.map((doubt) => decodeDoubt(asObject(doubt)))
  const known = read.filter((doubt) => doubt !== undefined)
  const [stolen, keys] = [textsOf(member(value, 'stolen')), textsOf(member(value, 'keys'))]
  if (known.length < read.length || stolen === undefined || keys === undefined) return undefined
  return { repository, role: roleName(role), at, since: since ?? undefined, stolen, keys, doubts: known }
}

function decodeDoubt(value: JsonObject): Incident['doubts'][number] | undefined {
  const [kind, name, role, at] = ['kind', 'name', 'role', 'at'].map((each) => member(value, each))
  const [by, keyids, outcome] = [member(value, 'by'), textsOf(member(value, 'keyids')), member(value, 'outcome')]
  const known = OUTCOMES.find((each) => each === outcome)
  if (typeof name !== 'string' || typeof role !== 'string' || typeof at !== 'number') return undefined
  if (keyids === undefined || (outcome !== null && known === undefined)) return undefined
  const common = { name, role: roleName(role), at, keyids, outcome: known, by: typeof by === 'string' ? by : undefined }
  const [now, before] = [member(value, 'now') ?? null, member(value, 'before') ?? null]
  if (kind === 'tag') return decodeTag(common, now, before)
  if (kind === 'order') return decodeOrder(common, now, before)
  return kind === 'delegation' ? decodeDelegation(common, now, before) : undefined
}

type Common = Omit<Incident['doubts'][number], 'kind' | 'now' | 'before'>
const OUTCOMES = ['keep', 'restore', 'drop', 'signed'] as const satisfies readonly Outcome[]

function decodeTag(common: Common, nowJson: Json, beforeJson: Json) {
  const [now, before] = [decodeMeaning(nowJson), decodeMeaning(beforeJson)]
  if ((now === undefined && nowJson !== null) || (before === undefined && beforeJson !== null)) return undefined
  return { ...common, kind: 'tag', now, before } as const
}

function decodeDelegation(common: Common, nowJson: Json, beforeJson: Json) {
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
