/** The impact of a theft, for people and for programs. */
import type { Incident } from '../publish/incident.ts'
import { isTooFew } from '../publish/impact.ts'
import type { Impact } from '../publish/impact.ts'
import type { Terminal } from '../terminal.ts'

/** A reader wants to know who to call first; the rest is in the document. */
const NAMED = 10

export function sayImpact({ note }: Pick<Terminal, 'note'>, impact: Impact, incident: Incident | undefined): void {
  for (const line of linesOf(impact, incident)) note(line)
}

function linesOf(impact: Impact, incident: Incident | undefined): readonly string[] {
  if (impact.root !== undefined && isTooFew(impact.root)) return [`impact: ${powerless(impact.root)}`]
  return [`impact: ${reach(impact)}`, ...touched(impact, incident), ...consumersOf(impact), over(impact)]
}

function powerless({ stolen, threshold }: NonNullable<Impact['root']>): string {
  return stolen === 1
    ? `the key is one of ${threshold} that root needs: alone it could do nothing`
    : `the keys are ${stolen} of ${threshold} that root needs: they could do nothing`
}

function reach({ scope, tags }: Impact): string {
  if (scope.length === 0)
    return 'the key signs no tag: its thief could hold back news, and show old states to new clients'
  const which = scope.includes('*') ? '' : ` that ${tags === 1 ? 'matches' : 'match'} ${scope.join(', ')}`
  const changed = tags === 0 ? 'made tags' : `changed ${tags === 1 ? 'the one tag' : `any of the ${tags} tags`}`
  return `the key could have ${changed}${which}${tags === 0 ? '' : ', and made others'}`
}

function touched({ scope, since, root }: Impact, incident: Incident | undefined): readonly string[] {
  if (scope.length === 0 || root !== undefined) return []
  if (since === undefined) return ['  which it did is not known: --since TIME says since when to look']
  const tags = incident?.doubts.filter(({ kind }) => kind === 'tag').length ?? 0
  return [`  changed since ${iso(since)}: ${tags === 1 ? '1 tag' : `${tags} tags`}, by the record of the server`]
}

function consumersOf({ consumers, since, safeFrom }: Impact): readonly string[] {
  if (consumers === undefined) return ['  who was served what is not known: the server keeps or shows no record']
  const { behind, moved, before } = consumers
  const names = behind.slice(0, NAMED).map(({ who, version }) => `${who} (was last given timestamp ${version})`)
  const more = behind.length > NAMED ? `, and ${behind.length - NAMED} more` : ''
  const earlier = since === undefined ? '' : `; ${haveText(before)} not been there since ${iso(since)}`
  return [
    `  may still believe the old key, until they ask the server again: ${behind.length === 0 ? 'nobody' : `${names.join(', ')}${more}`}`,
    `  ${haveText(moved)} asked again and got the new state (timestamp ${safeFrom} or later)${earlier}`,
    '  this is the unsigned record of the server, which knows tokens and networks, not what proxies served',
  ]
}

function haveText(consumers: number): string {
  if (consumers === 0) return 'nobody has'
  return consumers === 1 ? '1 consumer has' : `${consumers} consumers have`
}

function over({ safeFrom, overBy }: Impact): string {
  const reached = `  a consumer who reaches the server is safe from the next refresh on (timestamp ${safeFrom} or later)`
  if (overBy === undefined) return `${reached}; one whom the thief cuts off from it needs a new pin`
  return `${reached}; one whom the thief cuts off from it is safe by ${iso(overBy.at)}, when ${overBy.because}`
}

export function impactDocument({ since, until, overBy, consumers, root, ...impact }: Impact): object {
  return {
    ...impact,
    root: root ?? null,
    since: since === undefined ? null : iso(since),
    until: iso(until),
    overBy: overBy === undefined ? null : { at: iso(overBy.at), because: overBy.because },
    consumers:
      consumers === undefined
        ? null
        : {
            ...consumers,
            behind: consumers.behind.map(({ at, ...rest }) => ({ ...rest, at: iso(at) })),
            signed: false,
          },
  }
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
