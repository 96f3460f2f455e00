import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { openSignerStore } from '../../server/signer/store.ts'
import { loadSignerSettings } from '../../server/signer/config.ts'
import type { SignerSettings } from '../../server/signer/config.ts'
import { startSigner } from '../../server/signer/start.ts'
import type { RunningSigner } from '../../server/signer/start.ts'
import type { OnlineRole } from '../../server/storage/store.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { DEFAULT_LIMITS, SNAPSHOT, TIMESTAMP, tufCodec } from '../../tuf/index.ts'
import type { Snapshot, Timestamp } from '../../tuf/index.ts'
import { NOW, openTestServer, REPO } from '../server/support/app.ts'
import type { TestServer } from '../server/support/app.ts'

/** A signer in this process, on a real socket, and whoever can reach that. */
export type SignerLab = {
  readonly signer: RunningSigner
  readonly data: string
  readonly clock: { now: number }
  readonly ask: (path: string, body?: unknown, options?: AskOptions) => Promise<SignerAnswer>
  /** Its audit. */
  readonly lines: readonly Readonly<Record<string, unknown>>[]
  /** What it remembers of a repository. */
  readonly memory: (repository?: string) => object
}
export type AskOptions = { readonly headers?: Readonly<Record<string, string>>; readonly method?: string }
export type SignerAnswer = { readonly status: number; readonly json: Readonly<Record<string, unknown>> }

type Flags = Partial<Record<keyof SignerSettings, string | number | boolean>>

export async function openSignerLab(
  t: Pick<Test, 'teardown'>,
  flags: Flags = {},
  clock = { now: NOW },
): Promise<SignerLab> {
  const data = typeof flags.data === 'string' ? flags.data : mkdtempSync(join(tmpdir(), 'tagseal-signer-'))
  const lines: Readonly<Record<string, unknown>>[] = []
  const logger = pino(
    { level: 'info', base: null },
    { write: (line: string) => void lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>) },
  )
  const settings = loadSignerSettings({ flags: { ...flags, data }, env: {} })
  const around = { clock: () => clock.now, monotonic: () => clock.now, env: {}, logger }
  const signer = await startSigner(settings, around)
  t.teardown(async () => {
    await signer.close()
    if (flags.data === undefined) rmSync(data, { recursive: true, force: true })
  })
  return {
    signer,
    data,
    clock,
    lines,
    ask: (path, body, options) => askSigner(signer.url, path, body, options),
    memory: (repository = REPO) => memoryOf(data, repository),
  }
}

/** As anybody does who can open the socket. A body of text goes as it is. */
export function askSigner(url: string, path: string, body?: unknown, options: AskOptions = {}): Promise<SignerAnswer> {
  const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  const headers = { ...(payload === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers }
  const method = options.method ?? (payload === undefined ? 'GET' : 'POST')
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: url.replace('unix:', ''), path, method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const json = JSON.parse(Buffer.concat(parts).toString('utf8')) as SignerAnswer['json']
        resolve({ status: answer.statusCode ?? 0, json })
      })
    })
    asking.on('error', reject)
    asking.end(payload)
  })
}

function memoryOf(data: string, repository: string): object {
  const store = openSignerStore(data)
  try {
    const roles = ['timestamp', 'snapshot'] as const
    return {
      count: store.count(),
      marks: roles.map((role) => store.mark(repository, role)),
      keys: roles.map((role) => store.keys(repository, role).map((key) => [key.keyid, store.listings(key)])),
    }
  } finally {
    store.close()
  }
}

const CONTEXT = { suite: nativeSuite, limits: DEFAULT_LIMITS }

/** A web server whose keys are in a signer, with what a thief of it finds. */
export type Theft = SignerLab & {
  readonly server: TestServer
  readonly keyOf: (role: OnlineRole, repository?: string) => Promise<string>
  readonly current: <R extends OnlineRole>(role: R) => Promise<R extends 'timestamp' ? Timestamp : Snapshot>
  /** Asks for a signature over this file, or over this body. */
  readonly sign: (wish: SignWish) => Promise<SignerAnswer>
}
export type SignWish = {
  readonly role: string
  readonly body?: Timestamp | Snapshot
  readonly file?: string
  readonly repository?: string
  readonly dialect?: string
  readonly keyid?: string
}

export async function openTheft(t: Test, flags: Flags = {}, settings: object = {}): Promise<Theft> {
  const lab = await openSignerLab(t, flags)
  const server = await openTestServer(t, { onlineKeys: lab.signer.url, ...settings }, lab.clock)
  const { keys, metadata } = server.services.deps.store
  const keyOf = async (role: OnlineRole, repository = REPO) => (await keys.list(repository, role)).at(-1)?.keyid ?? ''
  return {
    ...lab,
    server,
    keyOf,
    async current(role) {
      const stored = await metadata.current(REPO, role === 'timestamp' ? TIMESTAMP : SNAPSHOT)
      if (stored === undefined) throw new Error(`there is no ${role}`)
      return tufCodec.decode(role, stored.bytes, CONTEXT).body as never
    },
    async sign({ role, body, file, repository = REPO, dialect = 'tuf-1.0', keyid }) {
      const id = keyid ?? (await keyOf(role === 'timestamp' ? 'timestamp' : 'snapshot', repository))
      const text = file ?? (body && Buffer.from(tufCodec.assemble(body, [])).toString('utf8'))
      return lab.ask('/v1/signatures', { repository, role, keyid: id, dialect, file: text })
    },
  }
}
