import { keyId, ROOT, TARGETS } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { isPublishError, PublishError } from '../publish/errors.ts'
import type { Pending } from '../proposals/propose.ts'
import { impactOf, isTooFew, sightingsOf } from '../publish/impact.ts'
import type { Impact } from '../publish/impact.ts'
import { undecided } from '../publish/incident.ts'
import type { Incident } from '../publish/incident.ts'
import { leaving, rolesListing } from '../publish/rotating.ts'
import type { NewKeys } from '../publish/rotating.ts'
import type { Sighting } from '../server-api.ts'
import { parseRepo } from '../registry/reference.ts'
import { parsePattern } from '../trust/pattern.ts'
import type { Pattern } from '../trust/pattern.ts'
import { editPin } from '../trust/pins.ts'
import { untilAborted } from '../until-aborted.ts'
import type { Answer } from './declare.ts'
import { any, count, defineCommand, flag, list, one, text } from './declare.ts'
import { refuseOtherClock } from './clocks.ts'
import { decisionsOf, refuseUnknown, warnUnknown } from './decisions.ts'
import type { Decisions } from './decisions.ts'
import { CommandError, usage } from './errors.ts'
import { impactDocument, sayImpact } from './impact-words.ts'
import { decideIncident, openIncident } from './incident-log.ts'
import type { OpenIncident } from './incident-log.ts'
import { shortId } from './key-document.ts'
import { withPending } from './pending.ts'
import { pinCommand, typedServer } from './pin-command.ts'
import { givenDelegation } from './role-names.ts'
import { repinning } from './root-lost.ts'
import { rotateEverywhere } from './rotate-everywhere.ts'
import { isToLook, lookAgain } from './rotate-look.ts'
import { proposeRotation } from './rotate-propose.ts'
import { rotateRole, topRole } from './rotate-role.ts'
import type { Rotated } from './rotate-role.ts'
import { leavingKeys } from './rotation-keys.ts'
import type { Rotation } from './rotation-keys.ts'
import { inTurn } from './rotation-turn.ts'
import { doubtDocument, removedTags, sayDoubts, sayHandOver, sayUndecided } from './rotation-words.ts'

