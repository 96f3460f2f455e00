/** What somebody decides about tags and delegations that a stolen key may have changed. */
import type { Incident, Outcome } from '../publish/incident.ts'
import { labelOf } from '../publish/doubts.ts'
import type { Doubt } from '../publish/doubts.ts'
import { decisionOn } from '../publish/sifting.ts'
import type { Decide, Decision } from '../publish/sifting.ts'
import type { Terminal } from '../terminal.ts'
import { usage } from './errors.ts'

export type Decisions = { readonly decide: Decide; readonly named: readonly string[]; readonly given: boolean }

/** Stands for everything that no option names. */
const ALL = 'all'

/** Throws USAGE where one thing is decided twice. */
export function decisionsOf(options: Readonly<Record<Decision, readonly string[]>>): Decisions {
  const decisions = new Map<string, Decision>()
  for (const decision of ['keep', 'restore', 'drop'] as const) {
    for (const label of options[decision]) {
      const other = decisions.get(label)
      if (other !== undefined && other !== decision)
        throw usage(`--${other} and --${decision} both name ${label}`, 'decide each thing once')
      decisions.set(label, decision)
    }
  }
  const named = [...decisions.keys()].filter((label) => label !== ALL)
  return {
    decide: (label, alone = false) => decisions.get(label) ?? (alone ? undefined : decisions.get(ALL)),
    named,
    given: decisions.size > 0,
  }
}

/** Each doubt with what is decided of it by now. `isTold`: somebody was shown them before. */
export function withOutcomes(
  doubts: readonly (Doubt & { readonly outcome?: Outcome | undefined })[],
  decide: Decide,
  isTold: boolean,
): Incident['doubts'] {
  return doubts.map((doubt) => ({ ...doubt, outcome: doubt.outcome ?? decisionOn(doubt, decide, isTold) }))
}

/** A name that is misspelt must not keep a stolen key from being replaced. */
export function warnUnknown({ warn }: Pick<Terminal, 'warn'>, decisions: Decisions, doubts: readonly Doubt[]): void {
  for (const label of unknownIn(decisions, doubts)) warn(`nothing is to be decided about ${label}`)
}

/** Nor may it pass for decided. Throws USAGE. */
export function refuseUnknown(decisions: Decisions, doubts: readonly Doubt[]): void {
  const unknown = unknownIn(decisions, doubts)
  if (unknown.length === 0) return
  throw usage(`nothing is to be decided about ${unknown.join(', ')}`, 'leave the decisions out to see what is')
}

function unknownIn({ named }: Decisions, doubts: readonly Doubt[]): readonly string[] {
  const labels = new Set(doubts.map(labelOf))
  return named.filter((each) => !labels.has(each))
}
