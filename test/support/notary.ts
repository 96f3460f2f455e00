import { createPublicKey } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'

/** SPKI of whatever half of a key pair OpenSSL finds in a PEM file. */
export function publicOfPem(pem: string): Uint8Array {
  return createPublicKey(pem).export({ format: 'der', type: 'spki' })
}

export const NOTARY_PASSPHRASES = {
  NOTARY_ROOT_PASSPHRASE: 'rootpass123',
  NOTARY_TARGETS_PASSPHRASE: 'targetspass123',
  NOTARY_SNAPSHOT_PASSPHRASE: 'snapshotpass123',
  NOTARY_DELEGATION_PASSPHRASE: 'delegpass123',
}

/** Somebody with Debian's `notary` and a trust folder of their own. */
export type NotaryUser = {
  /** As `~/.notary`. */
  readonly dir: string
  /** Says yes where it asks. Throws with what it printed, unless it ends with 0. */
  readonly run: (...args: readonly string[]) => Promise<Ran>
}

export async function whyNoNotary(): Promise<string | undefined> {
  const { code } = await runProgram('notary', ['version'])
  return code === 127 ? 'SKIPPED: notary is not installed (apt-get install notary)' : undefined
}

export function notaryUser(dir: string, { url, ca }: { readonly url: string; readonly ca: string }): NotaryUser {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const config = join(dir, 'config.json')
  writeFileSync(config, JSON.stringify({ trust_dir: dir, remote_server: { url, root_ca: ca } }))
  return {
    dir,
    async run(...args) {
      const env = { ...process.env, ...NOTARY_PASSPHRASES, HOME: dir }
      const ran = await runProgram('notary', ['-c', config, ...args], { env, input: 'yes\n' })
      if (ran.code !== 0) throw new Error(`notary ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
      return ran
    },
  }
}
