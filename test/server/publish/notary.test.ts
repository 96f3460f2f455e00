import t from 'tap'
import { codecOf, notaryCodec, roleName, DEFAULT_LIMITS } from '../../../tuf/index.ts'
import { certifiedKey, signingKey } from '../../support/signing-key.ts'
import { REPO } from '../support/app.ts'
import {
  currentRoles,
  delegating,
  listedIn,
  metaOf,
  openNotaryLab,
  setTag,
  signRoot,
  signTargets,
  signedBy,
  snapshotOver,
  withVersion,
  type Holder,
  type NotaryLab,
} from '../support/notary-party.ts'
import { newOwner, signBoth, target, YEAR, type Files } from '../support/party.ts'

const TUF = `/v2/${REPO}/_trust/tuf`
const HOLDERS: readonly Holder[] = ['the server', 'the owner']

for (const holder of HOLDERS) {
  await t.test(`a tag is published where ${holder} signs the snapshot`, async (t) => {
    const lab = await openNotaryLab(t, holder)
    setTag(lab.owner, '2.0', 'two')
    const files = lab.complete({ targets: signTargets(lab.owner) })
    t.equal((await lab.publish(files)).statusCode, 200)
    t.same((await lab.get(`${TUF}/targets.json`)).rawPayload, Buffer.from(files['targets'] ?? []), 'the very bytes')
    const { meta } = await listedIn(lab)
    t.equal(
      meta.get(roleName('targets'))?.hashes?.get('sha256'),
      metaOf(files['targets'] ?? new Uint8Array()).hashes?.get('sha256'),
    )
    const history = await lab.server.get(`/v1/repositories/${REPO}/history?tag=2.0`)
    t.match(history.json(), {
      entries: [{ tag: '2.0', role: 'targets', version: 3, keyids: [lab.owner.targetsKey.id] }],
    })
  })
}

await t.test('what is hashed is what was uploaded, however it was written', async (t) => {
  const lab = await openNotaryLab(t)
  setTag(lab.owner, '2.0', 'two')
  const file = JSON.parse(Buffer.from(signTargets(lab.owner)).toString()) as object
  const odd = Buffer.from(JSON.stringify(file, undefined, 2))
  t.equal((await lab.publish({ targets: odd })).statusCode, 200)
  const sha256 = (await listedIn(lab)).meta.get(roleName('targets'))?.hashes?.get('sha256')
  t.same((await lab.get(`${TUF}/targets.${sha256}.json`)).rawPayload, odd)
})

type Sent = Files | Promise<Files>
type Refusal = {
  readonly holder?: Holder
  readonly send: (lab: NotaryLab) => Sent
  readonly code?: string
  /** What the old client is told: name of the error, and words of its message. */
  readonly told?: readonly [name: string, message: RegExp]
}

const later = (lab: NotaryLab) => {
  setTag(lab.owner, '2.0', 'two')
  return signTargets(lab.owner)
}
const nextRootOf = ({ owner }: NotaryLab, version = owner.root.version + 1) => withVersion(owner.root, version)

