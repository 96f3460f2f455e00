import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { runProgram } from './program.ts'
import type { TestCertificate } from './tls.ts'

const PROGRAM = 'notary-server'
const TRIES = 200

/** Debian's `notary-server`, the program that we take the place of. */
export type NotaryServer = { readonly url: string; readonly stop: () => Promise<void> }

export async function whyNoNotaryServer(): Promise<string | undefined> {
  const { code } = await runProgram(PROGRAM, ['-h'])
  return code === 127 ? `SKIPPED: ${PROGRAM} is not installed (apt-get install notary)` : undefined
}

/** Where it sends clients for a token, and whose signature the token must have. */
export type NotaryTokenAuth = {
  readonly realm: string
  readonly service: string
  readonly issuer: string
  readonly rootcertbundle: string
}

/** Starts one with its memory store and the given certificate. The caller stops it. */
export async function startNotaryServer(
  { cert, key }: TestCertificate,
  token?: NotaryTokenAuth,
): Promise<NotaryServer> {
  const dir = await mkdtemp(join(tmpdir(), 'tagseal-notary-'))
  const port = await freePort()
  const address = `127.0.0.1:${port}`
  const config = {
    server: { http_addr: address, tls_cert_file: cert, tls_key_file: key },
    trust_service: { type: 'local' },
    storage: { backend: 'memory' },
    logging: { level: 'error' },
    ...(token === undefined ? {} : { auth: { type: 'token', options: token } }),
  }
  await writeFile(join(dir, 'config.json'), JSON.stringify(config))
  const child = spawn(PROGRAM, ['-config', join(dir, 'config.json')], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    await rm(dir, { recursive: true, force: true })
  }
  const url = `https://${address}`
  if (await listens(port)) return { url, stop }
  await stop()
  throw new Error(`${PROGRAM} does not listen at ${url}`)
}

async function listens(port: number): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (await connects(port)) return true
    await pause(25)
  }
  return false
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
