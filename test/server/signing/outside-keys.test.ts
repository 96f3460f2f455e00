/** Online keys that are not in the database: on a SoftHSM token, and behind the programs of the guide. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'

import { firstTargets } from '../../../tuf/index.ts'
import type { OnlineRole } from '../../../server/storage/store.ts'
import { privateFolder } from '../../support/secrets.ts'
import { exampleProgram, exampleSigner, shellSigner, startToken, whyNoTokens } from '../../support/signers.ts'
import { keyOf, openTestServer, REPO } from '../support/app.ts'
import type { KeyObject, TestServer } from '../support/app.ts'
import { changeRoot, context, newKey, setTag, signRoot, signTargets } from '../support/party.ts'
import { fetchTrusted } from '../support/reader.ts'

const HOUR = 3600 * 1000
const OTHER = 'registry.example.com/team/other'
const TIMESTAMP_KEY = `/v2/${REPO}/_trust/tuf/timestamp.key`
const noTokens = whyNoTokens() ?? false

/** The `onlineKeys` of a server, and how many private keys are there now. */
type Place = { readonly onlineKeys: string; readonly count: () => number }

const PLACES: Record<string, { readonly open: (t: Test) => Place; readonly skip: string | false }> = {
  'a token': { open: tokenPlace, skip: noTokens },
  'a program': { open: programPlace, skip: false },
}

function tokenPlace(t: Test): Place {
  const { module, pinFile, env } = startToken(t)
  process.env['SOFTHSM2_CONF'] = env.SOFTHSM2_CONF // read once, by the process that loads the module
  const folder = join(env.SOFTHSM2_CONF, '..', 'tokens')
  const objects = () =>
    readdirSync(folder, { recursive: true }).filter((name) => /(?<!token)\.object$/.test(String(name)))
  return {
    onlineKeys: `pkcs11:token=release?module-path=${module}&pin-source=file:${pinFile}`,
    count: () => objects().length / 2,
  }
}

function programPlace(t: Test): Place {
  const folder = privateFolder(t)
  return {
    onlineKeys: `exec:${exampleProgram(t)}?arg=${encodeURIComponent(folder)}`,
    count: () => readdirSync(folder).length,
  }
}

for (const [name, { open, skip }] of Object.entries(PLACES)) {
  await t.test(`keys made by ${name}`, { skip }, async (t) => {
    const place = open(t)
    const server = await openTestServer(t, { onlineKeys: place.onlineKeys })
    const owner = await server.create()
    await server.create(['1.0'], OTHER)
    await t.test('are one for each role of each repository, and none of them is in the database', async (t) => {
      t.equal(place.count(), 4)
      const records = await recordsOf(server)
      t.equal(new Set(records.map(({ keyid }) => keyid)).size, 4)
      t.ok(records.every(({ sealed, signer }) => sealed === undefined && /^(?:pkcs11|exec):/.test(signer)))
      t.ok(
        records.every(({ signer }) => !/module|pin|openssl/.test(String(signer))),
        'nor what is loaded or run',
      )
    })
    await t.test('sign what is published and what falls due', async (t) => {
      setTag(owner, server.clock.now, '2.0', 'x')
      t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
      server.clock.now += 4 * 24 * HOUR
      t.equal(await server.services.freshness.pass(), 2)
      t.ok(await fetchTrusted(server, owner))
      t.equal((await server.get('/readyz')).statusCode, 200)
    })
    await t.test('are replaced by others', async (t) => {
      const next = (await server.app.inject({ method: 'POST', url: TIMESTAMP_KEY })).json<KeyObject>()
      changeRoot(owner, server.clock.now, { timestamp: { keys: [keyOf(next)], threshold: 1 } })
      t.equal((await server.publish({ root: await signRoot(owner) })).statusCode, 200)
      t.ok(await fetchTrusted(server, owner))
      t.equal(place.count(), 5, 'what no root names any more stays where it is, for its owner to remove')
    })
  })
}

