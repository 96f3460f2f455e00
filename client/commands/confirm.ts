import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { ReadStream } from 'node:tty'
import { CeremonyError } from '../ceremony/errors.ts'
import { printable } from '../terminal.ts'
import { usage } from './errors.ts'

export type Confirmation = {
  readonly repository: string
  /** What somebody says yes to. */
  readonly lines: readonly string[]
  readonly question: string
}

/**
 * Has a person say yes, on the controlling terminal: what stdin and stderr are redirected to is nobody who could have
 * read it. Throws NOT_CONFIRMED, and USAGE where there is no terminal.
 */
export async function confirm({ repository, lines, question }: Confirmation): Promise<void> {
  const fd = openTty()
  if (fd === undefined)
    throw usage('there is no terminal to ask on', 'read it with tagseal root review, then add --yes')
  for (const line of lines) writeSync(fd, `${printable(line)}\n`)
  const input = new ReadStream(fd)
  const asking = createInterface({ input, terminal: false })
  try {
    writeSync(fd, `${printable(question)} (yes or no) `)
    const { value: answer } = await asking[Symbol.asyncIterator]().next()
    if (answer !== 'yes') throw new CeremonyError('NOT_CONFIRMED', { repository })
  } finally {
    asking.close()
    input.destroy()
  }
}

function openTty(): number | undefined {
  try {
    return openSync('/dev/tty', 'r+')
  } catch {
    return undefined // no controlling terminal: a daemon, a pipeline
  }
}
