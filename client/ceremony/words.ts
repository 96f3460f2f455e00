/**
 * What a proposal changes, in words that follow from its metadata and from nothing else: whoever reads the same file,
 * anywhere and at any time, is told the same.
 */
import { delegationTo, listedRoles } from '../../tuf/index.ts'
import type { RoleKeys, RoleName, Root, Targets } from '../../tuf/index.ts'
import { renamingsOf, roleChangesOf } from './changes.ts'
import type { NamedKey, Renaming, RoleChange } from './changes.ts'
import { followedBy } from './opened.ts'
import type { Companion, Opened } from './opened.ts'

/** `date` adds what only a reader with a clock can: how far away it is. */
export function wordsOf(
  opened: Omit<Opened, 'fingerprint'>,
  date: (expires: Expiry) => string = ({ expiresText }) => expiresText,
): readonly string[] {
  const { proposal, root, companions, staying } = opened
  const [before, after] = [followedBy(opened)?.root, root.signed.body]
  return [
    titleOf(proposal.repository, before, after),
    ...roleChangesOf(opened).flatMap(roleLines),
    ...renamingsOf(opened).map(renamingLine),
    `root ${after.version} expires ${date(after)}`,
    ...(before === undefined ? [] : [`root ${before.version}, which it follows, expires ${date(before)}`]),
    ...companions.flatMap((companion) => companionLines(companion, date)),
    ...(staying === undefined
      ? []
      : [`targets ${staying.version} stays: enough of the keys it has then have signed it`]),
  ]
}

export type Expiry = Pick<Root, 'expires' | 'expiresText'>

function titleOf(repository: string, before: Root | undefined, { version }: Root): string {
  const how = before === undefined ? 'founds it' : `follows root ${before.version}`
  return `root ${version} of ${repository} ${how}`
}

function roleLines({ role, threshold, count, joining, leaving, staying }: RoleChange): readonly string[] {
  const now = `${role}: ${threshold.after} of ${count.after} ${count.after === 1 ? 'key' : 'keys'} must sign`
  const isSame = threshold.before === threshold.after && count.before === count.after
  const before = threshold.before === undefined || isSame ? '' : ` (so far ${threshold.before} of ${count.before ?? 0})`
  return [
    `${now}${before}`,
    ...joining.map((key) => `${role}: in     ${keyText(key)}`),
    ...leaving.map((key) => `${role}: out    ${keyText(key)}`),
    ...staying.map((key) => `${role}: stays  ${keyText(key)}`),
  ]
}

function keyText({ id, scheme, name }: NamedKey): string {
  return name === undefined ? `${id} ${scheme}` : `${id} ${scheme} ${name}`
}

function renamingLine({ id, before, after }: Renaming): string {
  const now = after === undefined ? 'has no name any more' : `is called ${after}`
  return `the key ${id} ${now} (${before === undefined ? 'so far it has no name' : `so far ${before}`})`
}

function companionLines(
  { role, signed: { body }, before }: Companion,
  date: (expires: Expiry) => string,
): readonly string[] {
  const { size } = body.targets
  const tags = size === 0 && before === undefined ? 'no tags' : `${size} ${size === 1 ? 'tag' : 'tags'}`
  const what = before === undefined ? tags : `${tags} as in version ${before.version}`
  const gone = [...(before?.targets.keys() ?? [])].filter((tag) => !body.targets.has(tag))
  return [
    `${role} ${body.version} goes with it: ${what}; it expires ${date(body)}`,
    ...gone.map((tag) => `${role} ${body.version} leaves out the tag ${tag}`),
    ...delegated(before, body).map((name) => `${role} ${body.version} gives ${name} the keys that targets has then`),
  ]
}

/** The roles that come under other keys with targets: the hash bins of a large repository under one name. */
function delegated(before: Targets | undefined, after: Targets): readonly string[] {
  if (before === undefined) return []
  const named: readonly RoleName[] = listedRoles(after).map(({ name }) => name)
  const bins = before.delegations?.succinct
  const isOther = (was: RoleKeys | undefined, is: RoleKeys | undefined) => signersIn(was) !== signersIn(is)
  return [
    ...named.filter((name) => isOther(delegationTo(before, name), delegationTo(after, name))),
    ...(isOther(bins, after.delegations?.succinct) ? [`the bins ${bins?.namePrefix ?? ''}`] : []),
  ]
}

function signersIn(role: RoleKeys | undefined): string {
  return role === undefined ? '' : [role.threshold, ...role.keyids].join()
}
