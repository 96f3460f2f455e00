/** What a proposal changes, in words. */
import type { DelegatedRole } from '../../tuf/index.ts'
import { movesIn } from './changes.ts'
import type { DelegationChange, FileChanges, TagChange } from './changes.ts'

/** `pathsText` says which tags a role may sign; `shortId` what people tell keys apart by. */
export type Words = {
  readonly pathsText: (role: Pick<DelegatedRole, 'scope'>) => string
  readonly shortId: (id: string) => string
  readonly now: number
  /** As `sign` gives a file; what is good for longer is told as such. */
  readonly lifetime: number
}

const DAY_MS = 86_400_000

/** One line for each difference; tags that only change their file are counted. */
export function changeLines(files: readonly FileChanges[], words: Words): readonly string[] {
  const moves = movesIn(files)
  const lines = files.flatMap((file) => [
    ...headLines(file, words),
    ...file.tags.filter(({ tag }) => !moves.has(tag)).map(tagLine),
    ...file.delegations.map((change) => delegationLine(file, change, words)),
    ...(file.order === undefined ? [] : [`  asks its roles in another order: ${file.order.join(', ')}`]),
    ...(file.bins === undefined ? [] : [binsLine(file, words)]),
  ])
  return moves.size === 0 ? lines : [...lines, ...moveLines(moves)]
}

function headLines({ role, from, version, expires }: FileChanges, { now, lifetime }: Words): readonly string[] {
  const step = from === undefined ? `version ${version}, its first` : `version ${from} -> ${version}`
  const until = new Date(expires).toISOString()
  const days = Math.floor((expires - now) / DAY_MS)
  const long = expires > now + lifetime + DAY_MS ? ', which is LONGER than tagseal signs for' : ''
  return [`${role}: ${step}, good until ${until.slice(0, 10)} (${days} days${long})`]
}

function tagLine({ tag, before, after }: TagChange): string {
  if (after === undefined) return `  - ${tag}  was ${before}`
  if (before === undefined) return `  + ${tag}  ${after.digest} (${after.length} bytes)`
  return `  ~ ${tag}  ${before} -> ${after.digest} (${after.length} bytes)`
}

function delegationLine({ role: by }: FileChanges, { role, before, after }: DelegationChange, words: Words): string {
  if (after === undefined)
    return `  - role ${role}, which ${by} delegated: ${before === undefined ? '' : roleText(before, words)}`
  if (before === undefined) return `  + role ${role}: ${roleText(after, words, [])}`
  return `  ~ role ${role}: ${roleText(before, words)} -> ${roleText(after, words, before.keyids)}`
}

function roleText(role: DelegatedRole, { pathsText, shortId }: Words, known?: readonly string[]): string {
  const { threshold, keyids, terminating } = role
  const ends = terminating ? ', no role after it is asked' : ''
  return `${pathsText(role)} by ${threshold} of ${keyids.length} keys (${idsText(keyids, shortId, known)})${ends}`
}

/** One that was not there before is told whole: a key whose id begins like that of another can be made to order. */
function idsText(keyids: readonly string[], shortId: Words['shortId'], known = keyids): string {
  return keyids.map((id) => (known.includes(id) ? shortId(id) : id)).join(', ')
}

function binsLine({ role, bins }: FileChanges, { shortId }: Words): string {
  if (bins === undefined) return ''
  const { bitLength, namePrefix, threshold, keyids } = bins
  const keys = `${threshold} of ${keyids.length} keys (${idsText(keyids, shortId, [])})`
  return `  ~ ${role} spreads its tags over ${2 ** bitLength} hash bins ${namePrefix}-*, by ${keys}`
}

function moveLines(moves: ReturnType<typeof movesIn>): readonly string[] {
  const counts = new Map<string, number>()
  for (const { from } of moves.values()) counts.set(from, (counts.get(from) ?? 0) + 1)
  return [...counts].map(([from, count]) => `${count} tags of ${from} stand elsewhere from now on, and mean the same`)
}
