import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { Test } from 'tap'
import { fixedPassphrase } from '../../keys/keystore/passphrase-source.ts'
import type { PassphraseSource } from '../../keys/keystore/passphrase.ts'

/** A folder of its own, outside the checkout: its modes and owner matter. Removed with the test. */
export function privateFolder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-keys-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export function passphrase(text: string, origin: 'typed' | 'machine' = 'machine'): PassphraseSource {
  return fixedPassphrase(Buffer.from(text), origin)
}

/** The real program. */
export function openssl(args: readonly string[], input?: string): string {
  return execFileSync('openssl', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Every text that a value shows: inspected, printed, serialised, its message and stack. */
export function everythingShown(value: unknown): string {
  const shown = [inspect(value, { depth: 10, showHidden: true }), String(value), JSON.stringify(value) ?? '']
  if (value instanceof Error) shown.push(value.stack ?? '', inspect(value.cause, { depth: 10 }))
  return shown.join('\n')
}

/** Fails when a text holds the bytes in any spelling. */
export function refuseLeak(t: Test, shown: string, secret: Uint8Array, what: string): void {
  const bytes = Buffer.from(secret)
  for (const spelling of ['utf8', 'hex', 'base64', 'base64url'] as const) {
    t.notOk(shown.includes(bytes.toString(spelling)), `${what} shows the secret as ${spelling}`)
  }
  t.notOk(shown.includes([...bytes].join(', ')), `${what} shows the secret as numbers`)
  t.notOk(shown.includes(inspect(bytes).slice(8, 50)), `${what} shows the secret as a buffer`)
}
