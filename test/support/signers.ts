/** Real signers that are no files: an ssh-agent, a SoftHSM token, and the openssl example of the guide. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { openssl, privateFolder } from './secrets.ts'

const EXAMPLE = fileURLToPath(new URL('../../docs/guides/signers/openssl-signer.sh', import.meta.url))
const EXAMPLE_KEYS = fileURLToPath(new URL('../../docs/guides/signers/openssl-keys.sh', import.meta.url))
const ADDON = fileURLToPath(new URL('../../node_modules/pkcs11js/build/Release/pkcs11.node', import.meta.url))
const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
]
export const PIN = '123456'

export type SshKeyType = 'ed25519' | 'ecdsa' | 'ecdsa -b 384' | 'rsa'
export type Agent = {
  readonly env: { readonly SSH_AUTH_SOCK: string }
  readonly socket: string
  /** Makes a key, and has the agent hold it alone: what is left is its public line. */
  readonly add: (type: SshKeyType, comment: string, options?: readonly string[]) => string
  readonly forget: () => void
}

export async function startAgent(t: Test, given: Readonly<Record<string, string>> = {}): Promise<Agent> {
  const dir = privateFolder(t)
  const socket = join(dir, 'agent')
  const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore', env: { ...process.env, ...given } })
  t.teardown(() => child.kill())
  for (let tries = 0; !existsSync(socket); tries += 1) {
    if (tries > 3000) throw new Error('ssh-agent did not start')
    await delay(20)
  }
  const env = { SSH_AUTH_SOCK: socket }
  let made = 0
  return {
    env,
    socket,
    add(type, comment, options = []) {
      const file = join(dir, `key-${(made += 1)}`)
      execFileSync('ssh-keygen', ['-q', '-t', ...type.split(' '), '-N', '', '-C', comment, '-f', file])
      execFileSync('ssh-add', ['-q', ...options, file], { env: { ...process.env, ...env } })
      return execFileSync('ssh-keygen', ['-lf', `${file}.pub`], { encoding: 'utf8' }).split(' ')[1] ?? ''
    },
    forget: () => void execFileSync('ssh-add', ['-q', '-D'], { env: { ...process.env, ...env } }),
  }
}

/** A sentence for `skip`, where keys on tokens cannot be tried on this machine. */
export function whyNoTokens(): string | undefined {
  if (!existsSync(ADDON)) return 'pkcs11js is not compiled: npm run check says why'
  if (modulePath() === undefined) return 'SoftHSM is not installed (Debian: softhsm2)'
  return undefined
}

export type SoftToken = {
  readonly module: string
  readonly pinFile: string
  readonly env: Readonly<Record<'SOFTHSM2_CONF' | 'TAGSEAL_PKCS11_MODULE' | 'TAGSEAL_PIN_FILE', string>>
  /** Another token beside the first, under the same PIN. */
  readonly init: (label: string) => void
}

export function startToken(t: Test, label = 'release'): SoftToken {
  const module = modulePath()
  if (module === undefined) throw new Error('SoftHSM is not installed')
  const dir = privateFolder(t)
  const [tokens, conf, pinFile] = [join(dir, 'tokens'), join(dir, 'softhsm2.conf'), join(dir, 'pin')]
  mkdirSync(tokens)
  writeFileSync(conf, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`)
  writeFileSync(pinFile, `${PIN}\n`, { mode: 0o400 })
  const env = { SOFTHSM2_CONF: conf, TAGSEAL_PKCS11_MODULE: module, TAGSEAL_PIN_FILE: pinFile }
  const init = (name: string) => {
    const args = ['--init-token', '--free', '--label', name, '--pin', PIN, '--so-pin', '87654321']
    const { status, stderr } = spawnSync('softhsm2-util', args, { env: { ...process.env, ...env }, encoding: 'utf8' })
    if (status !== 0) throw new Error(`softhsm2-util failed: ${stderr}`)
  }
  init(label)
  return { module, pinFile, env, init }
}

function modulePath(): string | undefined {
  return MODULES.find((path) => existsSync(path))
}

const OPENSSL_KEYS = {
  ed25519: ['-algorithm', 'ed25519'],
  'ecdsa-p256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'ecdsa-p384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'rsa-pss': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
} as const

/** The reference of a new key behind the example of the guide. */
export function exampleSigner(t: Test, algorithm: keyof typeof OPENSSL_KEYS): string {
  const dir = privateFolder(t)
  const [program, key] = [join(dir, 'openssl-signer.sh'), join(dir, 'key.pem')]
  copyFileSync(EXAMPLE, program)
  chmodSync(program, 0o700)
  openssl(['genpkey', ...OPENSSL_KEYS[algorithm], '-out', key])
  return `exec:${program}?arg=${encodeURIComponent(key)}`
}

/** A copy of the guide's program that keeps a folder of keys and makes them itself. */
export function exampleProgram(t: Test): string {
  const program = join(privateFolder(t), 'openssl-keys.sh')
  copyFileSync(EXAMPLE_KEYS, program)
  chmodSync(program, 0o700)
  return program
}

/** The reference of a program that somebody wrote for one test, in the language of the shell. */
export function shellSigner(t: Test, script: string): string {
  const program = join(privateFolder(t), 'signer')
  writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o700 })
  return `exec:${program}`
}
