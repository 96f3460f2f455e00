/** Repositories in Notary's dialect, on our server and on `notary-server`: what their clients ask, and what they upload. */
import http from 'node:http'
import https from 'node:https'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificate } from './certificate.ts'
import { load, round } from './measure.ts'
import { startNotary } from './notary.ts'
import { makeNotaryKeys, rootFile, targetsFile } from './notary-files.ts'
import type { NotaryKeys, ServerKey } from './notary-files.ts'
import { startOurs } from './ours.ts'
import { startPostgres } from './postgres.ts'

type Peer = { readonly url: string; readonly close: () => Promise<void> }
type Rates = Readonly<Record<string, number>>
type Transport = { readonly tls: Certificate | undefined; readonly close: boolean }
type Load = { readonly seconds: number; readonly rounds: number }

const PREFIX = 'example.com/bench/'
/** Publishers at once, each of a repository of its own. */
const REPOSITORIES = 8
/** Versions that one publisher sends before another server has its turn. */
const BATCH = 10

/**
 * Requests per second of our server, which keeps what it is sent on the disk, of `notary-server` with its memory store,
 * which does not, and of `notary-server` on PostgreSQL, which does, where that is installed.
 */
export async function notaryDialectFigures(
  dir: string,
  { tls, ...load }: Load & { readonly tls: Certificate },
): Promise<Record<string, Rates>> {
  const keys = await makeNotaryKeys(join(dir, 'keys'), PREFIX)
  const transports: Readonly<Record<string, Transport>> = {
    'http, keep-alive': { tls: undefined, close: false },
    'http, closed connections': { tls: undefined, close: true },
    'https, closed connections': { tls, close: true },
  }
  const figures: Record<string, Rates> = {}
  for (const [at, [name, transport]] of Object.entries(transports).entries()) {
    const peers = new Map<string, Peer>()
    try {
      await startPeers(peers, join(dir, String(at)), 14_482 + 10 * at, transport)
      Object.assign(figures, await measure(peers, { keys, transport, name, ...load }))
    } finally {
      await Promise.all([...peers.values()].map((peer) => peer.close()))
    }
  }
  return figures
}

/** Each is in `peers` as soon as it runs, to be closed whatever becomes of the next. */
async function startPeers(peers: Map<string, Peer>, dir: string, port: number, { tls }: Transport): Promise<void> {
  peers.set('ours', await startOurs(join(dir, 'ours'), tls))
  peers.set('notary', await startNotary(join(dir, 'notary'), port, tls))
  const database = await startPostgres(port + 1)
  if (database === undefined) return
  const lasting = await startNotary(join(dir, 'notary-on-postgres'), port + 2, tls, database.url)
  peers.set('notary on PostgreSQL', { url: lasting.url, close: () => lasting.close().then(() => database.close()) })
}

type Measured = Load & { readonly keys: NotaryKeys; readonly transport: Transport; readonly name: string }

async function measure(peers: Map<string, Peer>, measured: Measured): Promise<Record<string, Rates>> {
  const { keys, transport, name, seconds } = measured
  const figures: Record<string, Rates> = {}
  const keep = (what: string, rates: Rates) => {
    figures[`${what}, ${name}`] = rates
    console.log(`notary dialect, ${what}, ${name}: ${JSON.stringify(withRatios(rates))} requests per second`)
  }
  for (const tags of [10, 1000]) {
    const repos = Array.from({ length: REPOSITORIES }, (_, at) => `${PREFIX}${tags}-${at}`)
    for (const { url } of peers.values()) {
      const send = await sender(url, transport)
      for (const repo of repos) await create(send, repo, keys, tags)
    }
    keep(`upload of ${tags} tags`, await uploads(peers, repos, tags, measured))
  }
  const asked = { seconds, connections: 32, close: transport.close }
  const rates: Record<string, number> = {}
  for (const [peer, { url }] of peers) {
    rates[peer] = await load(`${url}/v2/${PREFIX}10-0/_trust/tuf/timestamp.json`, asked)
  }
  keep('GET timestamp.json', rates)
  return figures
}

