import { keyId, roleName, ROOT } from '../../tuf/index.ts'
import type { Authority, Codec, RoleName, Targets, TopRole } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { keyringOf, openDesk } from '../publish/desk.ts'
import { rootsBefore } from '../publish/older-roots.ts'
import { publish } from '../publish/publish.ts'
import { keysInForce, planDelegatedRotation, planTopRotation, replacerOf, rolesListing } from '../publish/rotating.ts'
import type { NewKeys } from '../publish/rotating.ts'
import { suspectsIn } from '../publish/suspects.ts'
import type { Suspect } from '../publish/suspects.ts'
import { parseRepo } from '../registry/reference.ts'
import { addPin } from '../trust/pins.ts'
import { count, defineCommand, flag, list, one, text } from './declare.ts'
import { usage } from './errors.ts'
import { shortId } from './key-document.ts'
import { pinCommand } from './pin-command.ts'
import { givenDelegation } from './role-names.ts'
import { leavingKeys, newKeys } from './rotation-keys.ts'
import type { Rotation } from './rotation-keys.ts'
import { sayUnsigned } from './say-unsigned.ts'

export const rotateCommand = defineCommand({
  operands: {
    REPO: one('the image repository, without a tag'),
    ROLE: one('root, targets, snapshot, timestamp, or the name of a delegated role'),
  },
  options: {
    key: list('ID', 'a key of this machine that signs from now on, instead of a new one; may be repeated'),
    compromised: flag('somebody else has the old key: also say what to look at afterwards'),
    since: text(
      'TIME',
      'with --compromised: when it was stolen; what tags came to mean since then is not signed again',
    ),
    'root-cert': list('FILE', 'the X.509 certificate of a root key in a repository of Notary; may be repeated'),
    legacy: count('N', 'root: sign with the keys of the N roots before it too, for old clients of notary'),
    'no-passphrase': flag('keep the new key readable to whoever reads its file'),
  },
  examples: [
    'tagseal rotate registry.example.com/team/app targets --compromised',
    'tagseal rotate registry.example.com/team/app targets --compromised --since 2026-11-24T22:00Z',
    'tagseal rotate registry.example.com/team/app timestamp',
    'tagseal rotate registry.example.com/team/app root --key "root of Bob" --key "root of Carol" --key "root of Dora"',
  ],
  notes: [
    'What the leaving keys had signed is signed again in the same publish; clients follow by themselves.',
    'With --since, tags whose meaning changed since then, by the record of the server, are taken out in the same publish;',
    'TIME is a date (2026-11-24T22:00Z) or how long ago (90m, 6h, 2d).',
    'With --key and the keys that the role has, root is only renewed.',
    'In a repository of Notary, snapshot --key takes the snapshot key here, and without --key gives it to the server.',
    'Where a role has several keys, each that it shall have from now on is named with --key; the threshold stays.',
  ].join('\n'),
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const role = givenDelegation(input.one('ROLE'))
    const since = sinceOf(input.text('since'), input.flag('compromised'), role, context.clock())
    const rotation = {
      repository,
      role,
      keys: input.list('key'),
      certificates: input.list('root-cert'),
      encrypted: !input.flag('no-passphrase'),
      since,
      legacy: legacyOf(input.count('legacy'), role),
    }
    const { codec, before, after, leftOut } = await rotateRole(context, rotation)
    for (const suspect of leftOut) sayLeftOut(context, repository, suspect)
    for (const { id } of await leavingKeys(context, codec, before, after)) {
      context.terminal.note(`the old key is still on this machine: tagseal key remove ${shortId(id)} --yes`)
    }
    if (input.flag('compromised')) sayWhatToLookAt(context, repository, role)
    const keyids = after.keys.map(({ id }) => id)
    const replaced = before.keys.map(({ id }) => id).filter((id) => !keyids.includes(id))
    const stillSigning = replaced.length === 0 ? [] : await rolesStillUnder(context, repository, replaced)
    for (const name of stillSigning)
      context.terminal.warn(`the old key still signs for ${name}: tagseal rotate ${repository} ${name}`)
    const command = role === ROOT ? [await newPin(context, repository, after)] : []
    return {
      lines: [`${role} of ${repository} is signed by ${keyids.join(', ')}`, ...command],
      document: {
        repository,
        role,
        keys: keyids,
        threshold: after.threshold,
        replaced,
        stillSigning,
        removed: leftOut.map(({ at, before, ...each }) => ({
          ...each,
          at: new Date(at).toISOString(),
          before: before ?? null,
        })),
        command: command[0] ?? null,
      },
    }
  },
})

