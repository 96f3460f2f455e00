import { createHash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { access, cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { run } from './measure.ts'
import type { Program } from './measure.ts'

export type Notary = {
  readonly url: string
  /** Fills a new repository with `tags` tags in one publish. */
  readonly fill: (repo: string, tags: number) => Promise<void>
  readonly publish: (repo: string, tag: string) => Program
  readonly lookup: (repo: string, tag: string) => Program
  /** Forgets what the client cached, and keeps its keys. */
  readonly forget: () => Promise<void>
  readonly close: () => Promise<void>
}

const PASSPHRASES = {
  NOTARY_ROOT_PASSPHRASE: 'rootpass123',
  NOTARY_TARGETS_PASSPHRASE: 'targetspass123',
  NOTARY_SNAPSHOT_PASSPHRASE: 'snapshotpass123',
  NOTARY_DELEGATION_PASSPHRASE: 'delegpass123',
}
export const DIGEST = createHash('sha256').update('a manifest').digest('hex')

export async function hasNotary(): Promise<boolean> {
  return await access('/usr/bin/notary-server').then(
    () => true,
    () => false,
  )
}

/** Debian's `notary-server`, over the given certificate or in plain http; with its memory store or a database. */
export async function startNotary(
  dir: string,
  port: number,
  tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined,
  database?: string,
): Promise<Notary> {
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  const serverFile = join(dir, 'server.json')
  const clientFile = join(dir, 'client.json')
  await mkdir(dir, { recursive: true })
  await writeFile(serverFile, JSON.stringify(serverConfig(port, tls, database)))
  const remote = tls === undefined ? { url } : { url, root_ca: tls.ca }
  await writeFile(clientFile, JSON.stringify({ trust_dir: join(dir, 'trust'), remote_server: remote }))
  const server = spawn('notary-server', ['-config', serverFile], { stdio: 'ignore' })
  // Listened for from the start: 0.7.0 on a database can end by itself under load ("concurrent map read and map write").
  const ended = new Promise((resolve) => server.on('close', resolve))
  const notary = (...args: string[]): Program => ({
    command: 'notary',
    args: ['-c', clientFile, ...args],
    env: PASSPHRASES,
  })
  await waitUntilUp(url, tls?.ca)
  return {
    url,
    async fill(repo, tags) {
      await run(notary('init', '-p', repo))
      await writeChanges(join(dir, 'trust/tuf', repo, 'changelist'), tags)
      await run(notary('publish', repo))
    },
    publish: (repo, tag) => notary('addhash', '-p', repo, tag, '1024', '--sha256', DIGEST),
    lookup: (repo, tag) => notary('lookup', repo, tag),
    async forget() {
      await rm(join(dir, 'trust/tuf'), { recursive: true, force: true })
    },
    async close() {
      server.kill('SIGTERM')
      await ended
    },
  }
}

function serverConfig(
  port: number,
  tls: { readonly cert: string; readonly key: string } | undefined,
  database: string | undefined,
): object {
  const files = tls === undefined ? {} : { tls_cert_file: tls.cert, tls_key_file: tls.key }
  return {
    server: { http_addr: `127.0.0.1:${port}`, ...files },
    trust_service: { type: 'local' },
    storage: database === undefined ? { backend: 'memory' } : { backend: 'postgres', db_url: database },
    logging: { level: 'error' },
  }
}

/** The client's own form of staged changes: staging 10,000 tags one command at a time would take a minute. */
async function writeChanges(dir: string, tags: number): Promise<void> {
  const staged = `${dir}.staged`
  await mkdir(staged, { recursive: true })
  for (let i = 0; i < tags; i++) {
    const sha256 = createHash('sha256').update(String(i)).digest('base64')
    const data = Buffer.from(JSON.stringify({ length: 1024, hashes: { sha256 } })).toString('base64')
    const change = { action: 'create', role: 'targets', type: 'target', path: `tag-${i}`, data }
    await writeFile(join(staged, `${String(i).padStart(19, '0')}_x.change`), JSON.stringify(change))
  }
  await cp(staged, dir, { recursive: true })
  await rm(staged, { recursive: true })
}

async function waitUntilUp(url: string, ca: string | undefined): Promise<void> {
  const trusted = ca === undefined ? [] : ['--cacert', ca]
  for (let i = 0; i < 100; i++) {
    const up = await run({ command: 'curl', args: ['-sf', ...trusted, `${url}/_notary_server/health`] }).then(
      () => true,
      () => false,
    )
    if (up) return
    await pause(50)
  }
  throw new Error(`notary-server did not answer at ${url}`)
}