const REFUSED: Record<string, Refusal> = {
  'targets without a snapshot of those who sign it': {
    holder: 'the owner',
    send: (lab) => ({ targets: later(lab) }),
    told: ['ErrBadHierarchy', /no snapshot was included/],
  },
  'nothing at all, of a repository whose owner signs the snapshot': {
    holder: 'the owner',
    send: () => ({}),
    told: ['ErrBadHierarchy', /no snapshot was included/],
  },
  'a root alone, where the owner signs the snapshot that lists it': {
    holder: 'the owner',
    send: (lab) => ({ root: signedBy(nextRootOf(lab), lab.owner.rootKey) }),
    told: ['ErrBadHierarchy', /no snapshot was included/],
  },
  'a snapshot that lists a file that nobody has': {
    holder: 'the owner',
    send: (lab) => {
      const targets = later(lab)
      const meta = new Map([...(lab.owner.snapshot?.meta ?? []), [roleName('targets'), metaOf(targets)] as const])
      meta.set(roleName('targets/releases'), metaOf(Buffer.from('nowhere')))
      return { targets, snapshot: snapshotOver(lab.owner, lab.server.clock.now, {}, { meta }) }
    },
    told: ['ErrBadSnapshot', /lists targets\/releases .* neither stored here nor in the upload/],
  },
  'a snapshot that lists other targets than come with it': {
    holder: 'the owner',
    send: (lab) => ({
      targets: later(lab),
      snapshot: snapshotOver(lab.owner, lab.server.clock.now, { targets: Buffer.from('other') }),
    }),
    told: ['ErrBadSnapshot', /targets has/],
  },
  'a snapshot that has expired': {
    holder: 'the owner',
    send: (lab) => lab.complete({ targets: later(lab) }, { expires: lab.server.clock.now - 1000 }),
    told: ['ErrBadSnapshot', /snapshot expired at/],
  },
  'a snapshot of somebody else': {
    holder: 'the owner',
    send: (lab) => lab.complete({ targets: later(lab) }, { by: signingKey('ecdsa-p256', notaryCodec) }),
    told: ['ErrBadSnapshot', /snapshot needs 1 valid signature and has 0/],
  },
  'a snapshot where the server signs it': {
    send: (lab) => {
      const targets = later(lab)
      const meta = new Map([
        [roleName('root'), metaOf(signRoot(lab.owner))],
        [roleName('targets'), metaOf(targets)],
      ])
      return { targets, snapshot: snapshotOver(lab.owner, lab.server.clock.now, {}, { meta, version: 5 }) }
    },
    told: ['ErrBadSnapshot', /lists root with/],
  },
  'the version that is current, with other content': {
    send: ({ owner }) => {
      setTag(owner, '2.0', 'two')
      return { targets: signedBy(withVersion(owner.targets, 2), owner.targetsKey) }
    },
    code: 'VERSION',
    told: ['ErrValidation', /targets is at version 2, so that 2 cannot follow/],
  },
  'a version below': {
    send: ({ owner }) => ({ targets: signedBy(withVersion(owner.targets, 1), owner.targetsKey) }),
    code: 'VERSION',
    told: ['ErrValidation', /so that 1 cannot follow/],
  },
  'the last version there is': {
    send: ({ owner }) => ({ targets: replaced(signTargets(owner), '"version":2', `"version":${2 ** 31 - 1}`) }),
    told: ['ErrBadTargets', /version/],
  },
  'targets of somebody else': {
    send: (lab) => {
      setTag(lab.owner, '2.0', 'two')
      return { targets: signedBy(lab.owner.targets, signingKey('ecdsa-p256', notaryCodec)) }
    },
    told: ['ErrBadTargets', /targets needs 1 valid signature and has 0/],
  },
  'targets that have expired': {
    send: ({ owner, server }) => {
      const expiresText = notaryCodec.date(server.clock.now - 1000)
      const body = { ...withVersion(owner.targets, 3), expiresText, expires: (server.clock.now - 1000) as never }
      return { targets: signedBy(body, owner.targetsKey) }
    },
    told: ['ErrBadTargets', /targets expired at/],
  },
  'a root two versions up': {
    send: (lab) => ({ root: signedBy(nextRootOf(lab, 3), lab.owner.rootKey) }),
    told: ['ErrBadRoot', /Root modifications must increment the version. Current 1, new 3/],
  },
  'a root that the one before did not sign': {
    send: async (lab) => {
      const { now } = lab.server.clock
      const key = await certifiedKey({ name: REPO, from: now - YEAR, until: now + YEAR })
      const root = nextRootOf(lab)
      const roles = new Map(root.roles).set(roleName('root'), {
        keyids: [key.id],
        threshold: 1 as never,
        unknown: new Map(),
      })
      const keys = new Map(root.keys).set(key.id, key.public)
      return { root: signedBy({ ...root, roles, keys }, key) }
    },
    told: ['ErrBadRoot', /root needs 1 valid signature and has 0/],
  },
  'a root whose timestamp key is not ours': {
    send: (lab) => {
      const key = signingKey('ed25519', notaryCodec)
      const root = nextRootOf(lab)
      const roles = new Map(root.roles).set(roleName('timestamp'), {
        keyids: [key.id],
        threshold: 1 as never,
        unknown: new Map(),
      })
      return { root: signedBy({ ...root, roles, keys: new Map(root.keys).set(key.id, key.public) }, lab.owner.rootKey) }
    },
    told: ['ErrBadRoot', /which this server does not hold/],
  },
  'a role that nobody delegates to': {
    send: ({ owner }) => ({ 'targets/nosuch': signedBy(withVersion(owner.targets, 1), owner.targetsKey) }),
    told: ['ErrBadTargets', /targets\/nosuch/],
  },
  'a delegation past the next level': {
    send: ({ owner }) => ({
      targets: signedBy(delegating(owner.targets, { 'targets/a/b': owner.targetsKey }), owner.targetsKey),
    }),
    told: ['ErrBadTargets', /targets cannot delegate to targets\/a\/b/],
  },
  'a root of TUF 1.0': {
    send: async ({ server }) => {
      const owner = await newOwner(await server.onlineKeys(`${REPO}2`), server.clock.now)
      return { root: (await signBoth(owner))['root'] ?? new Uint8Array() }
    },
    told: ['ErrBadRoot', /of notary-v1 for good/],
  },
  'what is no JSON': {
    send: () => ({ targets: Buffer.from('hello') }),
    code: 'MALFORMED_JSON',
    told: ['ErrBadTargets', /./],
  },
  'a member beside what is signed': {
    send: ({ owner }) => ({
      targets: replaced(signedBy(withVersion(owner.targets, 3), owner.targetsKey), '{"signed"', '{"x":1,"signed"'),
    }),
    told: ['ErrBadTargets', /./],
  },
  'a role that is named as no role is': {
    send: ({ owner }) => ({ 'targets/a.b': signTargets(owner) }),
    told: ['ErrBadTargets', /./],
  },
  'a role that is none': {
    send: ({ owner }) => ({ releases: signTargets(owner) }),
    code: 'INVALID_ROLE',
    told: ['ErrValidation', /releases/],
  },
  'a target that nobody could check': {
    send: ({ owner }) => {
      const weak = { ...target('x'), hashes: new Map([['md5', 'ab'.repeat(16)]]) }
      const body = { ...withVersion(owner.targets, 3), targets: new Map([['1.0', weak]]) }
      return { targets: signedBy(body, owner.targetsKey) }
    },
    told: ['ErrValidation', /./],
  },
}

