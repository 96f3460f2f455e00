import { sameBytes } from '../bytes.ts'
import { KeyError } from '../errors.ts'
import type { Passphrase, PassphraseSource } from './passphrase.ts'

/**
 * Passphrases that are already there: tried one after the other, before anybody is asked. Wiped on close.
 * A new key is put under the only one; of several none is taken by guess.
 */
export function knownPassphrases(known: readonly Passphrase[], source: string): PassphraseSource {
  const [first, ...more] = known
  return {
    unlock: async (_key, tried) => known.find((passphrase) => !tried.has(passphrase)),
    async choose(_key, before) {
      if (first !== undefined && more.length === 0) return first
      if (before !== undefined) return before
      throw new KeyError('PASSPHRASE_UNUSABLE', { source, why: 'it holds several, and not one for new keys' })
    },
    close() {
      for (const { bytes } of known) bytes.fill(0)
    },
  }
}

/** What each of the sources knows, in their order. The last one chooses for new keys, unless another is named. */
export function inOrder(
  sources: readonly [PassphraseSource, ...PassphraseSource[]],
  chooser: PassphraseSource = sources.at(-1) ?? sources[0],
): PassphraseSource {
  return {
    async unlock(key, tried) {
      for (const source of sources) {
        const found = await source.unlock(key, tried)
        if (found !== undefined) return found
      }
      return undefined
    },
    choose: chooser.choose,
    close() {
      for (const source of sources) source.close()
    },
  }
}

/** Nobody has more roles to sign for. */
const MOST_LINES = 32

/**
 * What a passphrase file says. One line is one passphrase; so is the whole of it, whatever it holds. Several lines are
 * several, each of them with or without the name of its role before it (`root: ...`, `NOTARY_ROOT_PASSPHRASE=...`).
 */
export function passphrasesIn(content: Uint8Array, source: string): readonly Passphrase[] {
  const whole = { bytes: content, origin: 'machine' } as const
  const lines = splitLines(content)
  if (lines.length < 2) return [whole]
  if (lines.length > MOST_LINES) {
    throw new KeyError('PASSPHRASE_UNUSABLE', { source, why: `it has more than ${MOST_LINES} lines` })
  }
  const each = lines.flatMap((line) => [line, ...afterName(line)]).map((bytes) => ({ bytes, origin: 'typed' as const }))
  return [...each, whole]
}

/**
 * The passphrases that `notary` and `docker` take from the environment. Whoever moves here has them set, and keys that
 * come from there stay under them.
 */
export function passphrasesFromEnvironment(env: Readonly<Record<string, string | undefined>>): readonly Passphrase[] {
  const known: Passphrase[] = []
  for (const name of VARIABLES) {
    const bytes = new Uint8Array(Buffer.from(env[name] ?? ''))
    const isNew = bytes.length > 0 && !known.some((one) => sameBytes(one.bytes, bytes))
    if (isNew) known.push({ bytes, origin: 'typed' })
  }
  return known
}

const VARIABLES = [
  'NOTARY_ROOT_PASSPHRASE',
  'NOTARY_TARGETS_PASSPHRASE',
  'NOTARY_SNAPSHOT_PASSPHRASE',
  'NOTARY_DELEGATION_PASSPHRASE',
  'DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE',
  'DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE',
]

const [NEWLINE, RETURN] = [0x0a, 0x0d]

/** Lines that are not empty; views of `content`, wiped with it. */
function splitLines(content: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = []
  for (let at = 0; at < content.length; ) {
    const found = content.indexOf(NEWLINE, at)
    const next = found < 0 ? content.length : found
    const end = content[next - 1] === RETURN ? next - 1 : next
    if (end > at) lines.push(content.subarray(at, end))
    at = next + 1
  }
  return lines
}

function afterName(line: Uint8Array): readonly Uint8Array[] {
  const [name] = /^[A-Za-z0-9_./-]+[:=] */.exec(Buffer.from(line).toString('latin1')) ?? []
  return name === undefined || name.length === line.length ? [] : [line.subarray(name.length)]
}
