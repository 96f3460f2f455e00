/** What a server does with a database that is older than what was served from its folder, on a server without a socket. */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { backupCommand, restoreCommand } from '../../server/backup-command.ts'
import { lockData } from '../../server/storage/sqlite.ts'
import { NOW, openTestServer, REPO } from './support/app.ts'
import type { TestServer } from './support/app.ts'
import { setTag, signBoth, signTargets } from './support/party.ts'
import type { Owner } from './support/party.ts'

const HOUR = 3_600_000
const file = (name: string, repository = REPO) => `/v2/${repository}/_trust/tuf/${name}`

type Lab = { readonly data: string; readonly backup: string; readonly teardown: (end: () => unknown) => unknown }

function lab(t: Test): Lab {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-restore-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return { data: join(dir, 'data'), backup: join(dir, 'backup.db'), teardown: (end) => t.teardown(end) }
}

/** What the programs print, as they run in a process of their own; `test/journeys/restored-backup.test.ts` has those. */
async function run([name = '', ...args]: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const deps = {
    env: {},
    out: (line: string) => void stdout.push(`${line}\n`),
    note: (line: string) => void stderr.push(`note: ${line}\n`),
    clock: () => NOW,
  }
  let code = 0
  try {
    await (name === 'backup' ? backupCommand : restoreCommand)(deps).parseAsync(args, { from: 'user' })
  } catch (error) {
    code = 2
    stderr.push(`error: ${String(error)} (${error instanceof Error && 'code' in error ? String(error.code) : ''})\n`)
  }
  return { code, stdout: stdout.join(''), stderr: stderr.join('') }
}

type Closing = TestServer & { readonly close: () => Promise<void> }

/** One that is closed before the next one opens the same folder. */
async function open({ data }: Lab): Promise<Closing> {
  const ends: (() => unknown)[] = []
  const server = await openTestServer({ teardown: (end) => ends.push(end) }, { data })
  return { ...server, close: async () => void (await Promise.all(ends.map((end) => end()))) }
}

async function versionOf(server: TestServer, role: string, headers = {}): Promise<number> {
  const answer = await server.get(file(`${role}.json`), headers)
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return answer.json<{ signed: { version: number } }>().signed.version
}

const codeIn = (answer: { body: string }) => (JSON.parse(answer.body) as { errors: { code: string }[] }).errors[0]?.code
const TO_PUBLISH = { 'x-tagseal-purpose': 'publish' }

/** Publishes once, backs up, publishes `more` times, and gives what was published last. */
async function published(at: Lab, more: number): Promise<{ owner: Owner; lost: Uint8Array; timestamp: number }> {
  const server = await open(at)
  const owner = await server.create(['1.0'])
  const ran = await run(['backup', '--data', at.data, '--out', at.backup])
  if (ran.code !== 0) throw new Error(ran.stderr)
  let lost = await signTargets(owner)
  for (let i = 0; i < more; i++) {
    setTag(owner, server.clock.now, '1.0', `published after the backup ${i}`)
    lost = await signTargets(owner)
    const answer = await server.publish({ targets: lost })
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }
  const timestamp = await versionOf(server, 'timestamp')
  await server.close()
  return { owner, lost, timestamp }
}

function replaceDatabase({ data, backup }: Lab): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(data, `tagseal.db${suffix}`), { force: true })
  copyFileSync(backup, join(data, 'tagseal.db'))
}

await t.test('a database that was put back by hand is known by its marks, and nothing of it is served', async (t) => {
  const at = lab(t)
  await published(at, 2)
  replaceDatabase(at)
  for (let start = 1; start <= 2; start++) {
    const server = await open(at)
    for (const [url, what] of [
      [file('timestamp.json'), 'metadata'],
      [file('timestamp.key'), 'the keys'],
      [`/v1/repositories/${REPO}`, 'what the repository is'],
      ['/readyz', 'readyz'],
    ] as const) {
      const answer = await server.get(url)
      t.equal(answer.statusCode, 503, `${what}, start ${start}`)
      if (url !== '/readyz') t.equal(codeIn(answer), 'RESTORED', what)
      t.match(answer.body, /restore --resume/, `${what} says what comes next`)
    }
    t.equal((await server.get('/v2/_trust/changefeed')).statusCode, 503)
    t.equal((await server.get('/healthz')).statusCode, 200)
    const other = await server.publish({ targets: Buffer.from('{}') })
    t.equal(codeIn(other), 'RESTORED', 'nor is anything taken')
    await server.close()
  }
  t.match(
    (await run(['restore', '--data', at.data, '--json'])).stdout,
    `"missing":[{"repository":"${REPO}","role":"targets","version":3}]`,
  )
})

