import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { codeOf, tagseal } from '../../support/cli.ts'
import { startGateway } from '../../support/gateway.ts'
import { tagsealHere } from '../../support/in-process.ts'

const POLICY = 'version: 1\nrules: [{ pattern: a.io/x, unsigned: true }]\n'
const folder = t.testdir({
  'policy.yaml': POLICY,
  'broken.yaml': 'version: 1\n',
  users: 'nobody\n',
  'key.pem': 'no key',
})
symlinkSync('/nowhere/at/all', join(folder, 'dangling'))
const file = (name: string) => join(folder, name)
const policy = ['--policy', file('policy.yaml')]

const REFUSED: Record<string, { args: readonly string[]; code: string; exit: number }> = {
  'a gateway without a policy': { args: [], code: 'USAGE', exit: 2 },
  'a broken policy': { args: ['--policy', file('broken.yaml')], code: 'POLICY_MALFORMED', exit: 2 },
  'a policy that is not there': { args: ['--policy', file('none')], code: 'POLICY_UNUSABLE', exit: 3 },
  'plain http for everybody': { args: [...policy, '--listen', '0.0.0.0:0'], code: 'USAGE', exit: 2 },
  'plain http for everybody, by IPv6': { args: [...policy, '--listen', '[::]:0'], code: 'USAGE', exit: 2 },
  'an address that is none': { args: [...policy, '--listen', '5080'], code: 'USAGE', exit: 2 },
  'a port that is none': { args: [...policy, '--listen', '127.0.0.1:99999'], code: 'USAGE', exit: 2 },
  'a certificate without its key': { args: [...policy, '--tls-cert', file('key.pem')], code: 'USAGE', exit: 2 },
  'authorities of clients without TLS': { args: [...policy, '--client-ca', file('key.pem')], code: 'USAGE', exit: 2 },
  'a certificate that is none': {
    args: [...policy, '--tls-cert', file('key.pem'), '--tls-key', file('key.pem')],
    code: 'FILE_MALFORMED',
    exit: 2,
  },
  'a file of users that is none': { args: [...policy, '--users', file('users')], code: 'FILE_MALFORMED', exit: 2 },
  'a cache where nothing can be made': { args: [...policy, '--cache', '/proc/none'], code: 'IO', exit: 3 },
  'a cache below a file': { args: [...policy, '--cache', file('users/cache')], code: 'IO', exit: 3 },
  'a cache that is a file': { args: [...policy, '--cache', file('users')], code: 'IO', exit: 3 },
  'a cache that leads nowhere': { args: [...policy, '--cache', file('dangling')], code: 'IO', exit: 3 },
  'a size without its unit': { args: [...policy, '--cache-size', '10'], code: 'USAGE', exit: 2 },
  'a size that is none': { args: [...policy, '--cache-size', 'much'], code: 'USAGE', exit: 2 },
}
for (const [name, { args, code, exit }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const ran = await tagseal(['gateway', ...args], { env: { TAGSEAL_HOME: join(folder, 'home'), HOME: folder } })
    t.same([ran.code, codeOf(ran)], [exit, code], ran.stderr)
    t.notMatch(ran.stderr, /\n\s+at |EEXIST|ENOTDIR/)
  })
}

const ALONE: Record<string, readonly string[]> = {
  'give --tls-key FILE as well': ['--tls-cert', file('key.pem')],
  'give --tls-cert FILE as well': ['--tls-key', file('key.pem')],
  'give --tls-cert FILE and --tls-key FILE as well': ['--client-ca', file('key.pem')],
}
for (const [hint, args] of Object.entries(ALONE)) {
  await t.test(`${args[0]} alone: ${hint}`, async (t) => {
    const ran = await tagsealHere(['gateway', ...policy, ...args], { env: { TAGSEAL_HOME: join(folder, 'home') } })
    t.match(ran.stderr, new RegExp(`hint: ${hint}\\n`))
  })
}

await t.test('an address that is taken is told', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const ran = await tagseal(['gateway', ...policy, '--listen', address], {
    env: { TAGSEAL_HOME: join(folder, 'home') },
  })
  t.same([ran.code, codeOf(ran)], [3, 'IO'])
})

await t.test('SIGTERM lets what is under way end', async (t) => {
  const upstream = createServer((request, response) => {
    setTimeout(() => response.writeHead(404).end(), request.url === '/v2/' ? 0 : 1500)
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => upstream.close())
  const host = `127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const rule = `{ pattern: ${host}/x, unsigned: true }`
  const gateway = await startGateway({ folder: t.testdir(), policy: `version: 1\nrules: [${rule}]\n` })
  const asked = fetch(`${gateway.url}/v2/x/manifests/1?ns=${host}`)
  await once(upstream, 'request')
  const stopped = gateway.stop()
  t.equal((await asked).status, 404, 'the answer comes')
  await stopped
  await t.rejects(fetch(gateway.url), 'and then nobody is there')
})

await t.test('what a gateway runs by is read again, and SIGHUP says so', async (t) => {
  const dir = t.testdir({ users: 'ci:first\n' })
  const gateway = await startGateway({ folder: dir, policy: POLICY, args: ['--users', join(dir, 'users')] })
  t.teardown(() => gateway.stop())
  const login = (password: string) => ({ authorization: `Basic ${Buffer.from(`ci:${password}`).toString('base64')}` })
  const ask = async (password: string, path = '/v2/') => await fetch(gateway.url + path, { headers: login(password) })
  const told = (event: string) => gateway.log().filter((entry) => entry['event'] === event)
  const waited = async (seen: () => boolean) => {
    for (let i = 0; i < 200 && !seen(); i++) await delay(25)
    t.ok(seen(), gateway.errors())
  }

  t.equal((await ask('second')).status, 401)
  await waited(() => told('login').length === 1)
  t.notMatch(gateway.errors(), /second/, 'what was tried is written nowhere')
  await writeFile(join(dir, 'users'), 'ci:second\n')
  const before = told('policy').length
  gateway.signal('SIGHUP')
  await waited(() => told('users').length > 0 && told('policy').length > before)
  t.equal((await ask('second')).status, 200)
  t.equal((await ask('first')).status, 401)

  const refused = await ask('second', '/v2/docker.io/library/nginx/manifests/1.29')
  t.match(await refused.text(), /docker\.io; ask whoever runs this gateway/)
  await waited(() => told('verdict').length === 1)
  t.match(told('verdict')[0], {
    outcome: 'refused',
    reason: 'REGISTRY_NOT_ALLOWED',
    image: '/v2/docker.io/library/nginx/manifests/1.29',
  })
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
  t.match(metrics, /^tagseal_gateway_failed_logins_total 2$/m)
  t.match(metrics, /^tagseal_gateway_verdicts_total\{outcome="refused",reason="REGISTRY_NOT_ALLOWED"\} 1$/m)

  t.equal((await fetch(`${gateway.url}/readyz`)).status, 200)
  await rm(join(dir, 'cache'), { recursive: true })
  t.equal((await fetch(`${gateway.url}/readyz`)).status, 503)
})
