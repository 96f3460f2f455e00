import type { Failure } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** For people: what went wrong, its code, and the next step. */
export function tellFailure(terminal: Terminal, { message, code, hint }: Failure, about = ''): void {
  terminal.error(`${about}${message} (${code})`)
  if (hint !== undefined) terminal.hint(hint)
}

/** For `--json`. */
export function failureDocument({ code, message, hint, detail }: Failure): object {
  return { code, message, ...(hint === undefined ? {} : { hint }), detail }
}