await t.test('what was lost is published again by whoever kept it, and clients go on above all they saw', async (t) => {
  const at = lab(t)
  const { owner, lost, timestamp } = await published(at, 2)
  replaceDatabase(at)
  const resumed = await run(['restore', '--resume', '--data', at.data])
  t.equal(resumed.code, 0, resumed.stderr)
  t.equal(resumed.stdout, `${REPO}\ttargets\t3\n`)
  const server = await open(at)
  const held = await server.get(file('timestamp.json'))
  t.equal(codeIn(held), 'RESTORED')
  t.match(held.body, /targets 3/)
  t.equal((await server.get('/readyz')).statusCode, 200, 'other repositories are served')
  t.ok((await versionOf(server, 'timestamp', TO_PUBLISH)) > timestamp, 'signed anew already, above everything')
  t.equal(
    codeIn(await server.get(file('targets.json'))),
    'RESTORED',
    'what a publisher asked for is not kept for others',
  )

  await t.test(
    'another file under a lost version, or below it, is refused with the version that was lost',
    async (t) => {
      const forked = { ...owner, targets: { ...owner.targets } }
      setTag(forked, server.clock.now, '1.0', 'made of the backup')
      for (const version of [2, 3]) {
        const answer = await server.publish({
          targets: await signTargets({ ...forked, targets: { ...forked.targets, version } as Owner['targets'] }),
        })
        t.equal(codeIn(answer), 'VERSION', `version ${version}`)
        t.match(answer.body, '"current":3')
      }
    },
  )
  t.equal((await server.publish({ targets: lost })).statusCode, 200)
  t.equal(await versionOf(server, 'targets'), 3)
  t.ok((await versionOf(server, 'timestamp')) > timestamp)
  t.match((await server.get('/metrics')).body, /^tagseal_held_repositories 0$/m)
  setTag(owner, server.clock.now, '2.0', 'and on')
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  await server.close()
  t.equal((await run(['restore', '--data', at.data])).stdout, '')
  const again = await open(at)
  t.equal(await versionOf(again, 'targets'), 4, 'and the next start finds nothing amiss')
  await again.close()
})

await t.test('where nobody kept it, its owner signs above it', async (t) => {
  const at = lab(t)
  const { owner } = await published(at, 2)
  replaceDatabase(at)
  t.equal((await run(['restore', '--resume', '--data', at.data])).code, 0)
  const server = await open(at)
  const above = { ...owner, targets: { ...owner.targets, version: 4 } as Owner['targets'] }
  t.equal((await server.publish({ targets: await signTargets(above) })).statusCode, 200)
  t.equal(await versionOf(server, 'targets'), 4)
  await server.close()
})

await t.test('a repository that lacks nothing is served at once, above all that was signed for it', async (t) => {
  const at = lab(t)
  const { timestamp } = await published(at, 0)
  const server = await open(at)
  server.clock.now += 20 * HOUR
  await server.services.freshness.pass()
  const last = await versionOf(server, 'timestamp')
  t.ok(last > timestamp)
  await server.close()
  replaceDatabase(at)
  const resumed = await run(['restore', '--resume', '--data', at.data, '--above', '5000'])
  t.equal(resumed.stdout, '')
  const again = await open(at)
  t.ok((await versionOf(again, 'timestamp')) > 5000)
  t.ok((await versionOf(again, 'snapshot')) > 5000)
  await again.close()
})

await t.test(
  'whoever accepts the loss is served what the backup has, and its versions still go on above',
  async (t) => {
    const at = lab(t)
    const { lost } = await published(at, 2)
    replaceDatabase(at)
    t.equal((await run(['restore', '--resume', '--accept-loss', '--data', at.data])).code, 0)
    const server = await open(at)
    t.equal(await versionOf(server, 'targets'), 1)
    t.equal((await server.publish({ targets: lost })).statusCode, 200, 'what was lost may still come back')
    t.equal(await versionOf(server, 'targets'), 3)
    await server.close()
  },
)

await t.test('the loss may be accepted later as well', async (t) => {
  const at = lab(t)
  await published(at, 1)
  replaceDatabase(at)
  t.equal((await run(['restore', '--resume', '--data', at.data])).code, 0)
  t.equal((await run(['restore', '--resume', '--data', at.data])).code, 2, 'once is enough')
  t.match(
    (await run(['restore', '--resume', '--accept-loss', '--data', at.data])).stderr,
    /holds nothing back any more/,
  )
  const server = await open(at)
  t.equal(await versionOf(server, 'targets'), 1)
  await server.close()
})