export const rotateCommand = defineCommand({
  operands: {
    REPO: one('the image repository, without a tag; with --all-with-key, a pattern of them: "**" for all'),
    ROLE: any('root, targets, snapshot, timestamp, or a delegated role; with --all-with-key it may be left out'),
  },
  options: {
    key: list('ID', 'a key of this machine that signs from now on, instead of a new one; may be repeated'),
    stolen: list('ID', 'the key of the role that somebody else has; its other keys stay; means --compromised'),
    lost: list('ID', 'the key of the role that nobody has any more; its other keys stay'),
    compromised: flag('somebody else has the old key: also say what it may have done'),
    since: text('TIME', 'with --compromised: when it was stolen; what was changed since then is not signed again'),
    keep: list('TAG', 'what changed since then, and is meant; "all" for all that nothing else names'),
    restore: list('TAG', 'what changed since then, and shall mean what it meant before'),
    drop: list('TAG', 'what changed since then, and stays out'),
    'all-with-key': text('ID', 'take this key out of every role of every repository of the pattern that lists it'),
    repositories: text('FILE', 'with --all-with-key: the names of the repositories, one a line'),
    'root-cert': list('FILE', 'the X.509 certificate of a root key in a repository of Notary; may be repeated'),
    legacy: count('N', 'root: sign with the keys of the N roots before it too, for old clients of notary'),
    'no-passphrase': flag('keep the new key readable to whoever reads its file'),
    propose: text('FILE', 'publish nothing, and write a proposal for the holders of root keys that are elsewhere'),
  },
  examples: [
    'tagseal rotate registry.example.com/team/app targets --compromised',
    'tagseal rotate registry.example.com/team/app targets --compromised --since 2026-11-24T22:00Z',
    'tagseal rotate registry.example.com/team/app targets --compromised --restore 1.4 --drop all',
    'tagseal rotate registry.example.com/team/app timestamp --compromised',
    'tagseal rotate registry.example.com/team/app root --stolen "root of Alice"',
    'tagseal rotate "registry.example.com/**" --all-with-key 9f86d081884c --since 6h --compromised',
    'tagseal rotate registry.example.com/team/app root --key "root of Bob" --key "root of Carol" --key "root of Dora"',
  ],
  notes: [
    'What the leaving keys had signed is signed again in the same publish; clients follow by themselves.',
    'With --since, tags and delegations that were changed since then, by the record of the server, wait for your decision:',
    'such a tag is out, such a delegation is as it was before. Decide in the same command or later by the same command',
    'with --keep, --restore and --drop, which then rotates nothing. A delegation is called delegation:ROLE there, the order',
    'in which the roles below ROLE are asked order:ROLE. What was before by the word of the server alone is restored once it',
    'was told, by the command given again; a delegation by its name.',
    'TIME is a date (2026-11-24T22:00Z) or how long ago (90m, 6h, 2d), which is refused where the clock of the server differs.',
    'With --compromised, timestamp and snapshot get new keys together where the server holds both.',
    'With --key and the keys that the role has, root is only renewed.',
    'In a repository of Notary, snapshot --key takes the snapshot key here, and without --key gives it to the server.',
    'With --all-with-key, the repositories are those that the server lists for an administrator and those that are pinned',
    'here by name, or those of --repositories. One new key takes the place of the old one in all of them. What is not done',
    'is named, and the same command goes on with it; with --keep, --restore or --drop it decides in all of them.',
    'Where a role has several keys, say which leaves with --stolen or --lost, or name each that it shall have with --key;',
    'the threshold stays.',
    'With --propose, "tagseal root sign FILE" and "tagseal root publish FILE" do the rest, wherever the root keys are. Then',
    'the same command without --propose looks at what was changed, and rotates nothing; so does an earlier --since.',
  ].join('\n'),
  drains: true,
  async run(context, input) {
    const [roleText, ...more] = input.many('ROLE')
    const everywhere = input.text('all-with-key')
    if (more.length > 0) throw usage('one role is rotated at a time', 'name one')
    const decisions = decisionsOf({
      keep: input.list('keep'),
      restore: input.list('restore'),
      drop: input.list('drop'),
    })
    const [stolen, lost] = [input.list('stolen'), input.list('lost')]
    const compromised = input.flag('compromised') || stolen.length > 0
    const role = roleText === undefined ? undefined : givenDelegation(roleText)
    if (decisions.given && !compromised) throw usage('--keep, --restore and --drop go with --compromised')
    const common = {
      keys: input.list('key'),
      certificates: input.list('root-cert'),
      encrypted: !input.flag('no-passphrase'),
      stolen: stolen.length,
      compromised,
      since: sinceOf(input.text('since'), compromised, role ?? TARGETS, context.clock()),
      ago: agoOf(input.text('since')),
      legacy: legacyOf(input.count('legacy'), role ?? TARGETS),
      decide: decisions.decide,
    }
    const [names, proposal] = [input.text('repositories'), input.text('propose')]
    if (everywhere !== undefined) {
      if (proposal !== undefined)
        throw usage('--all-with-key and --propose exclude each other', 'propose one at a time')
      if (stolen.length + lost.length > 0)
        throw usage('--all-with-key names the key that leaves', 'leave the other out')
      const pattern = typedPattern(input.one('REPO'))
      return await rotateEverywhere(context, { pattern, role, gone: everywhere, names, rotation: common, decisions })
    }
    if (names !== undefined) throw usage('--repositories goes with --all-with-key')
    const { name: repository } = parseRepo(input.one('REPO'))
    if (role === undefined) throw usage('no role is named', `tagseal rotate ${repository} targets`)
    const rotation = { ...common, repository, role, gone: [...stolen, ...lost] }
    if (proposal !== undefined && decisions.given)
      throw usage('--propose decides nothing', 'decide once it is published, by the same command without --propose')
    const work = async () => {
      if (rotation.ago !== undefined) await refuseOtherClock(context, await context.api(repository), rotation.ago)
      if (proposal !== undefined) return await proposeRotation(context, rotation, proposal)
      return await rotateHere(context, rotation, decisions)
    }
    return await untilAborted(inTurn(context, repository, work), context.signal)
  },
})

