/**
 * Somebody owns the web server: its database, its memory, its way to the signer. They ask the signer for everything that
 * it must not sign. Each request is refused with a code, leaves a line in the audit, and changes nothing.
 */
import { connect } from 'node:net'
import t from 'tap'
import { instant, keyId, notaryCodec, roleName, tufCodec, version } from '../../tuf/index.ts'
import type { Snapshot, Timestamp } from '../../tuf/index.ts'
import { REPO } from '../server/support/app.ts'
import { setTag, signRoot, signTargets } from '../server/support/party.ts'
import type { Owner } from '../server/support/party.ts'
import { openTheft } from '../support/signer-lab.ts'
import type { SignerAnswer, Theft } from '../support/signer-lab.ts'

const HOUR = 3600 * 1000
const OTHER = 'registry.example.com/team/other'
const MAX = Number.MAX_SAFE_INTEGER

type Scene = Theft & { readonly owner: Owner; readonly timestamp: Timestamp; readonly snapshot: Snapshot }
type Attempt = { readonly ask: (scene: Scene) => Promise<SignerAnswer>; readonly code: string }

const next = <M extends Timestamp | Snapshot>(body: M, change: Partial<M> = {}): M => ({
  ...body,
  version: version(body.version + 1),
  ...change,
})
const until = (at: number) => ({ expires: instant(at), expiresText: tufCodec.date(at) })
const listing = (snapshot: Snapshot, change: Readonly<Record<string, number | undefined>>): Snapshot => {
  const meta = new Map(snapshot.meta)
  for (const [role, listed] of Object.entries(change)) {
    if (listed === undefined) meta.delete(roleName(role))
    else meta.set(roleName(role), { version: version(listed), unknown: new Map() })
  }
  return next(snapshot, { meta })
}
const announcing = (timestamp: Timestamp, announced: number): Timestamp =>
  next(timestamp, { snapshot: { ...timestamp.snapshot, version: version(announced) } })
const textOf = (body: Timestamp | Snapshot) => Buffer.from(tufCodec.assemble(body, [])).toString('utf8')

