/** A proposal as people and programs are told of it. */
import { isChanged, renamingsOf, roleChangesOf } from '../ceremony/changes.ts'
import type { NamedKey, RoleChange } from '../ceremony/changes.ts'
import type { Opened } from '../ceremony/opened.ts'
import { followedBy } from '../ceremony/opened.ts'
import { outlookOf } from '../ceremony/outlook.ts'
import type { Outlook } from '../ceremony/outlook.ts'
import { placeOnServer } from '../ceremony/place.ts'
import type { ServerPlace } from '../ceremony/place.ts'
import { callOf, isMet, tallyOf } from '../ceremony/signatures.ts'
import type { Tally } from '../ceremony/signatures.ts'
import { openSource } from '../ceremony/source.ts'
import { vouchFor } from '../ceremony/vouch.ts'
import type { Vouching } from '../ceremony/vouch.ts'
import { wordsOf } from '../ceremony/words.ts'
import type { Context } from '../context.ts'
import { HttpError } from '../http-errors.ts'
import { inDays } from '../publish/expiry.ts'
import { isClientError } from '../trust/errors.ts'
import type { TrustServer } from '../trust/server-ca.ts'
import { CommandError } from './errors.ts'
import { typedServer } from './pin-command.ts'

export type Report = {
  readonly lines: readonly string[]
  /** What a person must see, whatever else is passed over. */
  readonly warnings: readonly string[]
  /** By the server's word; false where it was not asked. */
  readonly published: boolean
  readonly document: object
}

/** Everything that can be said of a proposal from here. Throws CeremonyError where this machine or the server knows better. */
export async function reportOn(context: Context, opened: Opened, offline: boolean): Promise<Report> {
  const vouching = await vouchFor(opened, context)
  const server = await serverIfNamed(context, opened.proposal.repository)
  const place = await placeOf(context, opened, offline)
  const outlook = outlookOf(
    opened,
    server === undefined ? 'URL' : typedServer(context.settings, server),
    context.clock(),
  )
  const tallies = tallyOf(opened)
  const warnings = [
    ...outlook.warnings,
    ...vouchingWarnings(opened, vouching, place !== undefined),
    ...placeWarnings(opened, place),
  ]
  return {
    lines: [
      `proposal ${opened.fingerprint}`,
      ...wordsOf(opened, ({ expires, expiresText }) => `${expiresText} (${inDays({ expires }, context.clock())})`),
      ...outlook.effects,
      ...tallies.map((tally) => tallyLine(opened, tally)),
      ...vouchingLines(opened, vouching),
      ...placeLines(place),
    ],
    warnings,
    published: place?.kind === 'published',
    document: {
      ...documentOf(opened, { ...outlook, warnings }),
      machine: { ...vouching, vouches: vouchesForBase(opened, vouching) },
      server: place ?? null,
    },
  }
}

/** Named for this run, or kept with the pin; undefined where nothing names one. */
async function serverIfNamed(context: Context, repository: string): Promise<TrustServer | undefined> {
  try {
    return await context.serverOf(repository)
  } catch (error) {
    if (error instanceof CommandError && error.code === 'NO_SERVER') return undefined
    throw error
  }
}

/** undefined where no server is asked, or none answers. Throws CeremonyError where it knows better. */
export async function placeOf(context: Context, opened: Opened, offline: boolean): Promise<ServerPlace | undefined> {
  if (offline || (await serverIfNamed(context, opened.proposal.repository)) === undefined) return undefined
  return await askServer(context, opened)
}

/** undefined where the server cannot be reached: on a machine without a network that is no fault. */
async function askServer(context: Context, opened: Opened): Promise<ServerPlace | undefined> {
  try {
    return await placeOnServer(opened, await openSource(context, opened.proposal.repository), context.signal)
  } catch (error) {
    const isAway = error instanceof HttpError || (isClientError(error) && AWAY.has(error.code))
    if (!isAway || context.signal.aborted) throw error
    return undefined
  }
}

const AWAY: ReadonlySet<string> = new Set(['NETWORK', 'TIMEOUT', 'SERVER_ERROR', 'UNAUTHORIZED', 'BAD_ANSWER'])