async function rotateHere(context: Context, rotation: Rotation, decisions: Decisions): Promise<Answer> {
  const { repository, role, compromised } = rotation
  const known = compromised ? await openIncident(context, repository, role) : undefined
  if (await isToLook(context, rotation, known)) return await rotate(context, rotation, decisions, lookAgain)
  const open = waiting(rotation, decisions, known)
  if (open !== undefined) return await decide(context, open, decisions, rotation.since)
  if (decisions.given && rotation.since === undefined)
    throw usage(`nothing of ${role} waits for a decision`, 'say since when its key was stolen: --since TIME')
  try {
    return await rotate(context, rotation, decisions)
  } catch (error) {
    if (!isPublishError(error) || error.code !== 'NO_SIGNING_KEY') throw error
    if (topRole(role) === undefined)
      throw new PublishError(error.code, { ...error.detail, repository, replacing: role })
    if (role === TARGETS && compromised)
      throw new PublishError(error.code, { ...error.detail, proposing: proposingTo(rotation) })
    if (role !== ROOT || !compromised) throw error
    return await lostRoot(context, repository, { stolen: error.detail.need, threshold: error.detail.need }, undefined)
  }
}

/** With what was said of the theft: whoever proposes without looks at nothing afterwards. */
function proposingTo({ repository, since }: Rotation): string {
  const time = since === undefined ? '' : ` --since ${new Date(since).toISOString()}`
  return `tagseal rotate ${repository} targets --compromised${time} --propose FILE`
}

function typedPattern(text: string): Pattern {
  const pattern = parsePattern(text)
  if (pattern !== undefined) return pattern
  throw usage(
    `${JSON.stringify(text)} is no pattern of repositories`,
    'write registry.example.com/team/*, or "**" for all',
  )
}

/**
 * The incident that this run is to settle instead of rotating again: one that was dealt with, and left something open or
 * is decided on now. Whoever names a stolen key, or keys to have, means another one.
 */
function waiting(
  { keys, gone, since }: Rotation,
  decisions: Decisions,
  open: OpenIncident | undefined,
): Incident | undefined {
  if (open === undefined || keys.length > 0 || gone.length > 0) return undefined
  const { incident, isCurrent } = open
  const isOpen = undecided(incident).length > 0
  // The keys of today may be others, and these may have leaked as well: then what is open is taken along.
  const isMeant = isCurrent ? decisions.given || isOpen : decisions.given && isOpen && since === undefined
  return isMeant ? incident : undefined
}

async function decide(
  context: Context,
  incident: Incident,
  decisions: Decisions,
  since: number | undefined,
): Promise<Answer> {
  const { terminal } = context
  const { repository, role, at } = incident
  if (since !== undefined && incident.since !== undefined && since > incident.since)
    terminal.warn(`this goes on as it began: with --since ${new Date(incident.since).toISOString()}`)
  refuseUnknown(decisions, incident.doubts)
  warnUnknown(terminal, decisions, undecided(incident))
  const { after, pending } = decisions.given
    ? await decideIncident(context, incident, decisions)
    : { after: incident, pending: undefined }
  terminal.warn(
    `${role} of ${repository} got its keys at ${new Date(at).toISOString()} already, and none now; if one of these leaked as well, name it with --stolen`,
  )
  if (pending === undefined) sayUndecided(terminal, after)
  const stillSigning = decisions.given ? await sayStillSigning(context, repository, incident.stolen) : []
  const [open, was] = [undecided(after).length, undecided(incident).length]
  const answer = {
    lines: [`${role} of ${repository}: ${was - open} decided, ${open} undecided`],
    document: {
      repository,
      role,
      keys: incident.keys,
      rotated: false,
      stillSigning,
      undecided: open,
      changed: after.doubts.map(doubtDocument),
    },
  }
  if (pending === undefined) return answer
  terminal.note('nothing counts as decided until the others signed it; then give the same command again')
  return withPending(context, false, [{ repository, pending }], answer)
}