type Rotated = {
  readonly codec: Codec
  readonly before: NewKeys
  readonly after: NewKeys
  readonly leftOut: readonly Suspect[]
}

/** The new keys are there before anything is published, and found again where this was interrupted. */
async function rotateRole(context: Context, rotation: Rotation): Promise<Rotated> {
  const { repository, role } = rotation
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const before = await keysInForce(standing, repository, role)
  await refuseUnable(context, await replacerOf(standing, repository, role))
  const top = topRole(role)
  const after = await newKeys(context, standing, rotation, before)
  const alsoBy = await rootsBefore(context, standing, repository, rotation.legacy)
  const desk = await openDesk(context, repository)
  const leftOut = new Map<string, Suspect>()
  const { since } = rotation
  const leaveOut = async (file: Targets, family: ReadonlySet<RoleName>) => {
    const found = since === undefined ? [] : await suspectsIn({ server: desk.server, file, family, since })
    for (const suspect of found) leftOut.set(suspect.tag, suspect)
    return new Set(found.map(({ tag }) => tag))
  }
  const making = { clock: context.clock, leaveOut, alsoBy }
  try {
    const plan =
      top === undefined ? planDelegatedRotation(repository, role, after, making) : planTopRotation(top, after, making)
    sayUnsigned(context.terminal, (await publish(desk, plan)).unsigned)
  } finally {
    desk.close()
  }
  return { codec: standing.codec, before, after, leftOut: [...leftOut.values()] }
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
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(given) ?? []
  const dated = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(given)
  const at = count === undefined ? (dated ? Date.parse(given) : Number.NaN) : now - Number(count) * (AGO.get(unit) ?? 0)
  if (at <= now) return at
  throw usage(
    `--since ${JSON.stringify(given)} is no time in the past`,
    'write 2026-11-24T22:00Z, or 6h for six hours ago',
  )
}

function sayLeftOut({ terminal }: Context, repository: string, { tag, digest, at, before }: Suspect): void {
  const image = `${repository}:${tag}`
  terminal.warn(`taken out: ${image}, which came to mean ${digest} at ${new Date(at).toISOString()}`)
  if (before !== undefined) terminal.hint(`it meant ${before} before: tagseal sign ${image} --digest ${before}`)
}

/** Said before a key is made: one that nothing names would be left on this machine. */
async function refuseUnable(context: Context, authority: Authority): Promise<void> {
  const keyring = await keyringOf(context, [])
  keyring.refuseUnable(authority)
  keyring.close()
}

function topRole(role: RoleName): TopRole | undefined {
  return (['root', 'targets', 'snapshot', 'timestamp'] as const).find((top) => role === roleName(top))
}

/** A key that leaves one role may be listed by another: whoever stole it still has that one. */
async function rolesStillUnder(
  context: Context,
  repository: string,
  replaced: readonly string[],
): Promise<readonly RoleName[]> {
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  return await rolesListing(standing, new Set(replaced))
}

/** A pin on key ids that left the root would go on accepting what they sign from somebody who never saw this root. */
async function newPin(context: Context, repository: string, { keys, threshold }: NewKeys): Promise<string> {
  const keyids = keys.map(({ id }) => keyId(id))
  const rule = await context.pinOf(repository)
  const { server } = await context.api(repository)
  if (rule.pattern.literal && rule.pin.kind === 'keys') {
    await addPin(context.paths.trust, { ...rule, pin: { kind: 'keys', keyids, threshold } })
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
