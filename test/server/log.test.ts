import { spawnSync } from 'node:child_process'
import { pino } from 'pino'
import t from 'tap'
import { KeyError } from '../../keys/errors.ts'
import { shownError } from '../../server/log.ts'
import { Problem } from '../../server/problem.ts'
import { SignerRefusal } from '../../server/signing/signer-client.ts'
import { StorageError } from '../../server/storage/errors.ts'
import { openTestServer } from './support/app.ts'

const PURPOSE = { repository: 'registry.example.com/team/app', role: 'snapshot' }
const FORESEEN: Record<string, { readonly error: Error; readonly code: string; readonly reason: RegExp }> = {
  'a refusal of ours': { error: new Problem('UNAVAILABLE', { reason: 'r' }), code: 'UNAVAILABLE', reason: /now: r$/ },
  "a signer's refusal, with its words": {
    error: new Problem('SIGNING_UNAVAILABLE', PURPOSE, {
      cause: new SignerRefusal('VERSION_TOO_FAR', '12 is the highest', {}),
    }),
    code: 'SIGNING_UNAVAILABLE',
    reason: /cannot be used: the signer refused: 12 is the highest$/,
  },
  'a disk that fails, with what it said': {
    error: new StorageError('STORAGE_FULL', { path: '/data' }, { cause: new Error('database or disk is full') }),
    code: 'STORAGE_FULL',
    reason: /\/data .*: database or disk is full$/,
  },
  'a key that cannot be used': {
    error: new KeyError('SIGNER_TIMEOUT', { signer: 'the signer', seconds: 1 }),
    code: 'SIGNER_TIMEOUT',
    reason: /the signer/,
  },
}
for (const [name, { error, code, reason }] of Object.entries(FORESEEN)) {
  await t.test(`has code and reason of ${name}, and no stack`, async (t) => {
    const shown = shownError(error)
    t.match(shown, { code, reason })
    t.same(Object.keys(shown), ['code', 'reason'])
  })
}

await t.test('has all of what nobody foresaw', async (t) => {
  const [bug, system] = [new TypeError('x'), Object.assign(new Error('x'), { code: 'ENOENT' })]
  for (const error of [bug, system, 'x', undefined]) t.same(shownError(error), { err: error })
})

await t.test('the line of a request', async (t) => {
  const server = await openTestServer(t)
  const lines: string[] = []
  const { deps } = server.services
  Object.assign(deps, { logger: pino({ base: null }, { write: (line: string) => void lines.push(line) }) })
  const { store } = deps
  const before = store.check
  const failed = async (error: Error) => {
    lines.length = 0
    async function check(): Promise<void> {
      throw error
    }
    Object.assign(store, { check })
    await server.get('/readyz')
    return JSON.parse(lines[0] ?? '') as object
  }
  t.match(await failed(new Problem('UNAVAILABLE', { reason: 'r' })), { code: 'UNAVAILABLE', err: undefined })
  t.match(await failed(new TypeError('x')), { err: { stack: /log\.test/ }, msg: 'failed' })
  Object.assign(store, { check: before })
})

const FIELDS = [
  { request: 'a-1', method: 'GET', url: '/v2/a/_trust/tuf/timestamp.json', status: 200, ms: 0.07, by: undefined },
  {
    request: 'a-2',
    method: 'GET',
    url: '/"\\\u0001\u007f\u2028é\ud800/'.repeat(20),
    status: 499,
    ms: undefined,
    by: 'ci',
  },
]
const PROGRAM = `
  const { infoLines, openLog } = await import(process.argv[1])
  const logger = openLog(process.argv[2], 0)
  const write = infoLines(logger, 'request')
  for (const fields of ${JSON.stringify(FIELDS)}) {
    write(fields)
    logger.info(fields, 'request')
  }
  logger.flushed()`

await t.test('the lines of requests are those that pino would write, where there are any', async (t) => {
  const written = (level: string) => {
    const module = new URL('../../server/log.ts', import.meta.url).href
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM, module, level])
    return String(run.stderr)
      .replaceAll(/"time":\d{13}/g, '')
      .split('\n')
  }
  const [first, second, third, fourth, ...rest] = written('info')
  t.match(first, /^{"level":30,,"request":"a-1",.*"msg":"request"}$/)
  t.equal(first, second)
  t.match(third, /"by":"ci"/)
  t.equal(third, fourth)
  t.same(rest, [''])
  t.same(written('warn'), [''])
})
