import t from 'tap'
import { openTestServer, REPO } from '../support/app.ts'
import type { TestServer } from '../support/app.ts'
import { newOwner, setTag, signBoth, signTargets } from '../support/party.ts'
import { keyOf } from '../support/app.ts'
import type { KeyObject } from '../support/app.ts'

const TIMESTAMP = `/v2/${REPO}/_trust/tuf/timestamp.json`

type Answer = { kept: boolean; sightings: { who: string; version: number; at: string }[] }
const seen = async (server: TestServer, headers: Record<string, string> = {}) =>
  (await server.get(`/v1/repositories/${REPO}/_sightings`, headers)).json<Answer>()
const from = (server: TestServer, remoteAddress: string, headers: Record<string, string> = {}) =>
  server.app.inject({ method: 'GET', url: TIMESTAMP, remoteAddress, headers })

await t.test('an address is kept without its end, with the version that it was served last', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const PLACES = ['192.0.2.7', '::ffff:192.0.2.8', '2001:db8:1:2::3', '2001:db8::1', '::1', 'fe80::1%eth0', 'nonsense']
  for (const place of PLACES) t.equal((await from(server, place)).statusCode, 200)
  server.clock.now += 1000
  setTag(owner, server.clock.now, '1.0', 'two')
  await server.publish({ targets: await signTargets(owner) })
  const { etag = '' } = (await from(server, '192.0.2.9')).headers
  server.clock.now += 1000
  t.equal((await from(server, '192.0.2.9', { 'if-none-match': etag })).statusCode, 304, 'who has it already counts')
  const { kept, sightings } = await seen(server)
  t.ok(kept)
  const versions = Object.fromEntries(sightings.map(({ who, version }) => [who, version]))
  t.same(versions, {
    '192.0.2.0/24': 2,
    '2001:db8:1::/48': 1,
    '2001:db8:0::/48': 1,
    '0:0:0::/48': 1,
    'fe80:0:0::/48': 1,
    elsewhere: 1,
  })
  t.equal(sightings[0]?.at, '2026-11-24T12:00:02.000Z', 'whoever was seen last comes first')
})

await t.test('a token is known by its name', async (t) => {
  const server = await openTestServer(t, { open: false, private: true })
  const push = { authorization: `Bearer ${await server.token({ name: 'ci' })}` }
  const pull = { authorization: `Bearer ${await server.token({ name: 'cluster', actions: ['pull'] })}` }
  const key = async (role: string) => (await server.get(`/v2/${REPO}/_trust/tuf/${role}.key`, push)).json<KeyObject>()
  const online = { timestamp: keyOf(await key('timestamp')), snapshot: keyOf(await key('snapshot')) }
  await server.publish(await signBoth(await newOwner(online, server.clock.now, ['1.0'])), { headers: push })
  await server.get(TIMESTAMP, pull)
  t.match(await seen(server, push), { kept: true, sightings: [{ who: 'cluster', version: 1 }] })
  t.equal((await server.get(`/v1/repositories/${REPO}/_sightings`, pull)).statusCode, 403)
})

await t.test('nothing is kept where that is turned off, and old ones go', async (t) => {
  const off = await openTestServer(t, { sightingLifetime: 0 })
  await off.create()
  await off.get(TIMESTAMP)
  t.same(await seen(off), { kept: false, sightings: [] })
  t.equal((await off.get('/v1/repositories/elsewhere/_sightings')).statusCode, 404)
  const server = await openTestServer(t, { sightingLifetime: 60 })
  await server.create()
  await server.get(TIMESTAMP)
  t.equal((await seen(server)).sightings.length, 1)
  server.clock.now += 61_000
  t.equal((await seen(server)).sightings.length, 0)
})

await t.test(
  'of one repository a thousand are kept, and a flood between two writes is not counted to its end',
  async (t) => {
    const server = await openTestServer(t)
    await server.create()
    const { sightings } = server.services.deps
    for (let i = 0; i < 25_000; i++) sightings.note(REPO, { address: `10.${i >> 8}.${i & 255}.1` }, 1)
    t.equal((await seen(server)).sightings.length, 1000)
  },
)