function withRatios(rates: Rates): Rates {
  const { ours = 0, ...others } = rates
  const ratios = Object.entries(others).map(([peer, rate]) => [`ratio to ${peer}`, round(ours / rate)] as const)
  return { ...rates, ...Object.fromEntries(ratios) }
}

/** Each server in turn gets a batch of versions from all publishers at once, the same bytes. */
async function uploads(
  peers: Map<string, Peer>,
  repos: readonly string[],
  tags: number,
  { keys, transport, rounds }: Measured,
): Promise<Rates> {
  const times = new Map<string, number[]>([...peers.keys()].map((peer) => [peer, []]))
  for (let turn = 0; turn < rounds; turn++) {
    const files = Array.from({ length: BATCH }, (_, at) => targetsFile(keys, 2 + turn * BATCH + at, tags))
    for (const [peer, { url }] of turn % 2 === 0 ? [...peers] : [...peers].toReversed()) {
      const send = await sender(url, transport) // connections of the last turn may have been closed since
      const started = performance.now()
      const all = Promise.all(repos.map((repo) => publishAll(send, repo, files)))
      const failure = await all.then(() => undefined, asError)
      if (failure === undefined) times.get(peer)?.push(performance.now() - started)
      else await dismiss(peers, peer, failure)
    }
  }
  const sent = BATCH * repos.length
  return Object.fromEntries([...times].map(([peer, each]) => [peer, round((each.length * sent * 1000) / sum(each))]))
}

/** `notary-server` on a database can end by itself under load, which is no reason to measure nothing more. */
async function dismiss(peers: Map<string, Peer>, peer: string, failure: Error): Promise<void> {
  if (peer === 'ours') throw failure
  console.log(`notary dialect: ${peer} is measured no further: ${failure.message}`)
  await peers.get(peer)?.close()
  peers.delete(peer)
}

function asError(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(String(failure))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0)
}

async function publishAll(send: Send, repo: string, files: readonly Buffer[]): Promise<void> {
  for (const targets of files) await publish(send, repo, { targets })
}

async function create(send: Send, repo: string, keys: NotaryKeys, tags: number): Promise<void> {
  const key = async (role: string) =>
    JSON.parse((await send('GET', `/v2/${repo}/_trust/tuf/${role}.key`)).toString('utf8')) as ServerKey
  const root = rootFile(keys, await key('timestamp'), await key('snapshot'))
  await publish(send, repo, { root, targets: targetsFile(keys, 1, tags) })
}

async function publish(send: Send, repo: string, files: Readonly<Record<string, Buffer>>): Promise<void> {
  const boundary = 'e9f10b1c5f8a4d7e'
  const parts = Object.entries(files).flatMap(([role, bytes]) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="files"; filename="${role}"\r\n`),
    Buffer.from('Content-Type: application/octet-stream\r\n\r\n'),
    bytes,
    Buffer.from('\r\n'),
  ])
  const body = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)])
  await send('POST', `/v2/${repo}/_trust/tuf/`, { type: `multipart/form-data; boundary=${boundary}`, body })
}

type Send = (method: string, path: string, content?: { type: string; body: Buffer }) => Promise<Buffer>

/** Sends as Go's client does: no `Accept`, and the connection closed after each request where that is asked. */
async function sender(url: string, { tls, close }: Transport): Promise<Send> {
  const { Agent, request } = tls === undefined ? http : https
  const ca = tls === undefined ? {} : { ca: await readFile(tls.ca) }
  const agent = new Agent({ keepAlive: !close, maxSockets: REPOSITORIES, maxCachedSessions: 0, ...ca })
  return (method, path, content) =>
    new Promise((resolve, reject) => {
      const typed = content === undefined ? {} : { 'content-type': content.type, 'content-length': content.body.length }
      const headers = { ...typed, ...(close ? { connection: 'close' } : {}) }
      const sent = request(url + path, { method, agent, headers }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks)
          if (answer.statusCode === 200) resolve(text)
          else reject(new Error(`${method} ${path} answered ${answer.statusCode}: ${text.toString('utf8')}`))
        })
      })
      sent.on('error', (cause) => reject(new Error(`${method} ${url}${path} failed: ${cause.message}`, { cause })))
      sent.end(content?.body)
    })
}
