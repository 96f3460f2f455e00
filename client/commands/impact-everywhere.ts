/** What a stolen key could have done to many repositories, in one: for people, who read no list of hundreds. */
import { TARGETS } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Impact } from '../publish/impact.ts'
import type { Terminal } from '../terminal.ts'
import { impactDocument } from './impact-words.ts'

/** `changed`: how many tags were, since then, by the record of the server. */
export type RoleImpact = { readonly role: RoleName; readonly changed: number; readonly impact: Impact }
export type RepositoryImpact = { readonly repository: string; readonly impacts: readonly RoleImpact[] }

export function sayImpacts({ note }: Pick<Terminal, 'note'>, all: readonly RepositoryImpact[]): void {
  const hit = all.filter(({ impacts }) => impacts.length > 0)
  if (hit.length === 0) return
  const each = hit.flatMap(({ impacts }) => impacts)
  const tags = sum(hit.map(({ impacts }) => tagsIn(impacts)))
  note(`impact: the key could have changed any of ${count(tags, 'tag')} in ${places(hit.length)}, and made others`)
  note(changedText(hit, each))
  note(consumersText(each))
  note(overText(hit))
}

function changedText(hit: readonly RepositoryImpact[], each: readonly RoleImpact[]): string {
  const since = each.map(({ impact }) => impact.since).find((time) => time !== undefined)
  if (since === undefined) return '  which it did is not known: --since TIME says since when to look'
  const where = hit.filter(({ impacts }) => impacts.some(({ changed }) => changed > 0)).length
  const tags = sum(each.map(({ changed }) => changed))
  return `  changed since ${iso(since)}: ${count(tags, 'tag')} in ${places(where)}, by the record of the server`
}

function consumersText(each: readonly RoleImpact[]): string {
  const recorded = each.flatMap(({ impact: { consumers } }) => consumers ?? [])
  if (recorded.length === 0) return '  who was served what is not known: the server keeps or shows no record'
  const behind = new Set(recorded.flatMap((consumers) => consumers.behind.map(({ who }) => who)))
  return `  may still believe the old key, until they ask the server again: ${behind.size === 0 ? 'nobody' : behind.size} (by the unsigned record of the server; --json names them)`
}

/** The last of them: until then somebody who is cut off may believe the thief about that one. */
function overText(hit: readonly RepositoryImpact[]): string {
  const ends = hit.flatMap(({ repository, impacts }) =>
    impacts.flatMap(({ impact: { overBy } }) => (overBy === undefined ? [] : [{ repository, ...overBy }])),
  )
  const last = ends.toSorted((a, b) => b.at - a.at)[0]
  const reached = '  a consumer who reaches the server is safe from the next refresh on'
  if (last === undefined) return reached
  return `${reached}; one whom the thief cuts off from it is safe by ${iso(last.at)} at the latest, when ${last.because} (${last.repository})`
}

export function impactsDocument(impacts: readonly RoleImpact[]): readonly object[] {
  return impacts.map(({ role, changed, impact }) => ({ role, changed, ...impactDocument(impact) }))
}

/** Whoever has the key of targets reaches the tags of every role below it. */
function tagsIn(impacts: readonly RoleImpact[]): number {
  const whole = impacts.find(({ role }) => role === TARGETS)
  return whole === undefined ? sum(impacts.map(({ impact }) => impact.tags)) : whole.impact.tags
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function places(number: number): string {
  return number === 1 ? '1 repository' : `${number} repositories`
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
