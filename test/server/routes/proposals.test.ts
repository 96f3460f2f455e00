import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { firstTargets, nextRoot, nextTargets, roleName, withDelegation, withoutDelegation } from '../../../tuf/index.ts'
import type { Targets } from '../../../tuf/index.ts'
import { openTestServer, REPO } from '../support/app.ts'
import type { TestServer } from '../support/app.ts'
import { openNotaryLab } from '../support/notary-party.ts'
import { changeRoot, context, newKey, newOwner, signFile, signRoot, target } from '../support/party.ts'
import type { Files } from '../support/party.ts'
import { addSignatures, filesOf, named, openShared, propose, signatureBy, TEAM, urlOf } from '../support/proposals.ts'
import type { ProposalDocument, Shared } from '../support/proposals.ts'

const DAY = 24 * 3600 * 1000
const tag = (name: string, seed = name) => ({ set: new Map([[name, target(seed)]]) })

async function scene(t: Test, flags: Parameters<typeof openTestServer>[1] = {}) {
  const server = await openTestServer(t, flags)
  return { server, ...(await openShared(server)) }
}
type Scene = Awaited<ReturnType<typeof scene>>

async function pending({ server }: Pick<Scene, 'server'>): Promise<readonly ProposalDocument[]> {
  return (await server.get(urlOf())).json<{ proposals: ProposalDocument[] }>().proposals
}

await t.test('two of three sign a publish one after the other', async (t) => {
  const { server, keys, next } = await scene(t)
  const [alice, bob, carol] = keys
  const body = next(tag('2.0'))
  const first = await propose(server, { targets: await signFile(body, alice) })
  t.equal(first.statusCode, 200, first.body)
  const begun = first.json<ProposalDocument>()
  t.match(begun, { stale: false, files: [{ role: 'targets', version: 2, signatures: [{ keyid: alice.key.id }] }] })
  t.equal(Date.parse(begun.expiresAt) - Date.parse(begun.createdAt), 7 * DAY)
  t.notOk('base' in (begun.files[0] ?? {}))

  await t.test('nothing of it is served, and the files alone are not enough', async (t) => {
    t.equal((await server.get(`/v2/${REPO}/_trust/tuf/2.targets.json`)).statusCode, 404)
    const early = await server.publish(filesOf(begun))
    t.match(early.json(), { errors: [{ code: 'INVALID_UPDATE', detail: { code: 'THRESHOLD', need: 2, have: 1 } }] })
  })
  await t.test('it is found also where slashes stand as they are', async (t) => {
    t.same((await server.get(`/v1/repositories/${REPO}/proposals/${begun.id}`)).json(), begun)
  })
  await t.test('the same sent again, as after a lost answer, is the same', async (t) => {
    const again = await propose(server, { targets: await signFile(body, alice) })
    t.same(again.json(), begun)
    t.equal((await pending({ server })).length, 1)
  })
  await t.test('the same change with another expiry names the one that is pending', async (t) => {
    const other = nextTargets(body, {}, context(server.clock.now - 1000))
    const ran = await propose(server, { targets: await signFile({ ...other, version: body.version }, carol) })
    t.match([ran.statusCode, ran.json()], [409, { errors: [{ code: 'PROPOSED_ALREADY', detail: { id: begun.id } }] }])
  })
  await t.test('a second signature is added, and stays one however often it comes', async (t) => {
    const add = async () => addSignatures(server, begun.id, [await signatureBy(bob, body)])
    for (const ran of [await add(), await add()]) {
      t.equal(ran.json<ProposalDocument>().files[0]?.signatures.length, 2, ran.body)
    }
    t.match(await pending({ server }), [{ files: [{ signedBy: [alice.key.id, bob.key.id].toSorted() }] }])
  })
  await t.test('whoever publishes what has enough of them ends it', async (t) => {
    const now = (await server.get(urlOf(REPO, `/${begun.id}`))).json<ProposalDocument>()
    t.equal((await server.publish(filesOf(now))).statusCode, 200)
    t.same(await pending({ server }), [])
    const late = await addSignatures(server, begun.id, [await signatureBy(carol, body)])
    t.match([late.statusCode, late.json()], [404, { errors: [{ code: 'NOT_FOUND' }] }])
  })
})

