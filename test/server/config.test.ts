import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { hostPort, loadSettings } from '../../server/config.ts'
import { envName } from '../../server/environment.ts'
import { nearest } from '../../server/nearest.ts'

const dir = mkdtempSync(join(tmpdir(), 'tagseal-config-'))
t.teardown(() => rmSync(dir, { recursive: true, force: true }))
const file = (value: unknown) => {
  const path = join(dir, 'config.json')
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
  return path
}

await t.test('defaults are safe: loopback, tokens asked for, limits set', async (t) => {
  const settings = loadSettings({ flags: {}, env: {} })
  t.match(settings, { listen: '127.0.0.1:4480', data: './tagseal-data', open: false, plainHttp: false, private: false })
  t.match(settings, { maxUpload: 134_217_728, timestampLifetime: 86_400, snapshotLifetime: 604_800 })
})

await t.test('the command line wins over the environment, which wins over the file', async (t) => {
  const path = file({ listen: '127.0.0.1:1', data: 'from-file', logLevel: 'warn', private: true })
  const env = { TAGSEAL_SERVER_LISTEN: '127.0.0.1:2', TAGSEAL_SERVER_LOG_LEVEL: 'debug', TAGSEAL_SERVER_OPEN: '1' }
  const settings = loadSettings({ flags: { listen: '127.0.0.1:3' }, env: { ...env, TAGSEAL_SERVER_CONFIG: path } })
  t.match(settings, { listen: '127.0.0.1:3', logLevel: 'debug', data: 'from-file', private: true, open: true })
})

await t.test('variables that an orchestrator puts beside ours are left alone', async (t) => {
  const of = (service: string) => ({
    [`TAGSEAL_SERVER_${service}SERVICE_HOST`]: '10.0.0.1',
    [`TAGSEAL_SERVER_${service}SERVICE_PORT`]: '443',
    [`TAGSEAL_SERVER_${service}SERVICE_PORT_HTTPS`]: '443',
    [`TAGSEAL_SERVER_${service}PORT`]: 'tcp://10.0.0.1:443',
    [`TAGSEAL_SERVER_${service}PORT_443_TCP`]: 'tcp://10.0.0.1:443',
    [`TAGSEAL_SERVER_${service}PORT_443_TCP_PROTO`]: 'tcp',
    [`TAGSEAL_SERVER_${service}PORT_443_TCP_PORT`]: '443',
    [`TAGSEAL_SERVER_${service}PORT_443_TCP_ADDR`]: '10.0.0.1',
  })
  t.match(loadSettings({ flags: {}, env: { ...of(''), ...of('BLUE_') } }), { listen: '127.0.0.1:4480' })
  const others = { TAGSEAL_SERVER_SOCKET_MODE: '0660', TAGSEAL_SERVER_KEK: 'a key', TAGSEAL_SERVER_COLOUR: '' }
  loadSettings({ flags: {}, env: { ...others, TAGSEAL_SERVER: 'https://trust.example.com' } })
  t.equal(envName('timestampLifetime'), 'TAGSEAL_SERVER_TIMESTAMP_LIFETIME')
})