/** `work` may also keep the keys, and look at what was changed. */
async function rotate(context: Context, rotation: Rotation, decisions: Decisions, work = rotateRole): Promise<Answer> {
  const { repository, role, compromised } = rotation
  const { terminal } = context
  const rotated = await work(context, rotation)
  const isLook = work === lookAgain
  const { before, after, incident } = rotated
  if (incident !== undefined) {
    warnUnknown(terminal, decisions, incident.doubts)
    if (rotated.pending === undefined) sayUndecided(terminal, incident)
  }
  if (rotated.pending !== undefined) return waitsForOthers(context, rotation, rotated.pending, rotated)
  const seen = compromised ? await sightingsOf(await context.api(repository)) : undefined
  await sayLeaving(context, rotated)
  const holdsTags = topRole(role) === undefined || role === TARGETS
  if (compromised && !isLook && rotation.since === undefined && holdsTags) sayWhatToLookAt(context, repository, role)
  const replaced = leaving(before, after).map(({ id }) => id)
  const stillSigning = await sayStillSigning(context, repository, isLook ? (incident?.stolen ?? []) : replaced)
  const since = isLook ? incident?.since : rotation.since
  const counts =
    role === ROOT ? { stolen: stolenCount(rotation, before, after), threshold: before.threshold } : undefined
  const impact = compromised ? await impactOn(context, { repository, since }, rotated, seen, counts) : undefined
  if (impact !== undefined) sayImpact(terminal, impact, incident)
  if (compromised && topRole(role) === undefined && rotation.keys.length === 0)
    sayHandOver(terminal, leaving(after, before))
  const keyids = after.keys.map(({ id }) => id)
  const command = role === ROOT ? [await newPin(context, repository, after)] : []
  if (compromised && counts !== undefined && !isTooFew(counts)) {
    return await lostRoot(context, repository, counts, after, impact)
  }
  const told = isLook ? 'was looked at, and stays' : 'is'
  return {
    lines: [`${rotated.roles.join(' and ')} of ${repository} ${told} signed by ${keyids.join(', ')}`, ...command],
    document: {
      repository,
      role,
      roles: rotated.roles,
      keys: keyids,
      threshold: after.threshold,
      rotated: !isLook,
      replaced,
      stillSigning,
      removed: incident === undefined ? [] : removedTags(incident),
      undecided: incident === undefined ? 0 : undecided(incident).length,
      changed: incident?.doubts.map(doubtDocument) ?? [],
      ...(impact === undefined ? {} : { impact: impactDocument(impact) }),
      command: command[0] ?? null,
    },
  }
}

/** What is decided now is in what the others are shown; the rest is decided once they signed. */
function waitsForOthers(
  context: Context,
  { repository, role }: Rotation,
  pending: Pending,
  { after, incident }: Rotated,
): Answer {
  if (incident !== undefined) sayDoubts(context.terminal, incident)
  const document = {
    repository,
    role,
    keys: after.keys.map(({ id }) => id),
    threshold: after.threshold,
    rotated: false,
    removed: incident === undefined ? [] : removedTags(incident),
    undecided: incident === undefined ? 0 : undecided(incident).length,
    changed: incident?.doubts.map(doubtDocument) ?? [],
  }
  return withPending(context, false, [{ repository, pending }], { lines: [], document })
}

/** Whoever does not say which of the keys were stolen has to reckon with all that leave. */
function stolenCount({ gone, stolen }: Rotation, before: NewKeys, after: NewKeys): number {
  if (stolen > 0) return stolen
  return gone.length > 0 ? gone.length : leaving(before, after).length
}

async function lostRoot(
  context: Context,
  repository: string,
  counts: { readonly stolen: number; readonly threshold: number },
  after: NewKeys | undefined,
  impact?: Impact,
): Promise<Answer> {
  const place = await context.serverOf(repository)
  const { server } = place
  const now = after && { keyids: after.keys.map(({ id }) => id), threshold: after.threshold }
  const steps = repinning({ repository, server, typed: typedServer(context.settings, place), now })
  const failure = failureOf(new CommandError('ROOT_LOST', { repository, ...counts }))
  if (!context.settings.json) tellFailure(context.terminal, failure)
  const document = {
    repository,
    role: 'root',
    rotated: now !== undefined,
    keys: now?.keyids ?? [],
    steps,
    ...(impact === undefined ? {} : { impact: impactDocument(impact) }),
  }
  return { lines: steps, document: { ...document, error: failureDocument(failure) }, exit: 1 }
}

