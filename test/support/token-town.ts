import { mkdir, writeFile } from 'node:fs/promises'
import { get as httpsGet } from 'node:https'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { NotaryTokenAuth } from './notary-server.ts'
import { NOTARY_PASSPHRASES } from './notary.ts'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'
import { startServer } from './server.ts'
import type { TestServer } from './server.ts'
import { makeCertificate } from './tls.ts'
import type { TestCertificate } from './tls.ts'
import { run } from '../server/support/process.ts'

/** A server of ours with TLS that asks for tokens, and issues access tokens for two other services. */
export type TokenTown = {
  readonly server: TestServer
  readonly tls: TestCertificate
  /** What the others are told about us. */
  readonly auth: (service: 'peers' | 'registry') => NotaryTokenAuth
  readonly token: (name: string, repository: string, allow: string) => Promise<string>
  readonly revoke: (name: string) => Promise<void>
  /** Method, path without its query, status of every request since the last time. */
  readonly asked: () => Promise<readonly string[]>
  readonly close: () => Promise<void>
}

export async function openTokenTown(dir: string, ...args: readonly string[]): Promise<TokenTown> {
  const tls = await makeCertificate(join(dir, 'tls'))
  const server = await startServer({
    args: ['--tls-cert', tls.cert, '--tls-key', tls.key, ...args],
    env: { TAGSEAL_SERVER_TOKEN_SERVICES: 'peers, registry=registry.example.com' },
  })
  const data = ['--data', server.data]
  const rootcertbundle = join(dir, 'tokens.pem')
  await writeFile(rootcertbundle, (await run(['token', 'certificate', ...data])).stdout)
  let [seen, marks] = [0, 0]
  return {
    server,
    tls,
    auth: (service) => ({ realm: `${server.url}/token`, service, issuer: 'tagseal-server', rootcertbundle }),
    async token(name, repository, allow) {
      const wanted = ['--name', name, '--repo', repository, '--allow', allow]
      return (await run(['token', 'create', ...data, ...wanted])).stdout.trim()
    },
    async revoke(name) {
      await run(['token', 'revoke', name, ...data])
    },
    async asked() {
      const mark = `/mark-${++marks}`
      await get(server.url + mark, tls)
      while (!server.log().includes(mark)) await pause(50) // the log is written twice a second
      const lines = server.log().split('\n')
      const fresh = lines.slice(seen)
      seen = lines.length - 1
      return fresh.flatMap(requestOf).filter((request) => !request.includes(mark))
    },
    async close() {
      await server.stop()
      await server.remove()
    },
  }
}

function get(url: string, { caText }: TestCertificate): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = httpsGet(url, { ca: caText, agent: false }, (answer) => {
      answer.resume()
      answer.on('end', resolve)
    })
    request.on('error', reject)
  })
}

function requestOf(line: string): string[] {
  const [, method = '', path = '', status = ''] =
    /"method":"(\w+)","url":"([^?"]+)[^"]*","status":(\d+)/.exec(line) ?? []
  return method === '' ? [] : [`${method} ${path} ${status}`]
}

/** The `notary` command of one user: a trust folder of their own, and what they log in with. */
export type NotaryUser = (...args: readonly string[]) => Promise<Ran>

export async function notaryUser(
  dir: string,
  url: string,
  { ca }: TestCertificate,
  secret?: string,
): Promise<NotaryUser> {
  await mkdir(dir, { recursive: true })
  const config = join(dir, 'config.json')
  await writeFile(config, JSON.stringify({ trust_dir: join(dir, 'trust'), remote_server: { url, root_ca: ca } }))
  const auth = secret === undefined ? {} : { NOTARY_AUTH: Buffer.from(`anybody:${secret}`).toString('base64') }
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, ...NOTARY_PASSPHRASES, ...auth }
  return (...args) => runProgram('notary', ['-c', config, ...args], { env })
}