for (const [name, { holder = 'the server', send, code = 'INVALID_UPDATE', told }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const lab = await openNotaryLab(t, holder)
    const before = await lab.server.services.deps.store.metadata.state(REPO)
    const answer = await lab.publish(await send(lab))
    t.equal(answer.statusCode, 400)
    const { errors } = answer.json<{ errors: readonly NotaryError[] }>()
    t.equal(errors.length, 1)
    t.equal(errors[0]?.code, code)
    if (told !== undefined) {
      t.equal(errors[0]?.detail.Name, told[0])
      t.match(errors[0]?.detail.Error.Msg, told[1])
    }
    t.ok(answer.rawPayload.length <= 1024)
    t.same(await lab.server.services.deps.store.metadata.state(REPO), before, 'nothing was stored')
  })
}
type NotaryError = {
  readonly code: string
  readonly detail: { readonly Name: string; readonly Error: { readonly Msg: string } }
}

await t.test('a version may be left out', async (t) => {
  const lab = await openNotaryLab(t)
  t.equal(
    (await lab.publish({ targets: signedBy(withVersion(lab.owner.targets, 9), lab.owner.targetsKey) })).statusCode,
    200,
  )
})

await t.test('a timestamp is taken and not looked at', async (t) => {
  const lab = await openNotaryLab(t)
  const before = (await lab.get(`${TUF}/timestamp.json`)).body
  for (const timestamp of [Buffer.from('anything'), Buffer.from(before)]) {
    t.equal((await lab.publish({ timestamp })).statusCode, 200)
  }
  t.notMatch((await lab.get(`${TUF}/timestamp.json`)).body, 'anything')
})

await t.test('the same upload again is no conflict', async (t) => {
  const lab = await openNotaryLab(t)
  const files = { targets: later(lab) }
  t.equal((await lab.publish(files)).statusCode, 200)
  t.equal((await lab.publish(files)).statusCode, 200)
})

await t.test('a repository is of the dialect of its first root, for good', async (t) => {
  const lab = await openNotaryLab(t)
  const root = (await lab.get(`${TUF}/root.json`)).rawPayload
  t.equal(codecOf(root, DEFAULT_LIMITS).dialect, 'notary-v1')
  const tuf = `${REPO}-tuf`
  await lab.server.create(['1.0'], tuf)
  const refused = await lab.publish({ root: signRoot(lab.owner) }, { repository: tuf })
  t.match(
    [refused.statusCode, refused.json()],
    [400, { errors: [{ code: 'INVALID_UPDATE', detail: { code: 'OTHER_DIALECT' } }] }],
  )
})

