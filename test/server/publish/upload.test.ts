import { Readable } from 'node:stream'
import t from 'tap'
import { makeBudget, readUpload } from '../../../server/publish/upload.ts'
import { openTestServer, REPO } from '../support/app.ts'
import { multipart, newOwner, signBoth, type Files } from '../support/party.ts'

const LIMITS = { total: 4096, parts: 3, root: 100, targets: 1000 }
const type = 'multipart/form-data; boundary=b'
const part = (filename: string, body: string) =>
  `--b\r\nContent-Disposition: form-data; name="files"; filename="${filename}"\r\n\r\n${body}\r\n`

async function read(body: string | Buffer, contentType = type, chunk = 64) {
  const bytes = Buffer.from(body)
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, i) =>
    bytes.subarray(i * chunk, (i + 1) * chunk),
  )
  return readUpload(Readable.from(chunks), contentType, LIMITS)
}

await t.test('reads parts in any order and size of chunks, by role', async (t) => {
  const body = `${part('targets/releases', 'R')}${part('targets.json', 'T'.repeat(500))}${part('root', 'r')}--b--\r\n`
  for (const chunk of [1, 7, 64, 10_000]) {
    const upload = await read(body, type, chunk)
    t.same(
      [...upload].map(([role, { kind, bytes }]) => [role, kind, bytes.length]),
      [
        ['targets/releases', 'file', 1],
        ['targets', 'file', 500],
        ['root', 'file', 1],
      ],
    )
  }
})

await t.test('the name of the field does not matter', async (t) => {
  const body = part('root', 'r').replace('name="files"', 'name="x"')
  t.equal((await read(`${body}--b--\r\n`)).size, 1)
})

const BROKEN: Record<string, { body: string; code: string; type?: string }> = {
  'without a boundary': { body: 'x', code: 'MALFORMED_UPLOAD', type: 'multipart/form-data' },
  'of another type': { body: 'x', code: 'MALFORMED_UPLOAD', type: 'application/json' },
  'that breaks off': { body: part('root', 'r'), code: 'MALFORMED_UPLOAD' },
  'that breaks off within a part': { body: part('root', 'r').slice(0, -3), code: 'MALFORMED_UPLOAD' },
  'that is empty': { body: '', code: 'MALFORMED_UPLOAD' },
  'with a field that is no file': {
    body: '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nv\r\n--b--\r\n',
    code: 'MALFORMED_UPLOAD',
  },
  'with one role twice': { body: `${part('root', 'r')}${part('root.json', 'r')}--b--\r\n`, code: 'MALFORMED_UPLOAD' },
  'with too many parts': {
    body: `${['a', 'b', 'c', 'd'].map((role) => part(role, 'x')).join('')}--b--\r\n`,
    code: 'MALFORMED_UPLOAD',
  },
  'with a root too large': { body: `${part('root', 'r'.repeat(101))}--b--\r\n`, code: 'TOO_LARGE' },
  'with targets too large': { body: `${part('targets', 't'.repeat(1001))}--b--\r\n`, code: 'TOO_LARGE' },
  'with a delegated role too large': { body: `${part('team', 't'.repeat(1001))}--b--\r\n`, code: 'TOO_LARGE' },
  'too large as a whole': { body: `${part('targets', 't'.repeat(900))}${'x'.repeat(4000)}`, code: 'TOO_LARGE' },
  'with a role that climbs out': { body: `${part('../../root', 'r')}--b--\r\n`, code: 'INVALID_ROLE' },
  'with a role of upper case': { body: `${part('Root', 'r')}--b--\r\n`, code: 'INVALID_ROLE' },
}
for (const [name, { body, code, type: contentType }] of Object.entries(BROKEN)) {
  await t.test(`refuses a body ${name}`, async (t) => {
    for (const chunk of [5, 100_000]) await t.rejects(read(body, contentType, chunk), { name: 'Problem', code })
  })
}

await t.test('endless data is cut off where the limit is', async (t) => {
  let sent = 0
  const endless = Readable.from(
    (function* () {
      yield Buffer.from('--b\r\nContent-Disposition: form-data; name="f"; filename="targets"\r\n\r\n')
      for (;;) {
        sent += 512
        if (sent > 1_000_000) return
        yield Buffer.alloc(512, 'x')
      }
    })(),
  )
  await t.rejects(readUpload(endless, type, LIMITS), { code: 'TOO_LARGE' })
})

await t.test('a budget gives back what was taken', async (t) => {
  const budget = makeBudget(100)
  t.ok(budget.take(60))
  t.notOk(budget.take(41))
  t.ok(budget.take(40))
  budget.give(60)
  t.ok(budget.take(60))
})

await t.test('over HTTP', async (t) => {
  const server = await openTestServer(t, { maxUpload: 20_000, maxUploadsAtOnce: 25_000, maxRoot: 1024 * 8 })
  const owner = await newOwner(await server.onlineKeys(), server.clock.now)
  const post = (payload: Buffer, headers: Record<string, string>) =>
    server.app.inject({
      method: 'POST',
      url: `/v2/${REPO}/_trust/tuf/`,
      payload,
      headers: { accept: '*/*', ...headers },
    })

  await t.test('a body announced too large is refused before it is read', async (t) => {
    const { payload, headers } = multipart({ targets: Buffer.alloc(21_000, 'x') })
    const answer = await post(payload, headers)
    t.equal(answer.statusCode, 413)
    t.match(answer.json(), { errors: [{ code: 'TOO_LARGE', detail: { limit: 20_000 } }] })
  })
  await t.test('something that is no multipart is refused by its type', async (t) => {
    for (const contentType of ['application/json', 'text/plain', 'multipart/mixed; boundary=x']) {
      const answer = await post(Buffer.from('{}'), { 'content-type': contentType })
      t.equal(answer.statusCode, 415, contentType)
      t.match(answer.json(), { errors: [{ code: 'UNSUPPORTED_MEDIA_TYPE' }] })
    }
  })
  await t.test('too much at once is put off', async (t) => {
    const files: Files = { targets: Buffer.alloc(15_000, 'x') }
    const answers = await Promise.all([1, 2, 3].map(() => server.publish(files)))
    const late = answers.filter(({ statusCode }) => statusCode === 429)
    t.equal(late.length, 2)
    t.equal(late[0]?.headers['retry-after'], '1')
    t.match(late[0]?.json(), { errors: [{ code: 'TOO_MANY_REQUESTS' }] })
    t.equal((await server.publish(await signBoth(owner))).statusCode, 200, 'and what was taken is given back')
  })
})
