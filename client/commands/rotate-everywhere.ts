/** One key leaves every repository that lists it. */
import { readPublicKey } from '../../keys/public-key.ts'
import type { SigningKeystore } from '../../keys/signers/keystore.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Algorithm } from '../../keys/signer.ts'
import { ROOT, SNAPSHOT, TIMESTAMP } from '../../tuf/index.ts'
import type { PublicKey, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { ExitCode, Failure } from '../exit.ts'
import { readUserFile } from '../files.ts'
import { campaignId, dropCampaign, readCampaign, writeCampaign } from '../publish/campaign.ts'
import type { Campaign } from '../publish/campaign.ts'
import { isPublishError, PublishError } from '../publish/errors.ts'
import { undecided } from '../publish/incident.ts'
import { keystoreIdOf } from '../publish/keyring.ts'
import { allRoles } from '../publish/standing.ts'
import type { Standing } from '../publish/standing.ts'
import { listRepositories } from '../repository-list.ts'
import type { Pattern } from '../trust/pattern.ts'
import { loadPins } from '../trust/pins.ts'
import { untilAborted } from '../until-aborted.ts'
import type { Decisions } from './decisions.ts'
import type { Answer } from './declare.ts'
import { CommandError, usage } from './errors.ts'
import { decideIncident, openIncident } from './incident-log.ts'
import { rotateRole } from './rotate-role.ts'
import type { Rotation } from './rotation-keys.ts'

export type Everywhere = {
  readonly pattern: Pattern
  /** undefined: whichever roles list the key. */
  readonly role: RoleName | undefined
  /** The key that leaves: an id or its beginning, or a name of a key that is here. */
  readonly gone: string
  /** A file with names of repositories, instead of what the server and the pins know. */
  readonly names: string | undefined
  readonly rotation: Omit<Rotation, 'repository' | 'role' | 'gone'>
  readonly decisions: Decisions
}

const AT_ONCE = 8
/** What is done is written down this often, in milliseconds: losing a little of it costs a second look. */
const NOTED_MS = 1000
const MAX_NAMES = 32 * 1024 * 1024
/** A key leaves the roles of a repository one after the other. */
const MOST_ROLES = 64

type Done = {
  readonly repository: string
  readonly roles: readonly RoleName[]
  /** How much waits for a decision, where anything does. */
  readonly open: ReadonlyMap<RoleName, number>
}
type Undone = { readonly repository: string; readonly failure: Failure }

/** Interrupted at any point and run again, it ends the same. */
export async function rotateEverywhere(context: Context, wish: Everywhere): Promise<Answer> {
  const shared = withOpenKeys(context)
  try {
    await refuseUnknown(shared.context, wish.gone)
    const names = await untilAborted(namesOf(context, wish), context.signal)
    if (names.length === 0) throw usage(`no repository matches ${wish.pattern.text}`)
    const campaign = await begin(shared.context, wish)
    const { done, undone } = await work(shared.context, wish, campaign, names)
    return await told(context, wish, { campaign: campaign(), names, done, undone })
  } finally {
    shared.close()
  }
}

/** "Listed nowhere" is what everybody hopes to read, so a name that could be in no list must not lead to it. */
async function refuseUnknown(context: Context, gone: string): Promise<void> {
  if (/^[0-9a-f]{8,128}$/.test(gone) || (await idsNamed(context, gone)).size > 0) return
  throw usage(
    `${JSON.stringify(gone)} is no key of this machine, and not the first 8 digits of an id or more`,
    'tagseal status REPO shows the keys of every role; tagseal key list those that are here',
  )
}

async function idsNamed(context: Context, gone: string): Promise<ReadonlySet<string>> {
  const named = await (await context.keystore()).index()
  return new Set(named.filter(({ name }) => name === gone).map(({ id }) => id))
}

/** A file's, or those that are pinned here by name and those that the server lists. */
async function namesOf(context: Context, { names, pattern }: Everywhere): Promise<readonly string[]> {
  const all = names === undefined ? await knownNames(context) : await namesInFile(names)
  return [...new Set(all)].filter((name) => pattern.matches(name)).toSorted()
}

async function namesInFile(path: string): Promise<readonly string[]> {
  const text = Buffer.from(await readUserFile(path, MAX_NAMES)).toString('utf8')
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

async function knownNames(context: Context): Promise<readonly string[]> {
  const pins = await loadPins(context.paths.trust)
  const pinned = pins.filter(({ pattern }) => pattern.literal).map(({ pattern }) => pattern.text)
  const { server } = context.settings
  const servers = server === undefined ? new Set(pins.flatMap((pin) => pin.server ?? [])) : new Set([server])
  const lists = await Promise.all([...servers].map(async (each) => await listedOn(context, each, pinned.length > 0)))
  return [...pinned, ...lists.flat()]
}

/** Only an administrator is shown the list; whoever is not names the repositories, or pins them. */
async function listedOn(context: Context, server: string, others: boolean): Promise<readonly string[]> {
  const { signal } = context
  try {
    return await listRepositories({ http: await context.http(), server, token: await context.token(), signal })
  } catch (error) {
    if (!others || !isPublishError(error)) throw error
    context.terminal.warn(
      `${server} does not list its repositories (${error.code}): only those are looked at that are pinned here by name; --repositories FILE names others`,
    )
    return []
  }
}

/** The record, and the key that takes the place of the leaving one once a repository turns out to list it. */
type Running = {
  (): Campaign | undefined
  readonly keyFor: (listed: PublicKey) => Promise<string>
  readonly finished: (repository: string) => Promise<void>
  readonly save: () => Promise<void>
}

async function begin(context: Context, wish: Everywhere): Promise<Running> {
  const { state } = context.paths
  const id = campaignId(wish.gone, wish.role ?? '')
  let campaign = readCampaign(state, id)
  let making: Promise<string> | undefined
  let saved = context.monotonic()
  goOnAsItBegan(context, wish, campaign)
  const save = async () => {
    if (campaign !== undefined) await writeCampaign(state, campaign)
  }
  const make = async (listed: PublicKey) => {
    const key = campaign?.key ?? (await replacement(context, wish, readPublicKey(listed).algorithm))
    campaign ??= { id, gone: wish.gone, key, since: wish.rotation.since, done: new Set() }
    await save()
    return key
  }
  return Object.assign(() => campaign, {
    keyFor: async (listed: PublicKey) => await (making ??= make(listed)),
    async finished(repository: string) {
      if (campaign === undefined) return
      campaign = { ...campaign, done: new Set(campaign.done).add(repository) }
      if (context.monotonic() - saved < NOTED_MS) return
      saved = context.monotonic()
      await save()
    },
    save,
  })
}

/**
 * All repositories are judged alike, so what was said first counts until all are done. "6h" is later with every run, which
 * does no harm; an earlier time means that what is done was not looked at from there. Throws USAGE.
 */
function goOnAsItBegan(
  { terminal }: Context,
  { pattern, rotation: { since } }: Everywhere,
  campaign: Campaign | undefined,
): void {
  if (campaign === undefined || since === undefined || since === campaign.since) return
  const began =
    campaign.since === undefined ? 'without --since' : `with --since ${new Date(campaign.since).toISOString()}`
  if (campaign.since !== undefined && since > campaign.since) {
    terminal.warn(`this goes on as it began: ${began}`)
    return
  }
  throw usage(
    `this began ${began}, and some repositories are done`,
    `leave --since out to go on; then look at all of them from ${new Date(since).toISOString()} on: ${againFrom(pattern.text, campaign.key, since)}`,
  )
}

/** What took the place of a key leaves like any other, and what was changed since that time is looked at once more. */
function againFrom(pattern: string, key: string, since: number): string {
  return `tagseal rotate '${pattern}' --all-with-key ${key.slice(0, 16)} --compromised --since ${new Date(since).toISOString()}`
}

function nameOf(gone: string): string {
  return `instead of ${gone}`.slice(0, 120)
}

/** One for all of them; found again by its name where this was interrupted before it was written down. */
async function replacement(context: Context, { gone, rotation }: Everywhere, algorithm: Algorithm): Promise<string> {
  const keystore = await context.keystore()
  const [named, ...more] = rotation.keys
  if (more.length > 0) throw usage('--all-with-key puts one key in the place of the other', 'name one with --key')
  if (named !== undefined) return (await keystore.find(named)).id
  const name = nameOf(gone)
  const made = (await keystore.list()).find((key) => key.name === name)
  return (made ?? (await keystore.generate({ algorithm, name, encrypted: rotation.encrypted }))).id
}

async function work(context: Context, wish: Everywhere, running: Running, names: readonly string[]) {
  const { signal, terminal } = context
  const before = (wish.decisions.given ? undefined : running()?.done) ?? new Set<string>() // those may wait for a decision
  const waiting = names.filter((name) => !before.has(name))
  const done: Done[] = names
    .filter((name) => before.has(name))
    .map((repository) => ({ repository, roles: [], open: new Map() }))
  const undone: Undone[] = []
  const next = async () => {
    for (let name = waiting.shift(); name !== undefined && !signal.aborted; name = waiting.shift()) {
      try {
        done.push(await leave(context, wish, running, name))
        await running.finished(name)
      } catch (error) {
        undone.push({
          repository: name,
          failure: failureOf(signal.aborted ? new CommandError('INTERRUPTED', {}) : error),
        })
      }
      terminal.progress(`${done.length} of ${names.length} repositories done, ${undone.length} not`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
  await running.save()
  const seen = new Set([...done, ...undone].map(({ repository }) => repository))
  const interrupted = failureOf(new CommandError('INTERRUPTED', {}))
  for (const repository of names.filter((name) => !seen.has(name))) undone.push({ repository, failure: interrupted })
  const byName = (a: Done | Undone, b: Done | Undone) => (a.repository < b.repository ? -1 : 1)
  return { done: done.toSorted(byName), undone: undone.toSorted(byName) }
}

/** Role by role, each on top of what the one before it left. */
async function leave(context: Context, wish: Everywhere, running: Running, repository: string): Promise<Done> {
  const roles: RoleName[] = []
  const open = new Map<RoleName, number>()
  for (let round = 0; round < MOST_ROLES; round++) {
    const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
    if (round === 0)
      for (const [role, count] of await leftOpen(context, wish, repository, standing)) open.set(role, count)
    const listing = (await rolesWith(context, standing, wish)).find(({ role }) => !roles.includes(role))
    if (listing === undefined) break
    refuseOther(repository, listing.role)
    const key = await running.keyFor(listing.key)
    const { incident, pending } = await rotateRole(context, {
      ...wish.rotation,
      repository,
      role: listing.role,
      keys: [key],
      gone: [listing.key.id],
      since: running()?.since,
    })
    if (pending !== undefined)
      throw new PublishError('APPROVAL_PENDING', { repository, proposal: pending.id, roles: pending.roles })
    if (incident !== undefined) open.set(listing.role, undecided(incident).length)
    roles.push(listing.role)
  }
  return { repository, roles, open: new Map([...open].filter(([, count]) => count > 0)) }
}

/** What an earlier run left undecided where the key is gone by now, after what is decided in this one. */
async function leftOpen(
  context: Context,
  { gone, role, decisions }: Everywhere,
  repository: string,
  standing: Standing,
): Promise<ReadonlyMap<RoleName, number>> {
  const ids = await idsNamed(context, gone)
  const left = new Map<RoleName, number>()
  for (const { name } of await allRoles(standing)) {
    const isAsked = role === undefined || role === name
    const incident = isAsked ? (await openIncident(context, repository, name))?.incident : undefined
    if (incident?.stolen.some((id) => ids.has(id) || id.startsWith(gone)) !== true) continue
    const isDecided = decisions.given && undecided(incident).length > 0
    left.set(name, undecided(isDecided ? (await decideIncident(context, incident, decisions)).after : incident).length)
  }
  return left
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

type Outcome = {
  readonly campaign: Campaign | undefined
  readonly names: readonly string[]
  readonly done: readonly Done[]
  readonly undone: readonly Undone[]
}

async function told(context: Context, wish: Everywhere, { campaign, names, done, undone }: Outcome): Promise<Answer> {
  const rotated = done.filter(({ roles }) => roles.length > 0)
  if (undone.length === 0 && campaign !== undefined) dropCampaign(context.paths.state, campaign.id)
  const open = done.flatMap(({ repository, open: roles }) =>
    [...roles].map(([role, count]) => ({ repository, role, undecided: count })),
  )
  for (const { repository, role, undecided: count } of open.slice(0, 20)) {
    context.terminal.warn(`${repository}: ${count} undecided: tagseal rotate ${repository} ${role} --compromised`)
  }
  if (open.length > 20) context.terminal.warn(`and ${open.length - 20} more with undecided changes`)
  const key = campaign === undefined ? '' : ` with ${campaign.key} in its place`
  const lines = undone.map(({ repository, failure }) => `not done: ${repository}: ${failure.message} (${failure.code})`)
  const failure = undone.length === 0 ? undefined : failureOf(leftUndone(wish, names, undone))
  const document = {
    key: wish.gone,
    newKey: campaign?.key ?? null,
    repositories: names.length,
    rotated: rotated.map(({ repository, roles, open: left }) => ({ repository, roles, undecided: sumOf(left) })),
    undecided: open,
    notDone: undone.map(({ repository, failure: { code, message, hint } }) => {
      return { repository, code, message, hint: hint ?? null }
    }),
  }
  if (failure === undefined) {
    if (campaign === undefined) await sayNothingLeft(context, wish, open.length > 0)
    return { lines: [`${wish.gone} is listed in none of ${names.length} repositories${key}`], document }
  }
  if (!context.settings.json) {
    context.terminal.error(`${failure.message} (${failure.code})`)
    if (failure.hint !== undefined) context.terminal.hint(failure.hint)
  }
  const { code, message, detail, hint } = failure
  return {
    lines: [`${names.length - undone.length} of ${names.length} repositories are done${key}`, ...lines],
    document: { ...document, error: { code, message, hint: hint ?? null, detail } },
    exit: exitOf(undone),
  }
}

async function sayNothingLeft(
  context: Context,
  { gone, pattern, rotation: { since } }: Everywhere,
  isKnown: boolean,
): Promise<void> {
  if (!isKnown) context.terminal.warn(`no repository had ${gone} to give up; if it was to leave one, look at its id`)
  const [key] = await idsNamed(context, nameOf(gone))
  if (key === undefined || since === undefined) return
  context.terminal.hint(`if it left with another time: ${againFrom(pattern.text, key, since)}`)
}

function sumOf(counts: ReadonlyMap<RoleName, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}

function leftUndone({ gone }: Everywhere, names: readonly string[], undone: readonly Undone[]): CommandError {
  const [next, ...others] = new Set(undone.map(({ failure: { hint } }) => hint))
  return new CommandError('LEFT_UNDONE', {
    key: gone,
    undone: undone.length,
    repositories: names.length,
    passes: exitOf(undone) === 3,
    ...(next === undefined || others.length > 0 ? {} : { next }),
  })
}

/** What may go away by itself, unless something else stands in the way. */
function exitOf(undone: readonly Undone[]): ExitCode {
  return undone.every(({ failure }) => failure.exit === 3) ? 3 : 1
}

/** The same, with each private key opened once for all repositories: a passphrase takes its time. */
function withOpenKeys(context: Context): { readonly context: Context; readonly close: () => void } {
  const signers = new Map<string, Promise<Signer>>()
  let keystore: Promise<SigningKeystore> | undefined
  const open = async (): Promise<SigningKeystore> => {
    const own = await context.keystore()
    return {
      ...own,
      async open(wanted) {
        const opened = signers.get(wanted) ?? own.open(wanted)
        signers.set(wanted, opened)
        const signer = await opened
        return { public: signer.public, sign: signer.sign.bind(signer), close: () => undefined }
      },
    }
  }
  return {
    context: { ...context, keystore: async () => await (keystore ??= open()) },
    close() {
      for (const signer of signers.values()) signer.then((opened) => opened.close()).catch(() => undefined) // it failed where it was used
    },
  }
}