await t.test('a database in a new folder, with none of its marks, is refused until its loss is accepted', async (t) => {
  const at = lab(t)
  const { timestamp } = await published(at, 2)
  const kek = join(at.data, '..', 'kek')
  copyFileSync(join(at.data, 'kek'), kek)
  renameSync(at.data, `${at.data}-lost`)
  const nobody = await run(['restore', at.backup, '--data', at.data])
  t.match(nobody.stderr, /KEK_NEEDED/, 'the key is not in the backup')
  const restored = await run(['restore', at.backup, '--data', at.data, '--kek-file', kek])
  t.equal(restored.code, 0, restored.stderr)
  t.match(restored.stderr, /nothing tells what was published since the backup/)
  const refused = await run(['restore', '--resume', '--data', at.data])
  t.equal(refused.code, 2)
  t.match(refused.stderr, /LOSS_UNKNOWN/)
  t.equal((await run(['restore', '--resume', '--accept-loss', '--data', at.data])).code, 0)
  copyFileSync(kek, join(at.data, 'kek'))
  const server = await open(at)
  t.ok((await versionOf(server, 'timestamp')) > timestamp + 1_000_000, 'far above what could have been signed')
  await server.close()
})

await t.test('what was there before a restore is kept, and the marks tell what the backup lacks', async (t) => {
  const at = lab(t)
  await published(at, 1)
  const restored = await run(['restore', at.backup, '--data', at.data])
  t.equal(restored.code, 0, restored.stderr)
  t.match(restored.stderr, /what was there before is \S+tagseal\.db\.replaced-/)
  t.equal(restored.stdout, `${REPO}\ttargets\t2\n`)
  const server = await open(at)
  t.equal(codeIn(await server.get(file('timestamp.json'))), 'RESTORED')
  await server.close()
})

await t.test('a folder that was put back as a whole is restored once its owner says so', async (t) => {
  const at = lab(t)
  const { timestamp } = await published(at, 1)
  t.equal((await run(['restore', '--declare', '--data', at.data])).code, 0)
  const server = await open(at)
  t.equal(codeIn(await server.get(file('timestamp.json'))), 'RESTORED')
  await server.close()
  const resumed = await run(['restore', '--resume', '--data', at.data])
  t.match(resumed.stderr, /LOSS_UNKNOWN/, 'marks that are as old tell nothing')
  t.equal((await run(['restore', '--resume', '--accept-loss', '--data', at.data])).code, 0)
  const again = await open(at)
  t.ok((await versionOf(again, 'timestamp')) > timestamp)
  await again.close()
})

await t.test(
  'a repository founded after the backup is known to be missing, and begins above its versions',
  async (t) => {
    const at = lab(t)
    const first = await open(at)
    await first.create(['1.0'])
    t.equal((await run(['backup', '--data', at.data, '--out', at.backup])).code, 0)
    const other = 'registry.example.com/team/later'
    await first.create(['1.0'], other)
    await first.close()
    replaceDatabase(at)
    const resumed = await run(['restore', '--resume', '--data', at.data])
    t.match(resumed.stdout, `${other}\troot\t1`)
    const server = await open(at)
    t.equal((await server.get(file('timestamp.json'))).statusCode, 200)
    t.equal((await server.get(file('timestamp.json', other))).statusCode, 404)
    await server.create(['1.0'], other)
    const answer = await server.get(file('timestamp.json', other))
    t.ok(answer.json<{ signed: { version: number } }>().signed.version > 1000)
    await server.close()
  },
)

await t.test('the second backup that is put back finds what the first one lacked', async (t) => {
  const at = lab(t)
  await published(at, 2)
  for (let i = 0; i < 2; i++) {
    replaceDatabase(at)
    t.equal((await run(['restore', '--resume', '--data', at.data])).stdout, `${REPO}\ttargets\t3\n`)
  }
})

await t.test('a deleted repository, and one that begins anew, are no sign of a backup', async (t) => {
  const at = lab(t)
  const server = await open(at)
  await server.create(['1.0'])
  t.equal((await server.app.inject({ method: 'DELETE', url: file('') })).statusCode, 200)
  const owner = await server.create(['2.0'])
  t.equal((await server.publish(await signBoth(owner))).statusCode, 200)
  await server.close()
  const again = await open(at)
  t.equal((await again.get(file('timestamp.json'))).statusCode, 200)
  t.equal((await run(['restore', '--data', at.data])).stdout, '')
  await again.close()
})

await t.test('a folder from before there were marks gets them, and goes on', async (t) => {
  const at = lab(t)
  await published(at, 1)
  for (const name of ['marks.db', 'marks.db-wal', 'marks.db-shm']) rmSync(join(at.data, name), { force: true })
  const db = new Database(join(at.data, 'tagseal.db'))
  db.exec("DELETE FROM setting WHERE name = 'marks'")
  db.close()
  for (let start = 0; start < 2; start++) {
    const server = await open(at)
    t.equal((await server.get(file('timestamp.json'))).statusCode, 200)
    await server.close()
  }
})

await t.test('a database without the marks that it had is refused', async (t) => {
  const at = lab(t)
  await published(at, 1)
  for (const name of ['marks.db', 'marks.db-wal', 'marks.db-shm']) rmSync(join(at.data, name), { force: true })
  const server = await open(at)
  t.match((await server.get('/readyz')).body, /without its marks/)
  await server.close()
})