await t.test('targets and a new role under other keys go together', async (t) => {
  const { server, keys, next, targets } = await scene(t)
  const [qa, scope] = [await newKey(), { kind: 'paths' as const, paths: ['qa-*'] }]
  const role = { name: roleName('qa'), keys: [qa.key], threshold: 1, scope, terminating: false }
  const body = next({ delegations: withDelegation(targets.delegations, role) })
  const below: Targets = { ...firstTargets(tag('qa-1'), context(server.clock.now)), unknown: named(REPO) }
  const ran = await propose(server, { targets: await signFile(body, keys[0]), qa: await signFile(below, qa) })
  t.equal(ran.statusCode, 200, ran.body)
  const { id } = ran.json<ProposalDocument>()
  const signed = await addSignatures(server, id, [await signatureBy(keys[1], body)])
  t.equal(signed.statusCode, 200, 'who may sign one file need not sign the other')
  t.equal((await server.publish(filesOf(signed.json()))).statusCode, 200)
})

type Refusal = {
  readonly send: (scene: Scene) => Promise<Files>
  readonly code: string
  readonly inner?: string
}

const JUNK: Record<string, Refusal> = {
  'files that nobody has signed': {
    send: async ({ next }) => ({ targets: await signFile(next(tag('x'))) }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'files that a stranger has signed': {
    send: async ({ next }) => ({ targets: await signFile(next(tag('x')), await newKey()) }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  "a stranger's signature beside a good one": {
    send: async ({ next, keys }) => ({ targets: await signFile(next(tag('x')), keys[0], await newKey()) }),
    code: 'UNKNOWN_SIGNER',
  },
  "a file that is signed by another role's keys": {
    send: async ({ next, team }) => ({ targets: await signFile(next(tag('x')), ...team) }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a good file beside one that nobody has signed': {
    send: async ({ server, next, keys }) => ({
      targets: await signFile(next(tag('x')), keys[0]),
      team: await signFile(firstTargets(tag('t-1'), context(server.clock.now))),
    }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a file that was changed after it was signed': {
    send: async ({ next, keys }) => {
      const file = Buffer.from(await signFile(next(tag('x')), keys[0])).toString()
      return { targets: Buffer.from(file.replace('"length":1000', '"length":1001')) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a version that leaves one out': {
    send: async ({ server, next, keys }) => ({
      targets: await signFile(nextTargets(next({}), tag('x'), context(server.clock.now)), keys[0]),
    }),
    code: 'VERSION',
  },
  'the last version there can be': {
    send: async ({ next, keys }) => {
      const { version, ...rest } = next(tag('x'))
      const last = { ...rest, version: (version - version + Number.MAX_SAFE_INTEGER) as typeof version }
      return { targets: await signFile(last, keys[0]) }
    },
    code: 'VERSION',
  },
  'the version that is there': {
    send: async ({ targets, keys }) => ({ targets: await signFile(targets, keys[0]) }),
    code: 'VERSION',
  },
  'a file for another repository': {
    send: async ({ next, keys }) => ({
      targets: await signFile({ ...next(tag('x')), unknown: named('registry.example.com/other') }, keys[0]),
    }),
    code: 'INVALID_UPDATE',
    inner: 'OTHER_REPOSITORY',
  },
  'a file that has expired': {
    send: async ({ targets, keys }) => ({
      targets: await signFile(nextTargets(targets, tag('x'), { ...context(0), expires: 1000 }), keys[0]),
    }),
    code: 'INVALID_UPDATE',
    inner: 'EXPIRED',
  },
  'a role that nobody delegates to': {
    send: async ({ server, keys }) => ({
      nobody: await signFile(firstTargets({}, context(server.clock.now)), keys[0]),
    }),
    code: 'INVALID_UPDATE',
    inner: 'ROLE_NOT_LISTED',
  },
  'a role that the very proposal takes away': {
    send: async ({ server, next, targets, keys, team }) => ({
      targets: await signFile(
        next({ delegations: targets.delegations ? withoutDelegation(targets.delegations, TEAM) : null }),
        keys[0],
      ),
      team: await signFile(firstTargets({}, context(server.clock.now)), team[0]),
    }),
    code: 'INVALID_UPDATE',
    inner: 'ROLE_NOT_LISTED',
  },
  'a tag that no URL can carry': {
    send: async ({ next, keys }) => ({ targets: await signFile(next(tag('a/../b')), keys[0]) }),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a root': {
    send: async ({ server }) => {
      const owner = await newOwner(await server.onlineKeys(), server.clock.now)
      changeRoot(owner, server.clock.now, {})
      return { root: await signRoot(owner) }
    },
    code: 'INVALID_ROLE',
  },
  'a snapshot': { send: async ({ next }) => ({ snapshot: await signFile(next({})) }), code: 'INVALID_ROLE' },
  'bytes that are no metadata': {
    send: async () => ({ targets: Buffer.from('{"signed":{},"signatures":[]}') }),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'no files at all': { send: async () => ({}), code: 'MALFORMED_UPLOAD' },
}

await t.test('junk is refused, and nothing of it is kept', async (t) => {
  for (const [name, { send, code, inner }] of Object.entries(JUNK)) {
    await t.test(name, async (t) => {
      const made = await scene(t)
      const ran = await propose(made.server, await send(made))
      t.match(ran.json(), { errors: [{ code, ...(inner === undefined ? {} : { detail: { code: inner } }) }] })
      t.ok(ran.statusCode >= 400 && ran.statusCode < 500)
      t.same(await pending(made), [])
    })
  }
})

await t.test('a signature is added only where it holds and its key may sign', async (t) => {
  const { server, keys, team, next } = await scene(t)
  const body = next(tag('2.0'))
  const { id } = (await propose(server, { targets: await signFile(body, keys[0]) })).json<ProposalDocument>()
  const good = (await signatureBy(keys[1], body)) as { keyid: string; sig: string; role: string }
  const REFUSED: Record<string, { signature: object; code: string; at?: string }> = {
    'by a stranger': { signature: await signatureBy(await newKey(), body), code: 'UNKNOWN_SIGNER' },
    'by a key of another role': { signature: await signatureBy(team[0], body), code: 'UNKNOWN_SIGNER' },
    'over another file': { signature: await signatureBy(keys[1], next(tag('3.0'))), code: 'UNKNOWN_SIGNER' },
    'of another key': { signature: { ...good, keyid: keys[2].key.id }, code: 'UNKNOWN_SIGNER' },
    'for a file that is not in it': { signature: { ...good, role: 'team' }, code: 'UNKNOWN_SIGNER' },
    'that is no hex': { signature: { ...good, sig: 'xyz' }, code: 'INVALID_REQUEST' },
    'with more members than it has': { signature: { ...good, more: 1 }, code: 'INVALID_REQUEST' },
    'to a proposal that nobody made': { signature: good, code: 'NOT_FOUND', at: '0'.repeat(32) },
  }
  for (const [name, { signature, code, at = id }] of Object.entries(REFUSED)) {
    const ran = await addSignatures(server, at, [signature])
    t.match(ran.json(), { errors: [{ code }] }, name)
    const mixed = await addSignatures(server, at, [good, signature])
    t.match(mixed.json(), { errors: [{ code }] }, `${name}, beside a good one`)
  }
  t.match(await pending({ server }), [{ files: [{ signedBy: [keys[0].key.id] }] }], 'nothing was added')
  t.equal((await addSignatures(server, id, [good])).statusCode, 200)
})

await t.test('what others published in its place', async (t) => {
  const { server, keys, next } = await scene(t)
  const body = next(tag('2.0'))
  const { id } = (await propose(server, { targets: await signFile(body, keys[0]) })).json<ProposalDocument>()
  t.equal((await server.publish({ targets: await signFile(next(tag('3.0')), keys[0], keys[1]) })).statusCode, 200)
  const found = (await server.get(urlOf(REPO, `/${id}`))).json<ProposalDocument>()
  t.match(found, { stale: true, files: [{ version: 2 }] }, 'makes it stale')
  t.match(JSON.parse(found.files[0]?.base ?? ''), { signed: { version: 1 } }, 'and it says what it was made from')
  const ran = await addSignatures(server, id, [await signatureBy(keys[1], body)])
  t.match([ran.statusCode, ran.json()], [409, { errors: [{ code: 'VERSION' }] }], 'it is signed no more')
})

await t.test('a key that left the role signs no proposal any more, and what it signed does not count', async (t) => {
  const { server, keys, root, rootKey, next } = await scene(t)
  const [alice, bob, carol] = keys
  const body = next(tag('2.0'))
  const { id } = (await propose(server, { targets: await signFile(body, carol) })).json<ProposalDocument>()
  const without = { targets: { keys: [alice.key, bob.key], threshold: 2 } }
  const rotated = { root: await signFile(nextRoot(root, without, context(server.clock.now)), rootKey) }
  t.equal((await server.publish(rotated)).statusCode, 200)
  const late = await addSignatures(server, id, [await signatureBy(carol, body)])
  t.match(late.json(), { errors: [{ code: 'INVALID_UPDATE', detail: { code: 'THRESHOLD', have: 0 } }] })
  const both = [await signatureBy(carol, body), await signatureBy(bob, body)]
  t.match((await addSignatures(server, id, both)).json(), { errors: [{ code: 'UNKNOWN_SIGNER' }] })
  const one = await addSignatures(server, id, [await signatureBy(bob, body)])
  t.match((await server.publish(filesOf(one.json()))).json(), {
    errors: [{ detail: { code: 'THRESHOLD', need: 2, have: 1 } }],
  })
  const two = await addSignatures(server, id, [await signatureBy(alice, body)])
  t.equal((await server.publish(filesOf(two.json()))).statusCode, 200)
})

await t.test('a proposal ends with its time', async (t) => {
  const { server, keys, next } = await scene(t, { proposalLifetime: 3600 })
  const { id } = (
    await propose(server, { targets: await signFile(next(tag('2.0')), keys[0]) })
  ).json<ProposalDocument>()
  server.clock.now += 3600 * 1000 - 1
  t.equal((await pending({ server })).length, 1)
  server.clock.now += 1
  t.same(await pending({ server }), [])
  t.equal((await server.get(urlOf(REPO, `/${id}`))).statusCode, 404)
})

await t.test('there is an end to how many pend, and to how large they are', async (t) => {
  const made = await scene(t, { maxProposals: 2, maxProposal: 4096 })
  const { server, keys, next } = made
  const send = async (name: string) => propose(server, { targets: await signFile(next(tag(name)), keys[0]) })
  t.equal((await send('a')).statusCode, 200)
  t.equal((await send('b')).statusCode, 200)
  t.match((await send('c')).json(), { errors: [{ code: 'PROPOSALS_FULL', detail: { count: 2 } }] })
  const set = new Map(Array.from({ length: 40 }, (_, i) => [`big-${i}`, target(String(i))] as const))
  const large = await propose(server, { targets: await signFile(next({ set }), keys[0]) })
  t.match([large.statusCode, large.json()], [413, { errors: [{ code: 'TOO_LARGE' }] }])
  t.equal((await pending(made)).length, 2)
  t.match((await server.get('/metrics')).body, /^tagseal_proposals 2$/m)
})

await t.test('who may', async (t) => {
  const server = await openTestServer(t, { open: false })
  const headersOf = async (...args: Parameters<TestServer['token']>) => ({
    authorization: `Bearer ${await server.token(...args)}`,
  })
  const [ci, other] = [await headersOf({ name: 'ci' }), await headersOf({ name: 'other' })]
  const [reader, admin] = [await headersOf({ actions: ['pull'] }), await headersOf({ actions: ['admin'] })]
  const elsewhere = await headersOf({ repository: 'elsewhere.example.com/**' })
  const { keys, next } = await sharedBy(server, ci)
  const body = next(tag('2.0'))
  const files = { targets: await signFile(body, keys[0]) }
  const signature = await signatureBy(keys[1], body)
  const anonymous = {}
  for (const [who, headers, status] of [
    ['nobody', anonymous, 401],
    ['a reader', reader, 403],
    ['a publisher of something else', elsewhere, 403],
  ] as const) {
    const id = '0'.repeat(32)
    t.equal((await propose(server, files, headers)).statusCode, status, `${who} proposes`)
    t.equal((await server.get(urlOf(), headers)).statusCode, status, `${who} lists`)
    t.equal((await server.get(urlOf(REPO, `/${id}`), headers)).statusCode, status, `${who} reads`)
    t.equal((await addSignatures(server, id, [signature], headers)).statusCode, status, `${who} signs`)
    const ran = await server.app.inject({ method: 'DELETE', url: urlOf(REPO, `/${id}`), headers })
    t.equal(ran.statusCode, status, `${who} withdraws`)
  }
  const { id, by } = (await propose(server, files, ci)).json<ProposalDocument>()
  t.equal(by, 'ci')
  const withdraw = (headers: Record<string, string>) =>
    server.app.inject({ method: 'DELETE', url: urlOf(REPO, `/${id}`), headers })
  t.equal((await withdraw(other)).statusCode, 403, "another's is not theirs to take back")
  t.equal((await addSignatures(server, id, [signature], other)).statusCode, 200, 'but to sign')
  t.equal((await withdraw(ci)).statusCode, 204)
  t.equal((await withdraw(ci)).statusCode, 404)
  t.equal((await propose(server, files, ci)).statusCode, 200)
  t.equal((await withdraw(admin)).statusCode, 204, 'an administrator takes back any')
  const { entries } = (await server.get('/v1/audit', await headersOf({ actions: ['admin'] }))).json<{
    entries: { action: string; actor: string; subject: string; detail: object }[]
  }>()
  t.match(
    entries.filter(({ subject }) => subject === REPO).map(({ action, actor }) => `${actor} ${action}`),
    [/ withdraw$/, 'ci propose', 'ci withdraw', 'other approve', 'ci propose', 'ci publish'],
  )

  async function sharedBy(server: TestServer, headers: Record<string, string>): Promise<Shared> {
    const { online } = server.services.deps
    const offered = {
      timestamp: await online.offer(REPO, 'timestamp'),
      snapshot: await online.offer(REPO, 'snapshot'),
    }
    return await openShared({
      ...server,
      onlineKeys: async () => offered,
      publish: (files, options) => server.publish(files, { ...options, headers }),
    })
  }
})

await t.test('a repository of Notary has none, and neither has one that is not there', async (t) => {
  const { server } = await openNotaryLab(t)
  const files = { targets: await signFile(firstTargets({}, context(server.clock.now)), await newKey()) }
  t.match((await propose(server, files)).json(), { errors: [{ code: 'INVALID_REQUEST' }] })
  t.match((await propose(server, files, {}, 'a.example.com/none')).json(), { errors: [{ code: 'NOT_FOUND' }] })
  t.same((await server.get(urlOf('a.example.com/none'))).json(), { proposals: [] })
})

await t.test('who asks for large ones and takes none of them keeps a bounded part of the memory', async (t) => {
  const { server, keys, next } = await scene(t, { maxUploadsAtOnce: 16 * 1024 * 1024 })
  const set = new Map(Array.from({ length: 50_000 }, (_, i) => [`tag-${i}`, target('x')]))
  const { id } = (await propose(server, { targets: await signFile(next({ set }), keys[0]) })).json<ProposalDocument>()
  const path = urlOf(REPO, `/${id}`)
  for (let i = 0; i < 4; i++) t.equal((await server.get(path)).statusCode, 200, 'what was taken is room again')
  await server.app.listen({ port: 0, host: '127.0.0.1' })
  const address = server.app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const idle = Array.from({ length: 3 }, () => {
    const socket = connect(port, '127.0.0.1').pause()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    return socket
  })
  t.teardown(() => idle.forEach((socket) => socket.destroy()))
  while ((await server.get(path)).statusCode === 200) await sleep(50)
  t.match((await server.get(path)).json(), { errors: [{ code: 'TOO_MANY_REQUESTS' }] })
  for (const socket of idle) socket.destroy()
  while ((await server.get(path)).statusCode !== 200) await sleep(50)
  t.pass('and those who hang up give it back')
})