await t.test('a repository goes on with sealed keys until they are rotated', async (t) => {
  const data = privateFolder(t)
  const sealed = await openTestServer({ teardown: () => undefined }, { data })
  const owner = await sealed.create()
  await sealed.services.close()
  const place = programPlace(t)
  const server = await openTestServer(t, { data, onlineKeys: place.onlineKeys })
  setTag(owner, server.clock.now, '2.0', 'x')
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  t.equal(place.count(), 0)
  for (const role of ['timestamp', 'snapshot'] as const) {
    const url = `/v2/${REPO}/_trust/tuf/${role}.key`
    const next = (await server.app.inject({ method: 'POST', url })).json<KeyObject>()
    changeRoot(owner, server.clock.now, { [role]: { keys: [keyOf(next)], threshold: 1 } })
    t.equal((await server.publish({ root: await signRoot(owner) })).statusCode, 200)
  }
  t.ok(await fetchTrusted(server, owner))
  t.ok(
    (await recordsOf(server, [REPO])).every((record) => record.sealed === undefined),
    'the sealed ones are forgotten',
  )
})

await t.test('keys stay usable where they were made before, and are no riddle where the settings forgot', async (t) => {
  const data = privateFolder(t)
  const { onlineKeys } = programPlace(t)
  const first = await openTestServer({ teardown: () => undefined }, { data, onlineKeys })
  const owner = await first.create()
  await first.services.close()
  const signs = async (flags: object) => {
    const server = await openTestServer({ teardown: () => undefined }, { data, ...flags })
    setTag(owner, server.clock.now, `${owner.targets.version}`, 'x')
    const { statusCode } = await server.publish({ targets: await signTargets(owner) })
    await server.services.close()
    return statusCode
  }
  t.equal(await signs({ onlineKeysBefore: onlineKeys }), 200)
  t.equal(await signs({}), 503)
})

await t.test('one key for everybody', async (t) => {
  const onlineKeys = exampleSigner(t, 'ecdsa-p256')
  await t.test('is taken where it is asked for by name, and cannot be replaced by itself', async (t) => {
    const server = await openTestServer(t, { onlineKeys, sharedOnlineKey: true })
    const owner = await server.create()
    await server.create(['1.0'], OTHER)
    t.ok(await fetchTrusted(server, owner))
    const renewed = await server.app.inject({ method: 'POST', url: TIMESTAMP_KEY })
    t.match(renewed.json(), { errors: [{ code: 'SIGNING_UNAVAILABLE', detail: { reason: /no other key/ } }] })
  })
  await t.test('is refused where each shall have its own', async (t) => {
    const pem = execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519'])
    const described = execFileSync('openssl', ['pkey', '-pubout'], { input: pem, encoding: 'utf8' })
    const server = await openTestServer(t, { onlineKeys: shellSigner(t, `printf '%s' '${described}'`) })
    t.equal((await server.get(TIMESTAMP_KEY)).statusCode, 200)
    const other = await server.get(`/v2/${OTHER}/_trust/tuf/timestamp.key`)
    t.match(other.json(), { errors: [{ code: 'SIGNING_UNAVAILABLE', detail: { reason: /another repository/ } }] })
  })
})