await t.test('marks that power loss left behind catch up', async (t) => {
  const at = lab(t)
  await published(at, 2)
  const db = new Database(join(at.data, 'marks.db'))
  db.exec("UPDATE about SET value = '1' WHERE name = 'sequence'; UPDATE mark SET version = 1")
  db.close()
  const server = await open(at)
  t.equal((await server.get(file('timestamp.json'))).statusCode, 200)
  await server.close()
  replaceDatabase(at)
  t.equal((await run(['restore', '--resume', '--data', at.data])).stdout, `${REPO}\ttargets\t3\n`)
})

await t.test('what stands in the place of a database is told in words', async (t) => {
  const at = lab(t)
  await published(at, 0)
  rmSync(at.backup)
  const restore = () => run(['restore', at.backup, '--data', at.data])
  t.match((await restore()).stderr, /there is no such file, ENOENT/)
  writeFileSync(at.backup, 'no database'.repeat(500))
  t.match((await restore()).stderr, /it is no database, SQLITE_NOTADB/)
})

const UNUSABLE: Record<string, (at: Lab) => void> = {
  'is no database': ({ backup }) => writeFileSync(backup, 'no database at all, but long enough to be one'.repeat(50)),
  'is a database of somebody else': ({ backup }) => {
    const db = new Database(backup)
    db.exec('CREATE TABLE t (x); PRAGMA user_version = 1')
    db.close()
  },
  'a newer program made': ({ backup }) => {
    const db = new Database(backup)
    db.exec('CREATE TABLE repository (x); CREATE TABLE online_key (x); PRAGMA user_version = 99')
    db.close()
  },
  'is damaged': ({ backup }) => {
    const bytes = readFileSync(backup)
    bytes.fill(0x5a, 8192, 16384)
    rmSync(backup)
    writeFileSync(backup, bytes)
  },
  'is not there': ({ backup }) => rmSync(backup),
}
for (const [name, spoil] of Object.entries(UNUSABLE)) {
  await t.test(`refuses to restore a file that ${name}, and leaves everything as it was`, async (t) => {
    const at = lab(t)
    await published(at, 1)
    if (!name.includes('damaged')) rmSync(at.backup, { force: true })
    if (name.includes('not there')) writeFileSync(at.backup, '')
    spoil(at)
    const before = readdirSync(at.data).toSorted()
    const refused = await run(['restore', at.backup, '--data', at.data])
    t.match(refused.stderr, /BACKUP_UNUSABLE/)
    t.strictSame(
      readdirSync(at.data)
        .filter((entry) => !entry.startsWith('server.lock'))
        .toSorted(),
      before.filter((entry) => !entry.startsWith('server.lock')),
    )
    const server = await open(at)
    t.equal(await versionOf(server, 'targets'), 2)
    await server.close()
  })
}

await t.test('a backup is for its owner alone, and is never written over another file', async (t) => {
  const at = lab(t)
  await published(at, 0)
  t.equal(statSync(at.backup).mode & 0o777, 0o400)
  const before = readFileSync(at.backup)
  t.match((await run(['backup', '--data', at.data, '--out', at.backup])).stderr, /BACKUP_EXISTS/)
  t.strictSame(readFileSync(at.backup), before)
  t.match((await run(['backup', '--data', join(at.data, 'nowhere'), '--out', `${at.backup}2`])).stderr, /NO_DATABASE/)
  t.match(
    (await run(['backup', '--data', at.data, '--out', join(at.data, 'no', 'such', 'folder')])).stderr,
    /BACKUP_UNUSABLE|directory/,
  )
})

const MISUSED: Record<string, { args: readonly string[]; code: string }> = {
  'going on where nothing was restored': { args: ['--resume'], code: 'NOT_RESTORED' },
  'a loss that nobody resumes from': { args: ['--accept-loss'], code: 'INVALID_REQUEST' },
  'a number that is none': { args: ['--resume', '--above', 'all'], code: 'INVALID_REQUEST' },
  'a number that leaves no room above': { args: ['--resume', '--above', '2000000000'], code: 'INVALID_REQUEST' },
}
for (const [name, { args, code }] of Object.entries(MISUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const at = lab(t)
    await published(at, 0)
    t.match((await run(['restore', '--data', at.data, ...args])).stderr, code)
  })
}

await t.test('nothing is restored beneath a running server', async (t) => {
  const at = lab(t)
  await published(at, 0)
  const lock = lockData(at.data)
  for (const args of [['--resume'], ['--declare'], [at.backup]]) {
    t.match((await run(['restore', '--data', at.data, ...args])).stderr, /DATA_IN_USE/)
  }
  lock.release()
})
