/** A database for `notary-server`, so that it can be measured keeping what it is sent, as we do. */
import { spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { run } from './measure.ts'

export type Postgres = { readonly url: string; readonly close: () => Promise<void> }

const INSTALLED = '/usr/lib/postgresql'
/** What notary's own migrations make, of the tables that its server uses. */
const SCHEMA = `
CREATE TABLE tuf_files (id serial PRIMARY KEY, created_at timestamp, updated_at timestamp, deleted_at timestamp,
  gun varchar(255) NOT NULL, role varchar(255) NOT NULL, version integer NOT NULL, data bytea NOT NULL, sha256 char(64),
  UNIQUE (gun, role, version));
CREATE INDEX tuf_files_sha256_idx ON tuf_files (sha256);
CREATE TABLE change_category (category varchar(20) PRIMARY KEY);
INSERT INTO change_category VALUES ('update'), ('deletion');
CREATE TABLE changefeed (id serial PRIMARY KEY, created_at timestamp DEFAULT current_timestamp,
  gun varchar(255) NOT NULL, version integer NOT NULL, sha256 char(64),
  category varchar(20) DEFAULT 'update' REFERENCES change_category);
CREATE INDEX idx_changefeed_gun ON changefeed (gun);`

/** With its usual durability, on a port of this machine alone; undefined where it is not installed or we are not root. */
export async function startPostgres(port: number): Promise<Postgres | undefined> {
  const bin = programs()
  const owner = ownerOf('postgres')
  if (bin === undefined || owner === undefined || process.getuid?.() !== 0) return undefined
  const dir = await mkdtemp(join(tmpdir(), 'tagseal-postgres-')) // not below ours, into which it may not look
  chownSync(dir, owner.uid, owner.gid)
  const as = ['--reuid', String(owner.uid), '--regid', String(owner.gid), '--clear-groups']
  const data = join(dir, 'data')
  await run({ command: 'setpriv', args: [...as, join(bin, 'initdb'), '-D', data, '-A', 'trust', '-U', 'notary'] })
  const settings = ['listen_addresses=127.0.0.1', `port=${port}`, `unix_socket_directories=${dir}`]
  const args = [...as, join(bin, 'postgres'), '-D', data, ...settings.flatMap((setting) => ['-c', setting])]
  const server = spawn('setpriv', args, { stdio: 'ignore' })
  const ended = new Promise((resolve) => server.on('close', resolve))
  await writeFile(join(dir, 'schema.sql'), SCHEMA)
  const place = ['-h', '127.0.0.1', '-p', String(port), '-U', 'notary', 'postgres']
  await patiently(() => run({ command: join(bin, 'psql'), args: [...place, '-qf', join(dir, 'schema.sql')] }))
  return {
    url: `postgres://notary@127.0.0.1:${port}/postgres?sslmode=disable`,
    async close() {
      server.kill('SIGINT')
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function programs(): string | undefined {
  if (!existsSync(INSTALLED)) return undefined
  return readdirSync(INSTALLED)
    .map((version) => join(INSTALLED, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')))
}

function ownerOf(name: string): { readonly uid: number; readonly gid: number } | undefined {
  const [uid, gid] = ['-u', '-g'].map((of) => Number(spawnSync('id', [of, name], { encoding: 'utf8' }).stdout))
  return uid === undefined || gid === undefined || uid === 0 || gid === 0 ? undefined : { uid, gid }
}

async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (let left = 100; ; left--) {
    try {
      await work()
      return
    } catch (error) {
      if (left === 0) throw error
      await pause(100)
    }
  }
}
