/** The program itself: how it starts, refuses to start, and stops. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { request } from 'node:https'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import facts from '../../package.json' with { type: 'json' }
import { makeCertificate, type TestCertificate } from '../support/tls.ts'
import { REPO } from './support/app.ts'
import { run, startProcess, startProgram } from './support/process.ts'

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-main-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
const listen = ['--listen', '127.0.0.1:0']
const KEY = `/v2/${REPO}/_trust/tuf/timestamp.key`

await t.test('starts on a new folder, tells its address, drains on SIGTERM', async (t) => {
  const data = join(folder(t), 'data')
  const server = await startProcess(['--data', data, ...listen])
  t.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.equal((await fetch(`${server.url}/readyz`)).status, 200)
  t.equal(statSync(join(data, 'kek')).mode & 0o777, 0o400)
  t.equal(statSync(data).mode & 0o777, 0o700)
  t.equal(await server.stop(), 0)
})

const UNKNOWN: Record<string, { args: readonly string[]; says: RegExp }> = {
  'a command that is none': { args: ['frobnicate'], says: /^error: unknown command "frobnicate"\nhint: / },
  'a command that is misspelt': { args: ['restor'], says: /unknown command "restor"; was restore meant\?/ },
  'settings that are not there': {
    args: ['--config', '/nowhere'],
    says: /cannot be used: there is no such file, ENOENT/,
  },
  'a certificate that is not there': {
    args: ['--tls-cert', '/nowhere', '--tls-key', '/nowhere'],
    says: /there is no such file, ENOENT \(TLS_UNUSABLE\)/,
  },
}
for (const [name, { args, says }] of Object.entries(UNKNOWN)) {
  await t.test(`says in words that it was given ${name}`, async (t) => {
    t.match(await run(args), { code: 2, stdout: '', stderr: says })
  })
}

await t.test('says which version it is', async (t) => {
  t.match(await run(['--version']), { code: 0, stdout: `${facts.version}\n` })
})

await t.test('a reader that went away is told nothing, and no stack trace either', async (t) => {
  for (const args of [['--help'], ['token', '--help']]) {
    const child = startProgram(args)
    child.stdout.destroy()
    const stderr: Buffer[] = []
    child.stderr.on('data', (part: Buffer) => stderr.push(part))
    const [code] = (await once(child, 'close')) as [number]
    t.same([code, Buffer.concat(stderr).toString('utf8')], [0, ''])
  }
})

await t.test('tokens are made before the first start and while it runs, and revoked at once', async (t) => {
  const data = folder(t)
  const create = ['token', 'create', '--data', data, '--repo', 'registry.example.com/team/*', '--allow', 'pull,push']
  const early = await run([...create, '--name', 'early'])
  t.match(early.stdout, /^tst_[A-Za-z0-9_-]{43}\n$/)
  t.match(early.stderr, /^note: \S+ had no database/, 'a mistyped folder does not go unnoticed')
  const server = await startProcess(['--data', data, ...listen])
  t.teardown(() => server.stop())
  const late = await run([...create, '--name', 'late', '--days', '1', '--json'])
  const { token } = JSON.parse(late.stdout) as { token: string }
  t.equal(late.stderr, '')
  const ask = async (bearer: string) =>
    (await fetch(server.url + KEY, { headers: { authorization: `Bearer ${bearer}` } })).status
  t.equal(await ask(early.stdout.trim()), 200)
  t.equal(await ask(token), 200)
  t.match((await run(['token', 'list', '--data', data])).stdout, /early.*live[^]*late.*live/)
  t.equal((await run(['token', 'revoke', 'late', '--data', data])).code, 0)
  t.equal(await ask(token), 401)
  t.equal(await ask(early.stdout.trim()), 200)
  t.match(await run([...create, '--name', 'early']), {
    code: 2,
    stderr: /\(NAME_TAKEN\)\nhint: choose another --name, or .* token revoke early\n$/,
  })
  t.equal((await run(['token', 'revoke', 'nobody', '--data', data])).code, 2)
  t.match(JSON.parse((await run(['token', 'list', '--data', data, '--json'])).stdout), {
    tokens: [{}, { name: 'late' }],
  })
  const careless = [`/v2/${REPO}/_trust/tuf/root.json?access_token=${token}`, `/v1/tokens/${token}`, `/${token}`]
  for (const path of careless) await fetch(server.url + path, { headers: { 'x-request-id': token } })
  await server.stop()
  const log = server.log()
  t.match(log, /"by":"early"/)
  t.match(log, /access_token=tst_…/)
  t.notOk(/tst_\w/.test(log) || /authorization|bearer/i.test(log), 'no token in the log')
  for (const name of ['tagseal.db', 'tagseal.db-wal']) {
    const path = join(data, name)
    t.notOk(existsSync(path) && readFileSync(path).includes(token.slice(4)), `nor in ${name}`)
  }
})

await t.test('a second server on the same folder is refused, with words', async (t) => {
  const data = folder(t)
  const server = await startProcess(['--data', data, ...listen])
  t.teardown(() => server.stop())
  const second = await run(['--data', data, ...listen])
  t.equal(second.code, 3)
  t.match(second.stderr, /^error: another tagseal-server works on .* \(DATA_IN_USE\)\nhint: stop that one first.*\n$/)
  t.equal(await server.stop('SIGKILL'), 'SIGKILL')
  const third = await startProcess(['--data', data, ...listen])
  t.equal(await third.stop(), 0, 'a killed one leaves nothing behind that would keep the next from starting')
})

await t.test('without the key-encryption key, or with another, it does not start', async (t) => {
  const data = folder(t)
  const first = await startProcess(['--data', data, ...listen])
  await first.stop()
  const kek = readFileSync(join(data, 'kek'))
  rmSync(join(data, 'kek'))
  const without = await run(['--data', data, ...listen])
  t.equal(without.code, 2)
  t.match(without.stderr, /KEK_NEEDED/)
  t.notOk(existsSync(join(data, 'kek')), 'and none is made')
  const env = { TAGSEAL_SERVER_KEK: Buffer.alloc(32, 'another key, 32 bytes long, yes').toString('base64') }
  const other = await run(['--data', data, ...listen], { env })
  t.equal(other.code, 3)
  t.match(other.stderr, /SEALED_OTHER_KEK/)
  const path = join(data, 'elsewhere')
  writeFileSync(path, kek, { mode: 0o400 })
  const again = await startProcess(['--data', data, ...listen, '--kek-file', path])
  t.equal(await again.stop(), 0)
})

const REFUSED: Record<string, { args: readonly string[]; env?: Record<string, string>; says: RegExp }> = {
  'an option nobody knows': { args: ['--dta', 'x'], says: /unknown option '--dta'/ },
  'plain http for everybody': { args: ['--listen', '0.0.0.0:0'], says: /PLAIN_HTTP_REFUSED/ },
  'no tokens for everybody': {
    args: ['--listen', '0.0.0.0:0', '--open', '--plain-http'],
    says: /OPEN_BEYOND_LOOPBACK/,
  },
  'a certificate that is not there': {
    args: ['--tls-cert', '/nowhere', '--tls-key', '/nowhere'],
    says: /TLS_UNUSABLE/,
  },
  'a setting that is none': { args: [], env: { TAGSEAL_SERVER_GRACE: 'soon' }, says: /SETTING_INVALID/ },
  'a token without a name': { args: ['token', 'create', '--repo', '**', '--allow', 'pull'], says: /--name/ },
  'a token for nothing': {
    args: ['token', 'create', '--repo', '**', '--allow', 'fly', '--name', 'x'],
    says: /INVALID_REQUEST/,
  },
}
for (const [name, { args, env = {}, says }] of Object.entries(REFUSED)) {
  await t.test(`does not start with ${name}`, async (t) => {
    const data = args[0] === 'token' ? [] : ['--data', folder(t)]
    const { code, stderr, stdout } = await run([...args, ...data], { env })
    t.equal(code, 2, stderr)
    t.match(stderr, says)
    t.match(stderr, /^hint: .*$/m)
    t.equal(stdout, '')
    t.notOk(/^ +at /m.test(stderr), 'no stack trace')
  })
}

await t.test('does not start on a port that is taken', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const { code, stderr } = await run(['--data', folder(t), '--listen', `127.0.0.1:${port}`])
  t.equal(code, 2)
  t.match(stderr, /\(LISTEN_FAILED\)\nhint: another process listens there.*--listen/)
})

await t.test('--help shows an example, everywhere', async (t) => {
  for (const args of [[], ['token'], ['token', 'create'], ['token', 'list'], ['token', 'revoke']]) {
    const { code, stdout } = await run([...args, '--help'])
    t.equal(code, 0)
    t.match(stdout, /Example/)
  }
})

await t.test('speaks TLS, and reads its certificate again on SIGHUP', async (t) => {
  const dir = folder(t)
  const [first, second] = [await makeCertificate(join(dir, '1')), await makeCertificate(join(dir, '2'))]
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  const use = (made: TestCertificate) => {
    copyFileSync(made.cert, cert)
    copyFileSync(made.key, key)
  }
  use(first)
  const server = await startProcess(['--data', dir, ...listen, '--tls-cert', cert, '--tls-key', key])
  t.teardown(() => server.stop())
  t.match(server.url, /^https:/)
  t.equal(await statusWith(server.url, first.caText), 200)
  use(second)
  server.child.kill('SIGHUP')
  while ((await statusWith(server.url, second.caText)) !== 200) await new Promise(setImmediate)
  t.notMatch(server.log(), 'the certificate expire')
  writeFileSync(cert, 'nonsense')
  server.child.kill('SIGHUP')
  while (!server.log().includes('could not be read again')) await new Promise((resolve) => setTimeout(resolve, 10))
  t.equal(await statusWith(server.url, second.caText), 200, 'the old one stays')
  t.equal(await server.stop(), 0)
  t.match(server.log(), `listening on ${server.url}`, 'the log says https as well')
})

await t.test('does not start with a certificate that is none, or is of another key', async (t) => {
  const dir = folder(t)
  const [one, other] = [await makeCertificate(join(dir, '1')), await makeCertificate(join(dir, '2'))]
  const nonsense = join(dir, 'nonsense.pem')
  writeFileSync(nonsense, 'nonsense')
  for (const [cert, key] of [
    [nonsense, nonsense],
    [one.cert, nonsense],
    [one.cert, other.key],
  ] as const) {
    const { code, stderr } = await run(['--data', dir, ...listen, '--tls-cert', cert, '--tls-key', key])
    t.equal(code, 2, stderr)
    t.match(stderr, /^error: .*\(TLS_UNUSABLE\)\nhint: .*\n$/)
  }
})

await t.test('a connection that never greets does not hold up the stop for longer than told', async (t) => {
  const dir = folder(t)
  const { cert, key } = await makeCertificate(join(dir, '1'))
  const env = { TAGSEAL_SERVER_DRAIN_TIMEOUT: '1' }
  const server = await startProcess(['--data', dir, ...listen, '--tls-cert', cert, '--tls-key', key], { env })
  t.teardown(() => server.child.kill('SIGKILL'))
  const silent = connect(Number(new URL(server.url).port), '127.0.0.1')
  silent.on('error', () => silent.destroy())
  await once(silent, 'connect')
  t.equal(await Promise.race([server.stop(), sleep(10_000, 'still running', { ref: false })]), 0)
})

/** undefined where this authority does not vouch for the server. */
function statusWith(url: string, ca: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    request(`${url}/healthz`, { ca, agent: false }, (response) => {
      resolve(response.statusCode)
      response.resume()
    })
      .on('error', () => resolve(undefined))
      .end()
  })
}