async function impactOn(
  context: Context,
  { repository, since }: Pick<Rotation, 'repository' | 'since'>,
  { standing: before, roles }: Pick<Rotated, 'standing' | 'roles'>,
  seen: readonly Sighting[] | undefined,
  root: Impact['root'],
): Promise<Impact> {
  const after = await (await context.repository(repository)).refreshToPublish(context.signal)
  return await impactOf({ roles, before, after, seen, since, root, now: context.clock() })
}

async function sayLeaving(context: Context, rotated: Rotated): Promise<void> {
  const { codec, before, after } = rotated
  for (const { id } of await leavingKeys(context, codec, before, after)) {
    context.terminal.note(`the old key is still on this machine: tagseal key remove ${shortId(id)} --yes`)
  }
}

function legacyOf(given: number | undefined, role: RoleName): number {
  if (given !== undefined && role !== ROOT) throw usage('--legacy goes with root', 'leave it out')
  return given ?? 0
}

const AGO = new Map([
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/** When a key was stolen, as a date with its zone or as how long ago. */
function sinceOf(given: string | undefined, compromised: boolean, role: RoleName, now: number): number | undefined {
  if (given === undefined) return undefined
  if (!compromised) throw usage('--since goes with --compromised')
  if (topRole(role) !== undefined && topRole(role) !== 'targets')
    throw usage(`${role} holds no tags`, 'leave --since out')
  const ago = agoOf(given)
  const dated = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(given)
  const at = ago === undefined ? (dated ? Date.parse(given) : Number.NaN) : now - ago
  if (at <= now) return at
  throw usage(
    `--since ${JSON.stringify(given)} is no time in the past`,
    'write 2026-11-24T22:00Z, or 6h for six hours ago',
  )
}

/** In milliseconds; undefined for what is no such time. */
function agoOf(given: string | undefined): number | undefined {
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(given ?? '') ?? []
  return count === undefined ? undefined : Number(count) * (AGO.get(unit) ?? 0)
}

/** A key that leaves one role may be listed by another: whoever stole it still has that one. */
async function sayStillSigning(
  context: Context,
  repository: string,
  replaced: readonly string[],
): Promise<readonly RoleName[]> {
  if (replaced.length === 0) return []
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const roles = await rolesListing(standing, new Set(replaced))
  for (const name of roles)
    context.terminal.warn(`the old key still signs for ${name}: tagseal rotate ${repository} ${name}`)
  return roles
}

/** A pin on key ids that left the root would go on accepting what they sign from somebody who never saw this root. */
async function newPin(context: Context, repository: string, { keys, threshold }: NewKeys): Promise<string> {
  const keyids = keys.map(({ id }) => keyId(id))
  const rule = await context.pinOf(repository)
  const server = typedServer(context.settings, await context.serverOf(repository))
  if (rule.pattern.literal && rule.pin.kind === 'keys') {
    const pin = { kind: 'keys', keyids, threshold } as const
    await editPin(context.paths.trust, rule.pattern.text, (kept) => ({ ...kept, pin }))
  }
  context.terminal.note('whoever pins the root keys by their ids should pin the new ones')
  return pinCommand(repository, keyids, threshold, server)
}

function sayWhatToLookAt({ terminal }: Context, repository: string, role: RoleName): void {
  terminal.note(
    `what the old key signed by itself counts no more; what it put in before is signed again, so look at it:`,
  )
  terminal.note(
    `tagseal list ${repository}; tagseal history ${repository}:TAG; then tagseal revoke ${repository}:TAG, or tagseal sign ${repository}:TAG --digest DIGEST for what it meant before`,
  )
  // A delegation that a thief made would outlive the stolen key.
  terminal.note(`tagseal delegation list ${repository}; tagseal delegation remove what ${role} did not mean`)
}
