/** A trust server that shows itself to nobody without a token, and a gateway whose rules bring one. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { run } from '../../client/run.ts'
import { monotonicNow } from '../../client/monotonic.ts'
import { openTestServer } from '../server/support/app.ts'
import { buildImage } from '../support/images.ts'
import { tagsealHere } from '../support/in-process.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test('a rule brings the token that its trust server asks for', { skip }, async (t) => {
  const server = await openTestServer(t, { open: false, private: true }, { now: Date.now() })
  const seen: (string | undefined)[] = []
  server.app.server.prependListener('request', ({ headers }) => seen.push(headers.authorization))
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' })
  const nothing = async () => {}
  const serve = async () => ({ url, data: '', log: () => '', stop: nothing, remove: nothing })
  const town = await openTown({}, tagsealHere, serve)
  t.teardown(town.close)
  const owner = await town.person()
  const mine = { env: { TAGSEAL_TOKEN: await server.token({ name: 'owner', actions: ['pull', 'push'] }) } }
  const made = await owner.run(['init', town.repository, '--no-passphrase'], mine)
  t.equal(made.code, 0, made.stderr)
  const key = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const { digest } = await town.push('1.0', buildImage())
  t.equal((await owner.run(['sign', `${town.repository}:1.0`], mine)).code, 0)

  const folder = t.testdir()
  const [path, tokenFile] = [join(folder, 'policy.yaml'), join(folder, 'reader')]
  const written = (more: string) => `version: 1
defaultRegistry: ${town.registry.host}
rules: [{ pattern: "${town.registry.host}/**", pin: { keys: [${key}] }, server: ${url}, maxAge: 1s${more} }]
`
  const verify = async (home: string, env: Record<string, string> = {}) =>
    await tagsealHere(['verify', `${town.repository}:1.0`, '--policy', path, '--json'], {
      env: { TAGSEAL_HOME: join(folder, home), HOME: folder, ...env },
    })

  await writeFile(path, written(''))
  t.match(await verify('a'), { code: 3, stdout: /UNAUTHORIZED/ }, 'without one nothing can be found out')
  await writeFile(path, written(', tokenFile: reader'))
  t.match(await verify('b'), { code: 2, stdout: /FILE_UNREADABLE/ }, 'nor without its file')
  await writeFile(tokenFile, 'no token\n')
  t.match(await verify('c'), { code: 2, stdout: /FILE_MALFORMED/ })
  const reader = await server.token({ name: 'reader', actions: ['pull'] })
  await writeFile(tokenFile, `${reader}\n`)
  seen.length = 0
  t.match(await verify('d', { TAGSEAL_TOKEN: 'of-somebody-else' }), { code: 0, stdout: digest })
  t.same([...new Set(seen)], [`Bearer ${reader}`], 'and the token of the run goes elsewhere')
  const another = await openTestServer(t, { open: false, private: true })
  const asked: (string | undefined)[] = []
  another.app.server.prependListener('request', ({ headers }) => asked.push(headers.authorization))
  const elsewhere = await another.app.listen({ port: 0, host: '127.0.0.1' })
  t.match(await verify('e', { TAGSEAL_SERVER: elsewhere }), { code: 3, stdout: /UNAUTHORIZED/ })
  t.ok(asked.length > 0)
  t.notOk(asked.includes(`Bearer ${reader}`), 'as that of the rule goes to its server alone')

  await t.test('and the gateway reads it anew, for as long as it runs', async (t) => {
    const end = new AbortController()
    const says: string[] = []
    const address = Promise.withResolvers<string>()
    const running = run(['gateway', '--policy', path, '--listen', '127.0.0.1:0', '--cache', join(folder, 'cache')], {
      env: { TAGSEAL_HOME: join(folder, 'gateway'), HOME: folder },
      homeDirectory: folder,
      stdout: { write: (text) => address.resolve(/http:\S+/.exec(text)?.[0] ?? '') },
      stderr: { write: (text) => says.push(text) },
      clock: Date.now,
      monotonic: monotonicNow,
      signal: end.signal,
      version: '0',
    })
    const gateway = await address.promise
    const pull = async () => {
      const response = await fetch(`${gateway}/v2/team/app/manifests/1.0`)
      return [response.status, /"reason":"([A-Z_]+)"/.exec(await response.text())?.[1]]
    }
    const becomes = async (status: number, reason?: string) => {
      let got = await pull()
      for (let tries = 0; got[1] !== reason && tries < 500; tries++) got = await delay(20).then(pull)
      t.same(got, [status, reason])
    }
    await becomes(200)
    await rm(tokenFile)
    await becomes(503, 'FILE_UNREADABLE')
    await writeFile(tokenFile, 'another-one')
    await becomes(503, 'UNAUTHORIZED')
    await writeFile(tokenFile, reader)
    await becomes(200)
    t.notMatch(says.join(''), reader, 'and tells it to nobody')
    end.abort()
    await running
  })
})