await t.test('a root for another name is refused', async (t) => {
  const lab = await openNotaryLab(t)
  const files = { root: signRoot(lab.owner), targets: signTargets(lab.owner) }
  const answer = await lab.publish(files, { repository: `${REPO}-other` })
  t.equal(answer.statusCode, 400)
  t.match(answer.json(), { errors: [{ code: 'INVALID_UPDATE', detail: { Name: 'ErrBadRoot' } }] })
})

await t.test('our own clients are told in our own words', async (t) => {
  const lab = await openNotaryLab(t)
  const files = { targets: signedBy(withVersion(lab.owner.targets, 1), lab.owner.targetsKey) }
  const answer = await lab.publish(files, { headers: { accept: 'application/json' } })
  t.match(
    [answer.statusCode, answer.json()],
    [409, { errors: [{ code: 'VERSION', detail: { role: 'targets', current: 2, got: 1 } }] }],
  )
})

for (const holder of HOLDERS) {
  await t.test(`delegated roles come and go where ${holder} signs the snapshot`, async (t) => {
    const lab = await openNotaryLab(t, holder)
    const { owner } = lab
    const alice = signingKey('ecdsa-p256', notaryCodec)
    const plain = owner.targets
    const release = (version: number, tag: string) =>
      signedBy({ ...withVersion(plain, version), targets: new Map([[tag, target(tag)]]) }, alice)
    const step = async (files: Files, roles: readonly string[], gone: readonly string[] = []) => {
      for (const role of gone) owner.snapshot = owner.snapshot && without(owner.snapshot, role)
      const answer = await lab.publish(lab.complete(files))
      t.equal(answer.statusCode, 200, answer.body)
      t.same(await currentRoles(lab), roles)
    }
    owner.targets = delegating(owner.targets, { 'targets/releases': alice, 'targets/qa': alice })
    await step({ targets: signTargets(owner), 'targets/releases': release(1, 'old'), 'targets/qa': release(4, 'q') }, [
      'targets/qa',
      'targets/releases',
    ])
    owner.targets = delegating(owner.targets, { 'targets/qa': alice })
    await step({ targets: signTargets(owner) }, ['targets/qa'], ['targets/releases'])
    t.equal((await lab.get(`${TUF}/targets/releases.json`)).statusCode, 404)
    const revoked = await lab.server.get(`/v1/repositories/${REPO}/history?tag=old`)
    t.match(revoked.json(), { entries: [{ tag: 'old', digest: null }, { tag: 'old' }] })

    owner.targets = delegating(owner.targets, { 'targets/qa': alice, 'targets/releases': alice })
    await step({ targets: signTargets(owner) }, ['targets/qa'])
    await step({ 'targets/releases': release(1, 'new') }, ['targets/qa', 'targets/releases'])
    t.match((await lab.get(`${TUF}/targets/releases.json`)).body, '"new"')
  })
}

await t.test('a role whose keys were all replaced begins anew, and one whose keys hold does not', async (t) => {
  const lab = await openNotaryLab(t)
  const { owner } = lab
  const [alice, bob] = [signingKey('ecdsa-p256', notaryCodec), signingKey('ecdsa-p256', notaryCodec)]
  const plain = owner.targets
  owner.targets = delegating(owner.targets, { 'targets/releases': alice })
  const files = { targets: signTargets(owner), 'targets/releases': signedBy(withVersion(plain, 7), alice) }
  t.equal((await lab.publish(files)).statusCode, 200)
  const back = await lab.publish({ 'targets/releases': signedBy(withVersion(plain, 3), alice) })
  t.match([back.statusCode, back.json()], [400, { errors: [{ code: 'VERSION' }] }])
  owner.targets = delegating(owner.targets, { 'targets/releases': bob })
  t.equal((await lab.publish({ targets: signTargets(owner) })).statusCode, 200)
  t.equal((await lab.publish({ 'targets/releases': signedBy(withVersion(plain, 1), bob) })).statusCode, 200)
  t.same(await currentRoles(lab), ['targets/releases'])
})

function without<S extends { readonly meta: ReadonlyMap<string, unknown> }>(snapshot: S, role: string): S {
  return { ...snapshot, meta: new Map([...snapshot.meta].filter(([name]) => name !== role)) }
}

function replaced(file: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(file).toString()
  if (!text.includes(from)) throw new Error(`${from} is not in ${text}`)
  return Buffer.from(text.replace(from, to))
}