await t.test('a signer that hangs', async (t) => {
  const [folder, stop] = [privateFolder(t), join(privateFolder(t), 'stop')]
  const program = exampleProgram(t)
  const script = `[ "$1" = sign ] && [ -e ${stop} ] && exec sleep 60; exec ${program} "$@"`
  const onlineKeys = `${shellSigner(t, script)}?arg=${encodeURIComponent(folder)}`
  const server = await openTestServer(t, { onlineKeys, signerTimeout: 1 })
  const owner = await server.create()
  for (let i = 0; i < 20; i++) await server.create([], `${OTHER}${i}`)
  writeFileSync(stop, '')
  setTag(owner, server.clock.now, '2.0', 'x')
  const upload = { targets: await signTargets(owner) }
  const url = `/v2/${REPO}/_trust/tuf/timestamp.json`
  await t.test('is given up, keeps no reader waiting, and nobody waits for it twice', async (t) => {
    const began = performance.now()
    const publishing = server.publish(upload)
    for (let i = 0; i < 20; i++) t.equal((await server.get(url)).statusCode, 200)
    t.ok(performance.now() - began < 900, 'while the publish waits')
    const answer = await publishing
    t.match(answer.json(), { errors: [{ code: 'SIGNING_UNAVAILABLE', detail: { reason: /within 1 seconds/ } }] })
    server.clock.now += 13 * HOUR
    const again = performance.now()
    t.equal(await server.services.freshness.pass(), 0)
    t.ok(performance.now() - again < 4000, '21 repositories did not take 21 seconds')
    t.match((await server.get('/readyz')).json(), { errors: [{ code: 'UNAVAILABLE' }] })
    t.match((await server.get(url)).json(), { signed: { version: 1 } })
  })
  await t.test('signs what fell due once it answers again', async (t) => {
    rmSync(stop)
    server.clock.now += 6000
    t.equal(await server.services.freshness.pass(), 21)
    t.equal((await server.publish(upload)).statusCode, 200)
    t.equal((await server.get('/readyz')).statusCode, 200)
    t.ok(await fetchTrusted(server, owner))
  })
})

await t.test('nothing is signed for an upload that is refused', async (t) => {
  const [folder, log] = [privateFolder(t), join(privateFolder(t), 'log')]
  const script = `[ "$1" != sign ] || echo >> ${log}; exec ${exampleProgram(t)} "$@"`
  const server = await openTestServer(t, { onlineKeys: `${shellSigner(t, script)}?arg=${encodeURIComponent(folder)}` })
  const owner = await server.create()
  const signatures = () => readFileSync(log).length
  t.equal(signatures(), 2)
  setTag(owner, server.clock.now, '2.0', 'x')
  const good = await signTargets(owner)
  const targetsKey = await newKey()
  const stranger = await signTargets({ ...owner, targetsKey })
  const team = await signTargets({ ...owner, targetsKey, targets: firstTargets({}, context(server.clock.now)) })
  t.match((await server.publish({ targets: stranger })).json(), { errors: [{ code: 'INVALID_UPDATE' }] })
  t.match((await server.publish({ targets: good, team })).json(), { errors: [{ code: 'INVALID_ROLE' }] })
  t.equal(signatures(), 2)
  t.equal((await server.publish({ targets: good })).statusCode, 200)
  t.equal(signatures(), 4)
})

await t.test('who can write to the database chooses no program', async (t) => {
  const mark = join(privateFolder(t), 'mark')
  const evil = shellSigner(t, `touch ${mark}`)
  const { onlineKeys } = programPlace(t)
  const server = await openTestServer(t, { onlineKeys })
  const owner = await server.create()
  const { keys } = server.services.deps.store
  const list = keys.list.bind(keys)
  Object.assign(keys, {
    list: async (repository: string, role: OnlineRole) =>
      (await list(repository, role)).map((record) => ({ ...record, signer: evil })),
  })
  setTag(owner, server.clock.now, '2.0', 'x')
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 503)
  t.notOk(existsSync(mark))
})

await t.test('a program that answers with the signature of another key publishes nothing', async (t) => {
  const program = exampleProgram(t)
  const folder = privateFolder(t)
  const script = `[ "$1" = sign ] && set -- sign "$2" "$(basename "$2"/*timestamp* .pem | head -1)"; exec ${program} "$@"`
  const server = await openTestServer(t, { onlineKeys: `${shellSigner(t, script)}?arg=${encodeURIComponent(folder)}` })
  await t.rejects(server.create(), /SIGNING_UNAVAILABLE/)
  t.equal(readdirSync(folder).length, 2)
  t.ok(readFileSync(join(folder, readdirSync(folder)[0] ?? '')).length > 0)
})

async function recordsOf(server: TestServer, repositories = [REPO, OTHER]) {
  const { keys } = server.services.deps.store
  const roles = ['timestamp', 'snapshot'] as const
  const lists = await Promise.all(repositories.flatMap((name) => roles.map((role) => keys.list(name, role))))
  return lists.flat()
}
