/** What a server says of files that their owners should renew. */
import t from 'tap'
import { openTestServer, REPO } from './support/app.ts'
import { changeRoot, setTag, signRoot, signTargets } from './support/party.ts'

const DAY = 86_400_000
const file = (name: string) => `/v2/${REPO}/_trust/tuf/${name}`
const GAUGE = /^tagseal_(role_left_seconds|roles_expiring)\{role="(\w+)"\} (\S+)$/gm

await t.test('a warning goes out with a file once a fifth of its life is left', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create(['1.0'])
  const warningOf = async (name: string, headers = {}) => (await server.get(file(name), headers)).headers['warning']
  t.equal(await warningOf('targets.json'), undefined)
  server.clock.now += 291 * DAY
  t.equal(await warningOf('targets.json'), undefined, 'a few days more than a fifth')
  server.clock.now += 2 * DAY
  const warning = '299 - "targets 1 expires at 2027-11-24T12:00:00.000Z"'
  t.equal(await warningOf('targets.json'), warning, 'from the memory that served it before')
  t.equal(await warningOf('1.targets.json'), warning, 'by its version, as TUF clients ask')
  t.match(await warningOf('root.json'), /^299 - "root 1 expires/)
  t.equal(await warningOf('1.root.json'), undefined, 'a root in a chain is never renewed')
  const { etag } = (await server.get(file('targets.json'))).headers
  const unchanged = await server.get(file('targets.json'), { 'if-none-match': String(etag) })
  t.strictSame([unchanged.statusCode, unchanged.headers['warning']], [304, warning])
  setTag(owner, server.clock.now, '1.0', 'renewed')
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  t.equal(await warningOf('targets.json'), undefined)
})

await t.test('figures tell the soonest end and how many are due, for each kind of role and no more', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create(['1.0'])
  await server.create(['1.0'], `${REPO}-2`)
  const figures = async () => {
    const { body } = await server.get('/metrics')
    return Object.fromEntries(
      [...body.matchAll(GAUGE)].map(([, name, role, value]) => [`${name} ${role}`, Number(value)]),
    )
  }
  const year = (365 * DAY) / 1000
  t.strictSame(await figures(), {
    'role_left_seconds root': year,
    'role_left_seconds targets': year,
    'roles_expiring root': 0,
    'roles_expiring targets': 0,
    'roles_expiring delegated': 0,
  })
  server.clock.now += 300 * DAY
  setTag(owner, server.clock.now, '1.0', 'renewed')
  changeRoot(owner, server.clock.now, {})
  t.equal((await server.publish({ root: await signRoot(owner), targets: await signTargets(owner) })).statusCode, 200)
  const left = (65 * DAY) / 1000
  t.match(await figures(), {
    'role_left_seconds root': left,
    'role_left_seconds targets': left,
    'roles_expiring root': 1,
    'roles_expiring targets': 1,
  })
  server.clock.now += 66 * DAY
  t.match(await figures(), { 'role_left_seconds targets': -DAY / 1000 })
})