const ATTEMPTS: Record<string, Attempt> = {
  'bytes of their choice': { ask: ({ sign }) => sign({ role: 'timestamp', file: 'sign this' }), code: 'NOT_METADATA' },
  'a targets file as a snapshot': {
    ask: async ({ sign, owner }) =>
      sign({ role: 'snapshot', file: Buffer.from(tufCodec.assemble(owner.targets, [])).toString() }),
    code: 'NOT_METADATA',
  },
  'a root as a timestamp': {
    ask: async ({ sign, owner }) => sign({ role: 'timestamp', file: Buffer.from(await signRoot(owner)).toString() }),
    code: 'NOT_METADATA',
  },
  'a targets file, by that name': {
    ask: async ({ sign, owner }) => sign({ role: 'targets', file: Buffer.from(await signTargets(owner)).toString() }),
    code: 'INVALID_REQUEST',
  },
  'a snapshot by the timestamp key': {
    ask: async ({ sign, snapshot, keyOf }) =>
      sign({ role: 'snapshot', body: next(snapshot), keyid: await keyOf('timestamp') }),
    code: 'KEY_NOT_HELD',
  },
  'a snapshot as a timestamp': {
    ask: ({ sign, snapshot }) => sign({ role: 'timestamp', body: next(snapshot) }),
    code: 'NOT_METADATA',
  },
  'a timestamp by the key of another repository': {
    ask: async ({ sign, timestamp, keyOf }) =>
      sign({ role: 'timestamp', body: next(timestamp), keyid: await keyOf('timestamp', OTHER) }),
    code: 'KEY_NOT_HELD',
  },
  'a file of the other dialect': {
    ask: ({ sign, timestamp }) =>
      sign({
        role: 'timestamp',
        file: Buffer.from(notaryCodec.assemble(next(timestamp), [])).toString(),
      }),
    code: 'NOT_METADATA',
  },
  'a file in another dialect than it is in': {
    ask: ({ sign, timestamp }) => sign({ role: 'timestamp', body: next(timestamp), dialect: 'notary-v1' }),
    code: 'NOT_METADATA',
  },
  'a member that means something elsewhere': {
    ask: ({ sign, timestamp }) =>
      sign({ role: 'timestamp', body: next(timestamp, { unknown: new Map([['targets', {}]]) }) }),
    code: 'NOT_METADATA',
  },
  'a member twice, for two readers': {
    ask: ({ sign, timestamp }) =>
      sign({ role: 'timestamp', file: textOf(next(timestamp)).replace('"_type"', '"version":9,"_type"') }),
    code: 'NOT_METADATA',
  },
  'a second file beside the first': {
    ask: ({ sign, timestamp }) =>
      sign({ role: 'timestamp', file: textOf(next(timestamp)).replace('"signed"', '"signed":{},"signed"') }),
    code: 'NOT_METADATA',
  },
  'a version below': {
    ask: ({ sign, timestamp }) => sign({ role: 'timestamp', body: next(timestamp, { version: version(1) }) }),
    code: 'VERSION_SPENT',
  },
  'the same version with other content': {
    ask: ({ sign, timestamp, clock }) =>
      sign({ role: 'timestamp', body: { ...timestamp, ...until(clock.now + HOUR) } }),
    code: 'VERSION_SPENT',
  },
  'the last version that there is': {
    ask: ({ sign, timestamp }) => sign({ role: 'timestamp', body: next(timestamp, { version: version(MAX) }) }),
    code: 'VERSION_TOO_FAR',
  },
  'one version more than anybody publishes': {
    ask: ({ sign, snapshot }) =>
      sign({ role: 'snapshot', body: next(snapshot, { version: version(snapshot.version + 10_001) }) }),
    code: 'VERSION_TOO_FAR',
  },
  'the announcement of the last snapshot that there is': {
    ask: ({ sign, timestamp }) => sign({ role: 'timestamp', body: announcing(timestamp, MAX) }),
    code: 'VERSION_TOO_FAR',
  },
  'a listing of the last targets that there are': {
    ask: ({ sign, snapshot }) => sign({ role: 'snapshot', body: listing(snapshot, { targets: MAX }) }),
    code: 'VERSION_TOO_FAR',
  },
  'a listing of a role before it is there, at the last version that there is': {
    ask: ({ sign, snapshot }) => sign({ role: 'snapshot', body: listing(snapshot, { team: MAX }) }),
    code: 'VERSION_TOO_FAR',
  },
  'a timestamp for a hundred years': {
    ask: ({ sign, timestamp, clock }) =>
      sign({ role: 'timestamp', body: next(timestamp, until(clock.now + 100 * 365 * 24 * HOUR)) }),
    code: 'EXPIRES_TOO_LATE',
  },
  'a timestamp for an hour more than there is': {
    ask: ({ sign, timestamp, clock }) =>
      sign({ role: 'timestamp', body: next(timestamp, until(clock.now + 25 * HOUR)) }),
    code: 'EXPIRES_TOO_LATE',
  },
  'a snapshot for as long as Notary has it': {
    ask: ({ sign, snapshot, clock }) =>
      sign({ role: 'snapshot', body: next(snapshot, until(clock.now + 300 * 24 * HOUR)) }),
    code: 'EXPIRES_TOO_LATE',
  },
  'a file that has expired': {
    ask: ({ sign, snapshot, clock }) => sign({ role: 'snapshot', body: next(snapshot, until(clock.now)) }),
    code: 'EXPIRED_ALREADY',
  },
  'a snapshot without targets': {
    ask: ({ sign, snapshot }) => sign({ role: 'snapshot', body: listing(snapshot, { targets: undefined }) }),
    code: 'LISTING_DROPPED',
  },
  'a snapshot with the targets from before': {
    ask: ({ sign, snapshot }) => sign({ role: 'snapshot', body: listing(snapshot, { targets: 2 }) }),
    code: 'LISTING_WENT_BACK',
  },
  'the announcement of an older snapshot': {
    ask: ({ sign, timestamp, snapshot }) =>
      sign({ role: 'timestamp', body: announcing(timestamp, snapshot.version - 1) }),
    code: 'LISTING_WENT_BACK',
  },
  'a file that is signed already': {
    ask: ({ sign, timestamp }) => {
      const signature = { keyid: keyId('a'), sig: new Uint8Array(1), unknown: new Map() }
      const file = tufCodec.assemble(next(timestamp), [signature])
      return sign({ role: 'timestamp', file: Buffer.from(file).toString() })
    },
    code: 'NOT_METADATA',
  },
  'a timestamp as large as a snapshot': {
    ask: ({ sign }) => sign({ role: 'timestamp', file: ' '.repeat(17 * 1024) }),
    code: 'TOO_LARGE',
  },
  'a body without end': {
    ask: ({ ask }) => ask('/v1/keys', ' '.repeat(100_000)),
    code: 'TOO_LARGE',
  },
  'more bodies than there is memory for': {
    ask: ({ ask }) => ask('/v1/signatures', '{}', { headers: { 'content-length': '9999999999' } }),
    code: 'TOO_MANY_REQUESTS',
  },
  'no JSON': { ask: ({ ask }) => ask('/v1/signatures', '{"role":'), code: 'INVALID_REQUEST' },
  'a prototype': {
    ask: ({ ask }) => ask('/v1/keys', `{"__proto__":{"role":"timestamp"},"repository":"${REPO}"}`),
    code: 'INVALID_REQUEST',
  },
  'a member that nobody asked for': {
    ask: ({ ask }) => ask('/v1/keys', { repository: REPO, role: 'timestamp', sealed: true }),
    code: 'INVALID_REQUEST',
  },
  'a text that is no JSON': {
    ask: ({ ask }) => ask('/v1/keys', 'x', { headers: { 'content-type': 'text/plain' } }),
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  'a key for a name that is a path': {
    ask: ({ ask }) => ask('/v1/keys', { repository: '../../etc/passwd', role: 'timestamp' }),
    code: 'INVALID_REQUEST',
  },
  'a key for targets': {
    ask: ({ ask }) => ask('/v1/keys', { repository: REPO, role: 'targets' }),
    code: 'INVALID_REQUEST',
  },
  'the keys themselves': { ask: ({ ask }) => ask('/v1/keys'), code: 'NOT_FOUND' },
  'one of them by its id': {
    ask: async ({ ask, keyOf }) => ask(`/v1/keys/${await keyOf('timestamp')}`),
    code: 'NOT_FOUND',
  },
  'a signature over a hash': { ask: ({ ask }) => ask('/v1/sign', { hash: '00' }), code: 'NOT_FOUND' },
  'to take a key away': {
    ask: ({ ask }) => ask('/v1/keys', { repository: REPO, role: 'timestamp' }, { method: 'PUT' }),
    code: 'NOT_FOUND',
  },
}

await t.test('the signer refuses', async (t) => {
  const theft = await openTheft(t)
  const owner = await publishedThrice(theft)
  const scene: Scene = {
    ...theft,
    owner,
    timestamp: await theft.current('timestamp'),
    snapshot: await theft.current('snapshot'),
  }
  const before = theft.memory()
  for (const [name, { ask, code }] of Object.entries(ATTEMPTS)) {
    await t.test(name, async (t) => {
      const audited = theft.lines.length
      const { status, json } = await ask(scene)
      t.match(json, { errors: [{ code }] })
      t.ok(status >= 400 && status < 500, `by status ${status}`)
      t.notOk('sig' in json)
      t.same(theft.memory(), before, 'nothing is remembered of it')
      t.match(theft.lines.slice(audited), [{ audit: 'refused', code }])
    })
  }
  await t.test('and the honest server goes on', async (t) => {
    setTag(owner, theft.clock.now, 'last', 'x')
    t.equal((await theft.server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  })
})

await t.test('what is left to a thief', async (t) => {
  const theft = await openTheft(t, { versionBurst: 50 })
  await publishedThrice(theft)
  const { sign, clock, current } = theft
  const [timestamp, snapshot] = [await current('timestamp'), await current('snapshot')]
  await t.test('is to withhold: the files that are out, signed anew', async (t) => {
    t.equal((await sign({ role: 'snapshot', body: next(snapshot) })).status, 200)
    t.equal((await sign({ role: 'timestamp', body: next(timestamp) })).status, 200)
  })
  await t.test('and a stock of timestamps that ends when the first one does', async (t) => {
    let signed = 0
    for (let i = 2; i < 100; i++) {
      const body = next(timestamp, { version: version(timestamp.version + i), ...until(clock.now + 24 * HOUR) })
      const { status, json } = await sign({ role: 'timestamp', body })
      if (status === 200) signed += 1
      else t.match(json, { errors: [{ code: 'VERSION_TOO_FAR' }] })
    }
    t.ok(signed < 55, `${signed} of them`)
  })
  await t.test('who cannot hurry through the versions by waiting either', async (t) => {
    clock.now += HOUR
    const far = next(timestamp, { version: version(timestamp.version + 500), ...until(clock.now + HOUR) })
    t.match((await sign({ role: 'timestamp', body: far })).json, { errors: [{ code: 'VERSION_TOO_FAR' }] })
  })
})

await t.test('a key that has signed nothing is no way around what was published', async (t) => {
  const theft = await openTheft(t)
  await publishedThrice(theft)
  const { ask, sign, current, keyOf } = theft
  const REFUSED: Record<string, { readonly body: Timestamp | Snapshot; readonly code: string }> = {
    'the targets from before': {
      body: listing(await current('snapshot'), { targets: 2 }),
      code: 'LISTING_WENT_BACK',
    },
    'no targets': { body: listing(await current('snapshot'), { targets: undefined }), code: 'LISTING_DROPPED' },
    'targets that are far up': {
      body: listing(await current('snapshot'), { targets: 2 ** 30 }),
      code: 'VERSION_TOO_FAR',
    },
    'an older snapshot': { body: announcing(await current('timestamp'), 1), code: 'LISTING_WENT_BACK' },
  }
  for (const [index, [name, { body, code }]] of Object.entries(REFUSED).entries()) {
    await t.test(`it signs ${name}, which the key in force signs not even then`, async (t) => {
      const [role, real] = [body.type, await keyOf(body.type)]
      const { keyid } = (await ask('/v1/keys', { repository: REPO, role })).json
      const above = { ...body, version: version(body.version + index) }
      t.equal((await sign({ role, body: above, keyid: String(keyid) })).status, 200)
      const before = theft.memory()
      t.match((await sign({ role, body: above, keyid: real })).json, { errors: [{ code }] })
      t.same(theft.memory(), before)
    })
  }
})

await t.test('a key that was replaced goes not behind what its successor published', async (t) => {
  const theft = await openTheft(t)
  await publishedThrice(theft)
  const { ask, sign, current, keyOf, clock } = theft
  const [snapshot, old] = [await current('snapshot'), await keyOf('snapshot')]
  clock.now += 1000
  const { keyid } = (await ask('/v1/keys', { repository: REPO, role: 'snapshot' })).json
  const published = listing(snapshot, { targets: 4 })
  t.equal((await sign({ role: 'snapshot', body: published, keyid: String(keyid) })).status, 200)
  const told = { repository: REPO, role: 'snapshot', keyid, version: published.version }
  t.equal((await ask('/v1/published', told)).status, 200)
  const behind = await sign({ role: 'snapshot', body: next(published, { meta: snapshot.meta }), keyid: old })
  t.match(behind.json, { errors: [{ code: 'LISTING_WENT_BACK' }] })
  t.equal((await sign({ role: 'snapshot', body: next(published), keyid: old })).status, 200, 'the same it may sign')
})

await t.test('keys are given in numbers that a token can take', async (t) => {
  const { ask } = await openTheft(t, { maxKeys: 10, maxKeysPerRole: 3 })
  const codes: unknown[] = []
  const key = async (repository: string) => {
    const { status, json } = await ask('/v1/keys', { repository, role: 'timestamp' })
    return status === 200 ? 200 : (json['errors'] as { code: string }[])[0]?.code
  }
  for (let i = 0; i < 5; i++) codes.push(await key(REPO))
  t.same(codes, [200, 200, 200, 'TOO_MANY_KEYS', 'TOO_MANY_KEYS'])
  for (let i = 0; i < 7; i++) t.equal(await key(`${OTHER}${i}`), 200)
  t.equal(await key(`${OTHER}8`), 'TOO_MANY_KEYS')
})

await t.test('who sends slowly, or nothing, is cut off, and keeps nobody else waiting', async (t) => {
  const theft = await openTheft(t, { requestTimeout: 1, headersTimeout: 1 })
  const HALVES = {
    'half of a body':
      'POST /v1/signatures HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    'half of the headers': 'POST /v1/signatures HTTP/1.1\r\nhost',
    nothing: '',
  }
  const cut = Object.entries(HALVES).map(async ([name, text]) => {
    const socket = connect(theft.signer.url.replace('unix:', ''))
    socket.write(text)
    let answer = ''
    socket.on('data', (part) => void (answer += part.toString()))
    await new Promise((resolve) => socket.on('close', resolve))
    if (text !== '') t.match(answer, /^HTTP\/1\.1 408 /, name)
  })
  await publishedThrice(theft)
  await Promise.all(cut)
})

/** A repository at targets 3, and another one beside it. */
async function publishedThrice({ server, clock }: Theft): Promise<Owner> {
  const owner = await server.create()
  await server.create([], OTHER)
  for (const tag of ['2.0', '3.0']) {
    clock.now += 1000
    setTag(owner, clock.now, tag, 'x')
    const answer = await server.publish({ targets: await signTargets(owner) })
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }
  return owner
}