export function tallyLine(opened: Opened, tally: Tally): string {
  const { file, by, need, signed, missing } = tally
  const called = (ids: readonly string[]) => ids.map((id) => callOf(opened, id)).join(', ')
  const have = signed.length === 0 ? '' : `: ${called(signed)}`
  const open = isMet(tally) ? '' : `; needs ${need - signed.length} more, from: ${called(missing)}`
  return `${file} has ${signed.length} of ${need} signatures by the keys of ${by}${have}${open}`
}

/** Whether this machine knows the root that is followed, or the new one, by itself: not by signatures that came with the file. */
function vouchesForBase(opened: Opened, vouching: Vouching): boolean {
  const base = followedBy(opened)?.root.version ?? opened.root.signed.body.version
  return vouching.kind !== 'nothing' && vouching.version >= base
}

function vouchingLines(opened: Opened, vouching: Vouching): readonly string[] {
  if (vouching.kind === 'nothing') return []
  const { version } = vouching
  const base = followedBy(opened)?.root.version
  const known = knownText(vouching)
  if (base === undefined) return [`this machine vouches for root ${version}, by which it is founded: ${known}`]
  if (version > base) return [`this machine vouches for root ${version}, which is proposed: ${known}`]
  if (version === base) return [`this machine vouches for root ${base}, which is followed: ${known}`]
  return [
    `this machine vouches for root ${version} (${known}), and holders of root keys for each one up to root ${base}`,
  ]
}

function knownText({ kind }: Exclude<Vouching, { readonly kind: 'nothing' }>): string {
  return kind === 'seen' ? 'it trusts it already' : 'its pin speaks for it'
}

function vouchingWarnings(opened: Opened, vouching: Vouching, compared: boolean): readonly string[] {
  const { repository } = opened.proposal
  const base = followedBy(opened)?.root.version
  if (vouching.kind !== 'nothing') {
    if (compared || vouchesForBase(opened, vouching)) return []
    return [`this machine has never seen root ${base}, which is followed, and the server was not asked: ${COMPARE}`]
  }
  const why = vouching.pinned
    ? `the pin of this machine for ${repository} knows none of the roots in the file`
    : `nothing on this machine says whose ${repository} is`
  if (base === undefined) {
    return [`${why}: compare each key that it names with what its holders say, by another way than the file came`]
  }
  return [`this machine does NOT vouch for root ${base}, which is followed: ${why}; ${COMPARE}`]
}

/** The fingerprint is over the root that is followed as well. */
const COMPARE = 'compare the fingerprint with a holder whose machine vouches for it, by another way than the file came'

function placeLines(place: ServerPlace | undefined): readonly string[] {
  if (place === undefined) return []
  return [place.kind === 'published' ? 'the server: it is published already' : 'the server: it fits what is published']
}

function placeWarnings({ proposal }: Opened, place: ServerPlace | undefined): readonly string[] {
  if (place === undefined) {
    return ['it could NOT be compared with the server: another root may be published there by now']
  }
  const { repository } = proposal
  return place.stale.map(
    (role) => `${role} was published since: tagseal root propose ${repository} --refresh FILE before it is published`,
  )
}

/** For `--json`. */
function documentOf(opened: Opened, { effects, warnings }: Outlook): object {
  const { body } = opened.root.signed
  const followed = followedBy(opened)
  return {
    repository: opened.proposal.repository,
    proposal: opened.fingerprint,
    version: body.version,
    follows: followed?.root.version ?? null,
    expires: new Date(body.expires).toISOString(),
    words: wordsOf(opened),
    roles: roleChangesOf(opened).map(roleDocument),
    renamed: renamingsOf(opened),
    effects,
    warnings,
    ...signaturesDocument(opened),
  }
}

export function signaturesDocument(opened: Opened): object {
  const tallies = tallyOf(opened)
  const keys = (ids: readonly string[]) => ids.map((id) => ({ id, called: callOf(opened, id) }))
  return {
    complete: tallies.every(isMet),
    signatures: tallies.map(({ role, file, by, need, signed, missing }) => ({
      file,
      role,
      by,
      need,
      signed: keys(signed),
      missing: keys(missing),
    })),
  }
}

function roleDocument(change: RoleChange): object {
  const { role, threshold, joining, leaving, staying } = change
  const keys = (list: readonly NamedKey[]) => list.map(({ id, scheme, name }) => ({ id, scheme, name: name ?? null }))
  return {
    role,
    changed: isChanged(change),
    threshold: threshold.after,
    before: threshold.before ?? null,
    joining: keys(joining),
    leaving: keys(leaving),
    staying: keys(staying),
  }
}
