/** What came of a key that was to leave many repositories, for people and for programs. */
import type { RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { ExitCode } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { dropCampaign } from '../publish/campaign.ts'
import type { Campaign } from '../publish/campaign.ts'
import type { Terminal } from '../terminal.ts'
import type { Answer } from './declare.ts'
import { CommandError } from './errors.ts'
import { againFrom, idsNamed, nameOf } from './everywhere.ts'
import type { Done, Everywhere, Undone } from './everywhere.ts'
import { impactsDocument, sayImpacts } from './impact-everywhere.ts'
import type { Meant } from './rotate-everywhere-names.ts'

type Outcome = {
  readonly campaign: Campaign | undefined
  readonly meant: Meant
  readonly done: readonly Done[]
  readonly undone: readonly Undone[]
}

export async function told(context: Context, wish: Everywhere, outcome: Outcome): Promise<Answer> {
  const { campaign, meant, done, undone } = outcome
  const { terminal, settings, paths } = context
  const isComplete = undone.length === 0 && meant.unlisted.length === 0
  if (isComplete && campaign !== undefined) dropCampaign(paths.state, campaign.id)
  const settled = done.flatMap(({ repository, settling }) =>
    [...settling].map(([role, { decided, open }]) => ({ repository, role, decided, undecided: open })),
  )
  sayOpen(terminal, settled)
  sayImpacts(terminal, done)
  if (isComplete && campaign === undefined) await sayNothingLeft(context, wish, settled.length > 0)
  const failure = isComplete ? undefined : failureOf(whyIncomplete(wish, outcome))
  if (failure !== undefined && !settings.json) tellFailure(terminal, failure)
  const document = documentOf(wish, outcome, settled)
  return {
    lines: linesOf(wish, outcome, settled),
    document: failure === undefined ? document : { ...document, error: failureDocument(failure) },
    ...(failure === undefined ? {} : { exit: undone.length === 0 ? failure.exit : exitOf(undone) }),
  }
}

type Settled = {
  readonly repository: string
  readonly role: RoleName
  readonly decided: number
  readonly undecided: number
}

const NAMED = 20

function sayOpen({ warn }: Pick<Terminal, 'warn'>, settled: readonly Settled[]): void {
  const open = settled.filter(({ undecided: count }) => count > 0)
  for (const { repository, role, undecided: count } of open.slice(0, NAMED))
    warn(`${repository}: ${count} undecided: tagseal rotate ${repository} ${role} --compromised`)
  if (open.length > NAMED) warn(`and ${open.length - NAMED} more with undecided changes`)
}

function linesOf(wish: Everywhere, { campaign, meant, done, undone }: Outcome, settled: readonly Settled[]): string[] {
  const rotated = done.filter(({ roles }) => roles.length > 0).length
  const before = done.filter((each) => each.before).length
  const without = done.length - rotated - before
  const all = meant.names.length
  const counts = [
    `${rotated} rotated now`,
    ...(before === 0 ? [] : [`${before} done before`]),
    ...(without === 0 ? [] : [`${without} without it`]),
    `${undone.length} left`,
  ]
  const key = campaign === undefined ? '' : `; ${campaign.key} is in its place`
  const what =
    undone.length === 0
      ? `${wish.gone} is listed in none of ${all} repositories`
      : `${done.length} of ${all} repositories are done`
  return [
    ...(wish.decisions.given ? [decidedText(settled)] : []),
    `${what}: ${counts.join(', ')}${key}`,
    ...undone.map(({ repository, failure }) => `not done: ${repository}: ${failure.message} (${failure.code})`),
  ]
}

function decidedText(settled: readonly Settled[]): string {
  const decided = settled.filter((each) => each.decided > 0)
  const where = new Set(decided.map(({ repository }) => repository)).size
  const open = sumOf(settled.map((each) => each.undecided))
  return `${sumOf(decided.map((each) => each.decided))} decided in ${where} repositories, ${open} undecided`
}

function documentOf(wish: Everywhere, { campaign, meant, done, undone }: Outcome, settled: readonly Settled[]) {
  return {
    key: wish.gone,
    newKey: campaign?.key ?? null,
    repositories: meant.names.length,
    complete: undone.length === 0 && meant.unlisted.length === 0,
    unlisted: meant.unlisted,
    outside: meant.outside,
    before: done.filter((each) => each.before).length,
    rotated: done.flatMap(({ repository, roles, settling, impacts }) => {
      const open = sumOf([...settling.values()].map((each) => each.open))
      const impact = wish.rotation.compromised ? { impact: impactsDocument(impacts) } : {}
      return roles.length === 0 ? [] : [{ repository, roles, undecided: open, ...impact }]
    }),
    decided: settled.flatMap(({ repository, role, decided }) => (decided === 0 ? [] : [{ repository, role, decided }])),
    undecided: settled.flatMap(({ repository, role, undecided: open }) =>
      open === 0 ? [] : [{ repository, role, undecided: open }],
    ),
    notDone: undone.map(({ repository, failure: { code, message, hint } }) => {
      return { repository, code, message, hint: hint ?? null }
    }),
  }
}

export function sayOutside({ terminal }: Context, { pattern }: Everywhere, outside: readonly string[]): void {
  for (const name of outside.slice(0, NAMED)) terminal.warn(`${name} does not match ${pattern.text}, and is left alone`)
  if (outside.length > NAMED) terminal.warn(`and ${outside.length - NAMED} more that do not match`)
}

async function sayNothingLeft(
  context: Context,
  { gone, pattern, rotation: { since } }: Everywhere,
  isKnown: boolean,
): Promise<void> {
  if (!isKnown) context.terminal.warn(`no repository had ${gone} to give up; if it was to leave one, look at its id`)
  const [key] = await idsNamed(context, nameOf(gone))
  if (key === undefined || since === undefined) return
  context.terminal.hint(`if it left with another time: ${againFrom(pattern.text, key, since)}`)
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

function whyIncomplete({ gone }: Everywhere, { meant, undone }: Outcome): CommandError {
  const { names, unlisted } = meant
  if (undone.length > 0) return leftUndone(gone, names, undone)
  return new CommandError('NOT_LISTED', { key: gone, servers: unlisted.map(({ server }) => server) })
}

function leftUndone(gone: string, names: readonly string[], undone: readonly Undone[]): CommandError {
  const [next, ...others] = new Set(undone.map(({ failure: { hint } }) => hint))
  return new CommandError('LEFT_UNDONE', {
    key: gone,
    undone: undone.length,
    repositories: names.length,
    passes: exitOf(undone) === 3,
    ...(next === undefined || others.length > 0 ? {} : { next }),
  })
}

/** What may go away by itself, unless something else stands in the way. */
function exitOf(undone: readonly Undone[]): ExitCode {
  return undone.every(({ failure }) => failure.exit === 3) ? 3 : 1
}
