/** What a rotation leaves somebody to look at, in words and for programs. */
import type { DelegationEntry } from '../server-api.ts'
import { undecided } from '../publish/incident.ts'
import type { Incident } from '../publish/incident.ts'
import { labelOf } from '../publish/doubts.ts'
import type { Doubt, Meaning, TagDoubt } from '../publish/doubts.ts'
import { isWordOfServer } from '../publish/sifting.ts'
import type { Terminal } from '../terminal.ts'
import { digestOf } from '../trust/repository.ts'
import { shortId } from './key-document.ts'

/** One line for each thing that nobody has decided on, and the command that decides. */
export function sayUndecided(terminal: Terminal, incident: Incident): void {
  const open = sayDoubts(terminal, incident)
  if (open.length === 0) return
  const { repository, role } = incident
  const [first] = open.map(labelOf)
  const isAlone = open.some((doubt) => doubt.kind === 'delegation' && isWordOfServer(doubt))
  const alone = isAlone ? ', but restores no delegation that was so by the word of the server alone' : ''
  terminal.hint(
    `tagseal rotate ${repository} ${role} --compromised --keep ${first}, --restore ${first} (as it was before, by the record of the server) or --drop ${first}; "all" stands for all of them${alone}`,
  )
}

/** One line for each of those that nobody has decided on. */
export function sayDoubts({ warn }: Pick<Terminal, 'warn'>, incident: Incident): readonly Doubt[] {
  const open = undecided(incident)
  for (const doubt of open) warn(`${stateOf(doubt)} until you decide: ${labelOf(doubt)} ${changeOf(doubt)}`)
  return open
}

/** By what the server remembers: nobody signed when, and by whom. */
function changeOf(doubt: Doubt): string {
  const { at, keyids, by } = doubt
  const keys = keyids.length === 0 ? '' : ` by key ${keyids.map(shortId).join(', ')}`
  const token = by === undefined ? '' : ` with the token ${by}`
  return `${meantOf(doubt)}; changed at ${new Date(at).toISOString()}${keys}${token}`
}

function meantOf(doubt: Doubt): string {
  if (doubt.kind === 'tag') return meaningText(doubt)
  if (doubt.kind === 'order') {
    return `which roles are asked was ${namesText(doubt.before)} before, and ${namesText(doubt.now)} since`
  }
  const before = isWordOfServer(doubt) ? `${ALONE} (${keysText(doubt.before)}),` : ','
  return `of ${doubt.role} was ${entryText(doubt.before)} before${before} and ${entryText(doubt.now)} since`
}

const ALONE = ', by the word of the server alone'

function meaningText(doubt: TagDoubt): string {
  const [was, is] = [digestText(doubt.before), digestText(doubt.now)]
  const other = is === was ? 'the same, with another length or with something else signed beside it,' : is
  return `meant ${was} before${isWordOfServer(doubt) ? ALONE : ''}, and ${other} since`
}

/** What was made here is of use where the role signs. */
export function sayHandOver({ note }: Pick<Terminal, 'note'>, made: readonly { readonly id: string }[]): void {
  for (const { id } of made) {
    const file = `${shortId(id)}.pem`
    note(`whoever signs for the role gets the new key from here, under a passphrase in FILE, and takes it in there:`)
    note(`tagseal key export ${shortId(id)} --private --new-passphrase-file FILE > ${file}`)
    note(`tagseal key import ${file} --old-passphrase-file FILE --passphrase-file FILE-OF-ITS-KEYS`)
  }
}

function stateOf(doubt: Doubt): string {
  if (doubt.kind === 'tag') return 'out'
  if (doubt.kind === 'order') return 'as it was before'
  return doubt.before === undefined || isWordOfServer(doubt) ? 'out' : 'as it was before'
}

function digestText(meaning: Meaning | undefined): string {
  return meaning === undefined ? 'nothing' : digestIn(meaning)
}

function digestIn({ length, hashes }: Meaning): string {
  return digestOf({ path: 'the tag', target: { length, hashes, unknown: new Map() } })
}

const MOST_NAMES = 12

function namesText(names: readonly string[]): string {
  const more = names.length > MOST_NAMES ? `, and ${names.length - MOST_NAMES} more` : ''
  return `${names.slice(0, MOST_NAMES).join(', ')}${more}`
}

function entryText(entry: DelegationEntry | undefined): string {
  if (entry === undefined) return 'not there'
  const { keys, threshold, scope } = entry
  return `${threshold} of ${keys.length} keys for ${scope.patterns.join(', ')}`
}

/** Whole: whoever puts them in force compares them with what their holders say. */
function keysText(entry: DelegationEntry | undefined): string {
  return entry?.keys.map((key) => key.public).join(', ') ?? ''
}

/** What `--json` says of one doubt. */
export function doubtDocument(doubt: Incident['doubts'][number]): object {
  const { at, keyids, by, outcome } = doubt
  const change = { at: new Date(at).toISOString(), keyids, by: by ?? null, decision: outcome ?? null }
  if (doubt.kind === 'order') return { order: doubt.role, before: doubt.before, now: doubt.now, ...change }
  if (doubt.kind === 'delegation') {
    const { role, name, before, now, isSigned } = doubt
    return { delegation: name, delegator: role, before: before ?? null, now: now ?? null, signed: isSigned, ...change }
  }
  const { name, role, before, now, isSigned } = doubt
  const meanings = { before: before ? digestIn(before) : null, now: now ? digestIn(now) : null }
  return { tag: name, role, ...meanings, signed: isSigned, ...change }
}

/** Tags that were in the files and are not signed again by this run. */
export function removedTags({ doubts }: Incident): readonly object[] {
  const out = doubts.filter(
    (doubt): doubt is TagDoubt & { readonly outcome: undefined | 'drop' } =>
      doubt.kind === 'tag' && doubt.now !== undefined && (doubt.outcome === undefined || doubt.outcome === 'drop'),
  )
  return out.map(({ name, now, at, before }) => ({
    tag: name,
    digest: digestText(now),
    at: new Date(at).toISOString(),
    before: before === undefined ? null : digestIn(before),
  }))
}
