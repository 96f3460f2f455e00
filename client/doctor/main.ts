/** What the command needs, in one place, so that it is loaded with it and never without. */
import type { Answer } from '../commands/declare.ts'
import { CommandError } from '../commands/errors.ts'
import type { Context } from '../context.ts'
import { diffOf, writeChanges } from './changes.ts'
import { checkMachine } from './doctor.ts'
import { openMachine } from './machine.ts'
import type { Machine } from './machine.ts'
import { Broken, whereOf } from './spot.ts'
import { PLANS } from './write.ts'
import type { Planable, Planned, Wish } from './write.ts'

export { isTriedEngine, TRIED_ENGINES } from './canary.ts'
export { diagnose, exitOf } from './doctor.ts'
export { gatewayAt } from './gateway.ts'

export type WriteOptions = Wish & { readonly what: Planable; readonly root: string; readonly yes: boolean }

export function isPlanable(text: string): text is Planable {
  return Object.hasOwn(PLANS, text)
}

/** Shows what changes, writes it where that was asked for, and says what is still open then. Throws FILE_MALFORMED. */
export async function writeConfiguration({ terminal, clock }: Context, options: WriteOptions): Promise<Answer> {
  const machine = openMachine(options.root)
  const { changes, steps } = planned(machine, options)
  const shown = changes.map((change) => ({ path: change.path, diff: diffOf(change) }))
  const lines = shown.flatMap(({ diff }) => diff)
  if (changes.length === 0) {
    return { lines: ['nothing to change'], document: { changes: [], written: false, copies: [], open: [] } }
  }
  if (!options.yes) {
    terminal.hint('nothing is written yet; add --yes')
    return { lines, document: { changes: shown, written: false, copies: [], open: [] }, exit: 1 }
  }
  const copies = await writeChanges(machine, changes, clock())
  for (const copy of copies) terminal.note(`what was there is in ${copy}`)
  for (const step of steps) terminal.note(`it counts after: ${step}`)
  const found = foundAfter(machine, options)
  const open = found.filter(({ level }) => level === 'hole')
  for (const { level, where, message, mend } of found)
    terminal.warn(`${level === 'hole' ? 'still open: ' : ''}${where}: ${message}; instead: ${mend}`)
  const document = { changes: shown, written: true, copies, open }
  return { lines, document, exit: open.length === 0 ? 0 : 1 }
}

function planned(machine: Machine, options: WriteOptions): Planned {
  try {
    return PLANS[options.what](machine, options)
  } catch (cause) {
    if (!(cause instanceof Broken)) throw cause
    throw new CommandError('FILE_MALFORMED', { path: whereOf(cause), why: cause.message }, { cause })
  }
}

/** Lines of others that were not touched, and that let images in all the same; and what no line closes. */
function foundAfter(machine: Machine, { what, gateway }: WriteOptions) {
  if (what === 'verifier') return []
  const found = checkMachine(machine, gateway).find(({ engine }) => engine === what)?.findings ?? []
  return found.filter(({ level }) => level !== 'unknown')
}
