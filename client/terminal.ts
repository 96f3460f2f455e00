import { styleText } from 'node:util'

/** Where a program writes. Results go to stdout, everything a person reads beside them to stderr. */
export type Output = { readonly write: (text: string) => unknown; readonly isTTY?: boolean }

export type TerminalOptions = {
  readonly stdout: Output
  readonly stderr: Output
  readonly quiet: boolean
  readonly verbose: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Milliseconds on a clock that nobody sets. */
  readonly monotonic: () => number
}

/** One line each. Text from outside is made printable on the way: it may carry escape sequences. */
export type Terminal = {
  readonly verbose: boolean
  readonly out: (line: string) => void
  /** One JSON document on stdout. */
  readonly json: (document: unknown) => void
  /** One JSON document on one line of stderr: for programs that stay and are read by machines. */
  readonly log: (entry: unknown) => void
  /** What was done. Not with `--quiet`. */
  readonly note: (line: string) => void
  /** Only with `--verbose`. */
  readonly detail: (line: string) => void
  readonly warn: (line: string) => void
  readonly error: (line: string) => void
  readonly hint: (line: string) => void
  /** How far long work is: one line that is overwritten on a terminal, a line now and then elsewhere. */
  readonly progress: (line: string) => void
}

type Colour = 'red' | 'yellow' | 'cyan'

const ERASE_LINE = '\r\u001b[2K'
const REDRAW_MS = 80
const ELSEWHERE_MS = 10_000

export function openTerminal(options: TerminalOptions): Terminal {
  const { stdout, stderr, quiet, verbose, monotonic } = options
  const live = stderr.isTTY === true
  const paint = painter(live, options.env)
  let drawn = false
  // On a terminal at once; where lines stay, only once the work has turned out to be long.
  let next = monotonic() + (live ? 0 : ELSEWHERE_MS)

  const erase = () => {
    if (drawn) stderr.write(ERASE_LINE)
    drawn = false
  }
  const line = (label: string, text: string) => {
    erase()
    stderr.write(`${label}${printable(text)}\n`)
  }
  return {
    verbose,
    out: (text) => {
      erase()
      stdout.write(`${printable(text)}\n`)
    },
    json: (document) => {
      erase()
      stdout.write(`${jsonText(document)}\n`)
    },
    log: (entry) => {
      erase()
      stderr.write(`${jsonText(entry, 0)}\n`)
    },
    note: (text) => (quiet ? undefined : line('', text)),
    detail: (text) => (verbose ? line('', text) : undefined),
    warn: (text) => line(`${paint('yellow', 'warning:')} `, text),
    error: (text) => line(`${paint('red', 'error:')} `, text),
    hint: (text) => line(`${paint('cyan', 'hint:')} `, text),
    progress(text) {
      if (quiet || monotonic() < next) return
      next = monotonic() + (live ? REDRAW_MS : ELSEWHERE_MS)
      if (!live) return line('', text)
      stderr.write(`${ERASE_LINE}${printable(text)}`)
      drawn = true
    },
  }
}

/** Colours are for a terminal alone, and not for one that asked for none (https://no-color.org). */
function painter(live: boolean, env: TerminalOptions['env']): (colour: Colour, text: string) => string {
  const plain = !live || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb'
  return plain ? (_colour, text) => text : (colour, text) => styleText(colour, text, { validateStream: false })
}

/** Without control and direction characters; one line, or a name from outside could write a line of its own. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, ' ')
}

/** JSON escapes control characters itself; what turns text around on a terminal is escaped here. */
function jsonText(document: unknown, indent = 2): string {
  return JSON.stringify(document, undefined, indent).replace(/[\u007f-\u009f\p{Cf}]/gu, (text) =>
    Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  )
}
