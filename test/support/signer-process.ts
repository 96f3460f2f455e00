import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { COMPILED, TAGSEAL_SERVER } from './programs.ts'
import { privateFolder } from './secrets.ts'
import { makeCertificate } from './tls.ts'

/** A running `tagseal-server signer`. */
export type SignerProcess = {
  /** What a server is given as `onlineKeys`. */
  readonly url: string
  readonly data: string
  readonly child: ChildProcess
  /** Its audit, line by line. */
  readonly log: () => readonly Readonly<Record<string, unknown>>[]
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
}
export type SignerOptions = {
  readonly data?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts one and waits until it says that it is ready. It ends with the test. */
export async function startSignerProcess(t: Test, options: SignerOptions = {}): Promise<SignerProcess> {
  const data = options.data ?? join(privateFolder(t), 'signer')
  const args = [TAGSEAL_SERVER, 'signer', '--data', data, ...(options.args ?? [])]
  const env = { ...COMPILED, PATH: process.env['PATH'] ?? '', ...options.env }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let text = ''
  child.stderr.on('data', (part: Buffer) => void (text += part.toString('utf8')))
  const ended = once(child, 'exit')
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    await ended
  }
  t.teardown(() => stop('SIGKILL'))
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([first]) => String(first)),
    ended.then(() => Promise.reject(new Error(`the signer did not start: ${text}`))),
  ])
  const log = () =>
    text
      .split('\n')
      .filter((each) => each.startsWith('{'))
      .map((each) => JSON.parse(each) as Readonly<Record<string, unknown>>)
  return { url: line.replace('tagseal-server signer listening on ', ''), data, child, log, stop }
}

/** A signer behind mutual TLS, and the settings of a server that may ask it. */
export async function startTlsSigner(t: Test, options: SignerOptions = {}) {
  const dir = privateFolder(t)
  const [mine, theirs] = [await makeCertificate(join(dir, 'signer')), await makeCertificate(join(dir, 'server'))]
  const tls = ['--tls-cert', mine.cert, '--tls-key', mine.key, '--client-ca', theirs.ca]
  const args = ['--listen', '127.0.0.1:0', ...tls, ...(options.args ?? [])]
  const signer = await startSignerProcess(t, { ...options, args })
  return { ...signer, signerCa: mine.ca, signerCert: theirs.cert, signerKey: theirs.key }
}
