import { join } from 'node:path'
import { sameBytes } from '../bytes.ts'
import { isKeyError, KeyError } from '../errors.ts'
import { readGivenFile } from './disk.ts'
import { inOrder, knownPassphrases, passphrasesFromEnvironment, passphrasesIn } from './known-passphrases.ts'
import type { Passphrase, PassphraseSource } from './passphrase.ts'
import { openTerminal, type Terminal } from './terminal.ts'

export type PassphraseOptions = {
  /** `--passphrase-file`. */
  readonly file?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The terminal to ask on; undefined where there is none. `/dev/tty` or stdin unless given. */
  readonly terminal?: () => Terminal | undefined
  /** Told what is unwise and still works. */
  readonly warn?: (sentence: string) => void
}

const MAX_PASSPHRASE = 4096
/** How often a person may mistype for one key. */
const ATTEMPTS = 3

/**
 * The passphrases of this run, in this order: the file named, `TAGSEAL_PASSPHRASE_FILE`, the systemd credential
 * `tagseal-passphrase`, a person at the terminal. Nothing is read and nobody asked before a passphrase is needed.
 * What the environment holds for `notary` and `docker` is tried before somebody is asked, and chosen for no new key.
 */
export function openPassphrases(options: PassphraseOptions): PassphraseSource {
  const { file, env, warn = () => undefined } = options
  const named = file ?? notEmpty(env['TAGSEAL_PASSPHRASE_FILE'])
  const inherited = knownPassphrases(passphrasesFromEnvironment(env), 'the environment')
  if (named !== undefined) {
    const file = fromFile(named, warn)
    return inOrder([file, inherited], file)
  }
  const credentials = notEmpty(env['CREDENTIALS_DIRECTORY'])
  const typed = inOrder([inherited, fromTerminal(options.terminal ?? openTerminal)])
  // Whether the unit was given the credential shows when it is needed; one without it may still have a terminal.
  return credentials === undefined ? typed : fromFile(join(credentials, 'tagseal-passphrase'), warn, typed)
}

/** One passphrase that is already there; wiped on close. */
export function fixedPassphrase(bytes: Uint8Array, origin: Passphrase['origin'] = 'machine'): PassphraseSource {
  const passphrase = { bytes, origin }
  return {
    unlock: async (_key, tried) => (tried.has(passphrase) ? undefined : passphrase),
    choose: async () => passphrase,
    close: () => void bytes.fill(0),
  }
}

function fromFile(path: string, warn: (sentence: string) => void, otherwise?: PassphraseSource): PassphraseSource {
  let opened: Promise<PassphraseSource> | undefined
  const source = (): Promise<PassphraseSource> => (opened ??= open())
  return {
    unlock: async (key, tried) => (await source()).unlock(key, tried),
    choose: async (key, before) => (await source()).choose(key, before),
    close() {
      otherwise?.close()
      opened?.then((inner) => inner.close()).catch(() => undefined) // it failed where it was needed
    },
  }

  async function open(): Promise<PassphraseSource> {
    const found = await readGivenFile(path, MAX_PASSPHRASE, (why, options) => unusable(path, why, options))
    if (found === undefined && otherwise !== undefined) return otherwise
    if (found === undefined) throw unusable(path, 'there is no such file')
    if (found.mode & 0o007) warn(`${path} holds a passphrase and everybody may read it: chmod 400 ${path}`)
    const bytes = withoutNewline(found.bytes)
    if (bytes.length === 0) throw unusable(path, 'it is empty')
    return knownPassphrases(passphrasesIn(bytes, path), path)
  }
}

/** One newline is the editor's, not the passphrase's; OpenSSL's `-passin file:` thinks so too. */
function withoutNewline(bytes: Uint8Array): Uint8Array {
  const end = bytes.at(-1) !== 0x0a ? bytes.length : bytes.at(-2) === 0x0d ? bytes.length - 2 : bytes.length - 1
  return bytes.subarray(0, end)
}

function fromTerminal(openOne: () => Terminal | undefined): PassphraseSource {
  let held: Terminal | undefined
  const open = (): Terminal | undefined => (held = openOne())
  const given: Passphrase[] = []
  const asked = new Map<string, number>()
  let queue: Promise<unknown> = Promise.resolve()

  return {
    unlock: (key, tried) => inTurn(async () => given.find((one) => !tried.has(one)) ?? askAgain(key, tried.size > 0)),
    choose: (key, before) =>
      inTurn(async () => before ?? given.at(-1) ?? remember(await withTerminal(open, key, askTwice))),
    close() {
      held?.close()
      for (const { bytes } of given) bytes.fill(0)
      given.length = 0
    },
  }

  /** Keys opened side by side must not ask at once: the second waits, and is offered what the first was given. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = queue.then(work)
    queue = turn.catch(() => undefined) // whoever waits for this turn hears of it
    return turn
  }

  async function askAgain(key: string, others: boolean): Promise<Passphrase | undefined> {
    const before = asked.get(key) ?? 0
    if (before === ATTEMPTS) return undefined
    asked.set(key, before + 1)
    const question = `${before === 0 ? '' : 'that passphrase does not fit; '}passphrase for ${key}: `
    try {
      return remember(await withTerminal(open, key, (terminal) => terminal.ask(question)))
    } catch (error) {
      // What was given elsewhere does not fit, which says more than that nobody can be asked.
      if (others && isKeyError(error) && error.code === 'PASSPHRASE_MISSING') return undefined
      throw error
    }
  }

  function remember(bytes: Uint8Array): Passphrase {
    const passphrase: Passphrase = { bytes, origin: 'typed' }
    given.push(passphrase)
    return passphrase
  }
}

/** The terminal is held only while somebody is asked. Throws PASSPHRASE_MISSING where there is none. */
async function withTerminal<T>(
  open: () => Terminal | undefined,
  key: string,
  use: (terminal: Terminal, key: string) => Promise<T>,
): Promise<T> {
  const terminal = open()
  if (terminal === undefined) throw new KeyError('PASSPHRASE_MISSING', { key })
  try {
    return await use(terminal, key)
  } finally {
    terminal.close()
  }
}

async function askTwice(terminal: Terminal, key: string): Promise<Uint8Array> {
  const first = await terminal.ask(`new passphrase for ${key}: `)
  if (first.length === 0) throw unusable('the terminal', 'it is empty')
  const second = await terminal.ask('the same once more: ')
  const same = sameBytes(first, second)
  second.fill(0)
  if (same) return first
  first.fill(0)
  throw unusable('the terminal', 'the two differ')
}

function notEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}

function unusable(source: string, why: string, options?: ErrorOptions): KeyError {
  return new KeyError('PASSPHRASE_UNUSABLE', { source, why }, options)
}
