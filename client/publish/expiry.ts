/** What will expire soon, in words with the next command. Warnings begin with a fifth of a lifetime left. */
import { delegatedAuthority, ROOT, SNAPSHOT, TARGETS, TIMESTAMP } from '../../tuf/index.ts'
import type { Codec, RoleName, TopRole } from '../../tuf/index.ts'
import type { View } from '../trust/repository.ts'
import type { Terminal } from '../terminal.ts'
import { customsOf, isDue } from './customs.ts'
import { lifetimeIn } from './lifetime.ts'

/** A file and when it ends; `lifetime` where its delegator says how long it is meant to live. */
export type Dated = { readonly name: RoleName; readonly expires: number; readonly lifetime?: number | undefined }

export function kindOf(name: RoleName): TopRole {
  switch (name) {
    case ROOT:
      return 'root'
    case SNAPSHOT:
      return 'snapshot'
    case TIMESTAMP:
      return 'timestamp'
    default:
      return 'targets'
  }
}

export function isExpiring({ name, expires, lifetime }: Dated, codec: Pick<Codec, 'dialect'>, now: number): boolean {
  return isDue(codec, kindOf(name), expires, now, lifetime)
}

/** `root of registry.example.com/team/app expires in 40 days: ...`. */
export function expiryText(file: Dated, repository: string, now: number): string {
  return `${file.name} of ${repository} ${verbOf(file, now)} ${inDays(file, now)}: ${remedyOf(file, repository)}`
}

export function verbOf({ expires }: Dated, now: number): string {
  return expires <= now ? 'expired' : 'expires'
}

export function inDays({ expires }: Pick<Dated, 'expires'>, now: number): string {
  const hours = Math.abs(expires - now) / 3_600_000
  const far = hours < 48 ? count(hours, 'hour') : count(hours / 24, 'day')
  return expires <= now ? `${far} ago` : `in ${far}`
}

function count(many: number, unit: string): string {
  if (many < 1) return `less than one ${unit}`
  return `${Math.floor(many)} ${unit}${many < 2 ? '' : 's'}`
}

/** Says once for each file that is due what renews it. `but` are those that this run has just renewed. */
export function warnOfExpiry(
  { terminal, clock }: { readonly terminal: Pick<Terminal, 'warn'>; readonly clock: () => number },
  repository: string,
  view: View,
  but: ReadonlySet<string> = new Set(),
): void {
  const now = clock()
  for (const file of expiringIn(view, now)) {
    if (!but.has(file.name)) terminal.warn(expiryText(file, repository, now))
  }
}

export function expiringIn(view: View, now: number): readonly Dated[] {
  return filesOf(view).filter((file) => isExpiring(file, view.codec, now))
}

/**
 * The files that people renew, and the delegated roles that were asked on the way to an answer. Timestamp and snapshot are
 * the server's, which may make them for minutes only; where publishers may sign the snapshot, it lives for years.
 */
function filesOf(view: View): readonly Dated[] {
  const { root, snapshot, targets, codec } = view
  const asked = view.asked().map(({ role, file, delegator }) => {
    return { name: role, expires: file.expires, lifetime: lifetimeIn(delegatedAuthority(delegator, role)) }
  })
  return [
    { name: ROOT, expires: root.expires },
    { name: TARGETS, expires: targets.expires },
    ...asked,
    ...(customsOf(codec).snapshotMayBeOurs ? [{ name: SNAPSHOT, expires: snapshot.expires }] : []),
  ]
}

function remedyOf({ name }: Dated, repository: string): string {
  const kind = kindOf(name)
  if (kind === 'root') return `tagseal rotate ${repository} root --key ID renews it, also with the key it has`
  if (kind === 'targets') return `the next "tagseal sign" as ${name} renews it`
  if (kind === 'snapshot') return 'its server renews it in time, or the next "tagseal sign" of whoever has its key'
  return 'the server has not renewed it in time'
}
