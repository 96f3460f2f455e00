/** Files that are to be written: what changes in them, and writing them. */
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import { writeAtomically } from '../trust/atomic.ts'
import type { Machine } from './machine.ts'

export type Change = {
  /** As the machine calls it. */
  readonly path: string
  readonly before: string | undefined
  readonly after: string
  readonly mode: number
}

export function changeOf(machine: Machine, path: string, after: string, mode = 0o644): readonly Change[] {
  const before = machine.text(path)
  return before === after ? [] : [{ path, before, after, mode }]
}

const CONTEXT = 2
const NO_END = '\\ No newline at end of file'

/** As `diff -U2` writes it, in one hunk, for people and for `patch -p1`. */
export function diffOf({ path, before, after }: Change): readonly string[] {
  const [old, next] = [linesOf(before ?? ''), linesOf(after)]
  let start = 0
  while (start < Math.min(old.length, next.length) && old[start] === next[start]) start++
  let end = 0
  while (end < Math.min(old.length, next.length) - start && old.at(-1 - end) === next.at(-1 - end)) end++
  const first = Math.max(start - CONTEXT, 0)
  const behind = Math.min(end, CONTEXT)
  const range = (lines: readonly string[]) => {
    const count = lines.length - end + behind - first
    return `${count === 0 ? first : first + 1},${count}`
  }
  const marked = (sign: string, lines: readonly string[]) =>
    lines.flatMap((line) => (line.endsWith('\n') ? [`${sign}${line.slice(0, -1)}`] : [`${sign}${line}`, NO_END]))
  return [
    `--- ${before === undefined ? '/dev/null' : path}`,
    `+++ ${path}`,
    `@@ -${range(old)} +${range(next)} @@`,
    ...marked(' ', next.slice(first, start)),
    ...marked('-', old.slice(start, old.length - end)),
    ...marked('+', next.slice(start, next.length - end)),
    ...marked(' ', next.slice(next.length - end, next.length - end + behind)),
  ]
}

/** Each with its end; the last one may be without. */
function linesOf(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

/** Engines do not all run as the user who writes their configuration. */
const READABLE = 0o755

/** Each file whole or not at all; what was there lies beside it afterwards. Gives the names of those copies. */
export async function writeChanges(
  machine: Machine,
  changes: readonly Change[],
  now: number,
): Promise<readonly string[]> {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const copies: string[] = []
  for (const { path, before, after, mode } of changes) {
    const place = machine.place(path)
    ensureFolder(dirname(place), READABLE)
    const kept = before === undefined ? mode : (await stat(place)).mode & 0o777
    if (before !== undefined) {
      await writeAtomically(`${place}.${stamp}.bak`, Buffer.from(before), kept)
      copies.push(`${path}.${stamp}.bak`)
    }
    await writeAtomically(place, Buffer.from(after), kept)
  }
  return copies
}
