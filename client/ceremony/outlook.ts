/** What a proposal will do once it is published: to consumers, to pins, and to whoever holds keys. */
import { keySetOf, ROOT } from '../../tuf/index.ts'
import { isDue } from '../publish/customs.ts'
import { inDays } from '../publish/expiry.ts'
import { pinCommand } from '../commands/pin-command.ts'
import { isChanged, roleChangesOf } from './changes.ts'
import type { RoleChange } from './changes.ts'
import { followedBy } from './opened.ts'
import type { Opened } from './opened.ts'

export type Outlook = {
  /** What follows for others. */
  readonly effects: readonly string[]
  /** What a careful person would ask about before signing. */
  readonly warnings: readonly string[]
}

/** `server` is where consumers find it, as they type it and as far as this machine knows; `now` in milliseconds. */
export function outlookOf(opened: Opened, server: string, now: number): Outlook {
  const changes = new Map(roleChangesOf(opened).map((change) => [String(change.role), change]))
  const [root, targets] = [changes.get('root'), changes.get('targets')]
  if (root === undefined || targets === undefined) throw new Error('every root has these roles')
  return {
    effects: [
      ...pinEffects(opened, root, server),
      ...targetsEffects(opened, targets),
      ...onlineEffects([changes.get('timestamp'), changes.get('snapshot')]),
    ],
    warnings: [
      ...thresholdWarnings(root),
      ...thresholdWarnings(targets),
      ...expiryWarnings(opened, now),
      ...sharedKeys(opened),
    ],
  }
}

/** What new consumers type, once this root is published. */
export function pinOf({ proposal, root }: Pick<Opened, 'proposal' | 'root'>, server: string): string {
  const { keys, threshold } = keySetOf(root.signed.body, ROOT)
  return pinCommand(
    proposal.repository,
    keys.map(({ id }) => id),
    threshold,
    server,
  )
}

function pinEffects(opened: Opened, root: RoleChange, server: string): readonly string[] {
  const { version } = opened.root.signed.body
  if (followedBy(opened) === undefined) return [`consumers pin it once: ${pinOf(opened, server)}`]
  const follow = `consumers follow by themselves: on their next refresh they take root ${version}`
  if (!isChanged(root)) return [follow, 'pins stay as they are']
  const left =
    root.leaving.length === 0
      ? []
      : [
          'machines that are pinned to a root key that leaves, and never saw this root, go on believing it: pin them anew',
        ]
  return [follow, `new machines pin it by: ${pinOf(opened, server)}`, ...left]
}

function targetsEffects({ companions, staying }: Opened, targets: RoleChange): readonly string[] {
  if (targets.threshold.before === undefined || !isChanged(targets)) return []
  const again = companions.length > 0 || staying !== undefined
  return [
    ...(targets.leaving.length === 0 ? [] : ['the targets keys that leave sign no tag any more']),
    ...(again ? ['every tag that is signed stays signed'] : []),
    ...(targets.threshold.after > 1
      ? [`${targets.threshold.after} of the targets keys have to sign each tag from then on`]
      : []),
  ]
}

function onlineEffects(roles: readonly (RoleChange | undefined)[]): readonly string[] {
  const replaced = roles.filter((role) => role !== undefined && role.leaving.length > 0)
  if (replaced.length === 0) return []
  return ['the server signs with other keys, and consumers forget what versions they saw under the old ones']
}

function thresholdWarnings({ role, threshold, count }: RoleChange): readonly string[] {
  const { before, after } = threshold
  const all = after > 1 && after === count.after
  return [
    ...(before !== undefined && after < before
      ? [`${role} would need fewer signatures than so far: ${after} in place of ${before}`]
      : []),
    ...(role === ROOT && after === 1 && count.after > 1 ? ['each root key alone could change everything'] : []),
    ...(all ? [`all ${after} keys of ${role} have to sign: the loss of one cannot be mended`] : []),
  ]
}

function expiryWarnings({ root, judge }: Opened, now: number): readonly string[] {
  const { version, expires, expiresText } = root.signed.body
  const when = `${expiresText} (${inDays({ expires }, now)})`
  if (expires <= now) return [`root ${version} has expired already, at ${when}: nobody would take it`]
  return isDue(judge.codec, 'root', expires, now) ? [`root ${version} expires soon, at ${when}`] : []
}

/** A key for two purposes is stolen for both. */
function sharedKeys({ root, judge }: Opened): readonly string[] {
  const identities = new Map<string, string>()
  const warnings: string[] = []
  for (const [role, { keyids }] of root.signed.body.roles) {
    for (const id of keyids) {
      const key = root.signed.body.keys.get(id)
      const identity = (key && judge.suite.open(key)?.identity) ?? id
      const other = identities.get(identity)
      if (other !== undefined && other !== role) warnings.push(`one key signs for ${other} and for ${role}: ${id}`)
      identities.set(identity, role)
    }
  }
  return warnings
}