type Wrong = {
  readonly file?: unknown
  readonly env?: Record<string, string>
  readonly flags?: Record<string, string | boolean>
  readonly code: string
  readonly detail?: object
}
const WRONG: Record<string, Wrong> = {
  'a setting misspelt': {
    file: { timestampLifetme: 5 },
    code: 'SETTING_UNKNOWN',
    detail: { meant: 'timestampLifetime' },
  },
  'a setting from nowhere': { file: { colour: 'blue' }, code: 'SETTING_UNKNOWN' },
  'a prototype for a setting': { file: '{"__proto__":{"open":true}}', code: 'SETTING_UNKNOWN' },
  'a variable misspelt': {
    env: { TAGSEAL_SERVER_TIMESTAMP_LIFETIM: '60' },
    code: 'SETTING_UNKNOWN',
    detail: { name: 'TAGSEAL_SERVER_TIMESTAMP_LIFETIM', meant: 'TAGSEAL_SERVER_TIMESTAMP_LIFETIME' },
  },
  'a variable from nowhere': { env: { TAGSEAL_SERVER_COLOUR: 'blue' }, code: 'SETTING_UNKNOWN' },
  'a port, which is no setting and no address of a service': {
    env: { TAGSEAL_SERVER_PORT: '8443' },
    code: 'SETTING_UNKNOWN',
  },
  'a number as text': { file: { grace: '600' }, code: 'SETTING_INVALID' },
  'a list': { file: { data: ['a'] }, code: 'SETTING_INVALID' },
  'a lifetime of no time': { file: { timestampLifetime: 0 }, code: 'SETTING_INVALID' },
  'an infinite limit': { file: '{"maxUpload": 1e400}', code: 'SETTING_INVALID' },
  'a fraction': { file: { grace: 1.5 }, code: 'SETTING_INVALID' },
  'a level that does not exist': { file: { logLevel: 'loud' }, code: 'SETTING_INVALID' },
  'no JSON': { file: 'listen: here', code: 'CONFIG_UNREADABLE' },
  'JSON of something else': { file: [1], code: 'CONFIG_UNREADABLE' },
  'words in the environment where a number is due': { env: { TAGSEAL_SERVER_GRACE: 'ten' }, code: 'SETTING_INVALID' },
  'maybe in the environment': { env: { TAGSEAL_SERVER_OPEN: 'maybe' }, code: 'SETTING_INVALID' },
  'no port': { flags: { listen: '127.0.0.1' }, code: 'SETTING_INVALID' },
  'a port that does not exist': { flags: { listen: '127.0.0.1:70000' }, code: 'SETTING_INVALID' },
  'a certificate without its key': { flags: { tlsCert: 'c.pem' }, code: 'SETTING_MISSING', detail: { name: 'tlsKey' } },
  'a key without its certificate': { flags: { tlsKey: 'k.pem' }, code: 'SETTING_MISSING', detail: { name: 'tlsCert' } },
  'plain http for everybody': { flags: { listen: '0.0.0.0:80' }, code: 'PLAIN_HTTP_REFUSED' },
  'plain http on every address by leaving the host out': { flags: { listen: ':80' }, code: 'PLAIN_HTTP_REFUSED' },
  'plain http on a name': { flags: { listen: 'trust.example.com:80' }, code: 'PLAIN_HTTP_REFUSED' },
  'no tokens for everybody': {
    flags: { listen: '0.0.0.0:80', open: true, plainHttp: true },
    code: 'OPEN_BEYOND_LOOPBACK',
  },
  'no tokens for everybody, over TLS': {
    flags: { listen: '0.0.0.0:443', open: true, tlsCert: 'c', tlsKey: 'k' },
    code: 'OPEN_BEYOND_LOOPBACK',
  },
  'a file that is not there': {
    flags: {},
    env: { TAGSEAL_SERVER_CONFIG: '/nowhere/config.json' },
    code: 'CONFIG_UNREADABLE',
  },
}
for (const [name, { file: content, env = {}, flags = {}, code, detail = {} }] of Object.entries(WRONG)) {
  await t.test(`refuses ${name}`, async (t) => {
    const sources = { flags, env, ...(content === undefined ? {} : { file: file(content) }) }
    t.throws(() => loadSettings(sources), { name: 'ConfigError', code, detail })
  })
}

await t.test('allows what is asked for by name', async () => {
  loadSettings({ flags: { listen: '0.0.0.0:80', plainHttp: true }, env: {} })
  loadSettings({ flags: { listen: '0.0.0.0:443', tlsCert: 'c', tlsKey: 'k' }, env: {} })
  loadSettings({ flags: { listen: '[::1]:80', open: true }, env: {} })
})

await t.test('addresses', async (t) => {
  t.same(hostPort('[::1]:80'), { host: '::1', port: 80 })
  t.same(hostPort('localhost:0'), { host: 'localhost', port: 0 })
  t.same(hostPort(':4480'), { host: '::', port: 4480 })
})

await t.test('only what is close is suggested', async (t) => {
  t.equal(nearest('listne', ['listen', 'data']), 'listen')
  t.equal(nearest('TLSCERT', ['tlsCert', 'tlsKey']), 'tlsCert')
  t.equal(nearest('zzzzzz', ['listen', 'data']), undefined)
})
