/** Everything a publisher could try that no client would follow. Each refusal leaves the repository as it was. */
import t from 'tap'
import {
  REPOSITORY_FIELD,
  TIMESTAMP,
  firstTargets,
  nextTargets,
  roleName,
  threshold,
  tufCodec,
  withDelegation,
  type Delegations,
  type Root,
  type TargetFile,
} from '../../../tuf/index.ts'
import { openTestServer, REPO, type TestServer } from '../support/app.ts'
import {
  changeRoot,
  context,
  newKey,
  newOwner,
  setTag,
  signBoth,
  signFile,
  signRoot,
  signTargets,
  target,
  type Files,
  type Owner,
} from '../support/party.ts'

type Scene = { readonly server: TestServer; readonly owner: Owner; readonly now: number }
type Case = {
  /** What is sent to a repository that has root 1 and targets 1. */
  readonly send: (scene: Scene) => Promise<Files>
  readonly code: string
  /** The code inside an INVALID_UPDATE. */
  readonly inner?: string
  readonly status?: number
}

const json = (bytes: Uint8Array) =>
  JSON.parse(Buffer.from(bytes).toString()) as { signed: Record<string, unknown>; signatures: unknown[] }
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/** Signs the owner's next targets holding this entry. */
async function withTarget({ owner, now }: Scene, path: string, entry: TargetFile): Promise<Files> {
  const next = nextTargets(owner.targets, { set: new Map([[path, entry]]) }, context(now))
  return { targets: await signFile(next, owner.targetsKey) }
}
async function withDelegations({ owner, now }: Scene, delegations: Delegations): Promise<Files> {
  return { targets: await signFile(nextTargets(owner.targets, { delegations }, context(now)), owner.targetsKey) }
}
async function withRole(scene: Scene, name: string, patterns: readonly string[] = ['*']): Promise<Files> {
  const { key } = await newKey()
  const scope = { kind: 'paths' as const, paths: patterns }
  const role = { name: roleName(name), keys: [key], threshold: 1, scope, terminating: false }
  return withDelegations(scene, withDelegation(undefined, role))
}
async function withRoot({ owner, now }: Scene, change: (root: Root) => Partial<Root>): Promise<Files> {
  changeRoot(owner, now, {})
  return { root: await signFile({ ...owner.root, ...change(owner.root) }, owner.rootKey) }
}

const CASES: Record<string, Case> = {
  'targets without a signature': {
    send: async ({ owner, now }) => ({ targets: await signFile(nextTargets(owner.targets, {}, context(now))) }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  "targets signed by somebody's key": {
    send: async ({ owner, now }) => ({
      targets: await signFile(nextTargets(owner.targets, {}, context(now)), await newKey()),
    }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'targets with a digest changed after signing': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      const file = Buffer.from(await signTargets(owner)).toString()
      return { targets: Buffer.from(file.replace('"length":1000', '"length":1001')) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'the version that is there, with other content': {
    send: async ({ owner, now }) => ({
      targets: await signFile(
        firstTargets({ set: new Map([['evil', target('evil')]]) }, context(now)),
        owner.targetsKey,
      ),
    }),
    code: 'VERSION',
    status: 409,
  },
  'a version that skips one': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      setTag(owner, now, 'y', 'y')
      return { targets: await signTargets(owner) }
    },
    code: 'VERSION',
    status: 409,
  },
  'a skipped version written so that its end does not tell': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      setTag(owner, now, 'y', 'y')
      return { targets: Buffer.from(JSON.stringify(json(await signTargets(owner)), null, 1)) }
    },
    code: 'VERSION',
    status: 409,
  },
  'targets that have expired': {
    send: async ({ owner, now }) => ({
      targets: await signFile(
        nextTargets(owner.targets, {}, { codec: tufCodec, expires: now - 1000 }),
        owner.targetsKey,
      ),
    }),
    code: 'INVALID_UPDATE',
    inner: 'EXPIRED',
  },
  'targets that expire this very moment': {
    send: async ({ owner, now }) => ({
      targets: await signFile(nextTargets(owner.targets, {}, { codec: tufCodec, expires: now }), owner.targetsKey),
    }),
    code: 'INVALID_UPDATE',
    inner: 'EXPIRED',
  },
  'a target that climbs out': {
    send: (scene) => withTarget(scene, '../x', target('x')),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a target whose name is not NFC': {
    send: (scene) => withTarget(scene, 'cafe\u0301', target('x')),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a target whose name would cut a URL': {
    send: (scene) => withTarget(scene, 'a#b', target('x')),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a target with unknown hashes only': {
    send: (scene) => withTarget(scene, 'x', { length: 1, hashes: new Map([['md5', 'ab']]), unknown: new Map() }),
    code: 'INVALID_UPDATE',
    inner: 'NO_KNOWN_HASH',
  },
  'a target with half a sha256': {
    send: (scene) => withTarget(scene, 'x', { length: 1, hashes: new Map([['sha256', 'abcd']]), unknown: new Map() }),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a delegation that names a top-level role': {
    send: (scene) => withRole(scene, 'snapshot'),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a delegation to a role that reads as a versioned file': {
    send: (scene) => withRole(scene, '1.targets'),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a delegation to a role that climbs out': {
    send: (scene) => withRole(scene, '../../etc/passwd'),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a delegation to __proto__': {
    send: (scene) => withRole(scene, '__proto__'),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a delegation with a pattern that climbs out': {
    send: (scene) => withRole(scene, 'team', ['../*']),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a role to which nobody delegates': {
    send: async ({ now }) => ({ stranger: await signFile(firstTargets({}, context(now)), await newKey()) }),
    code: 'INVALID_ROLE',
  },
  'a role that delegates to itself only': {
    send: async ({ now }) => {
      const key = await newKey()
      const scope = { kind: 'paths' as const, paths: ['*'] }
      const self = { name: roleName('self'), keys: [key.key], threshold: 1, scope, terminating: false }
      const file = firstTargets({ delegations: withDelegation(undefined, self) }, context(now))
      return { self: await signFile(file, key) }
    },
    code: 'INVALID_ROLE',
  },
  'a snapshot of its own': {
    send: async ({ owner }) => ({ targets: await signTargets(owner), snapshot: Buffer.from('{}') }),
    code: 'INVALID_ROLE',
  },
  'a timestamp of its own': { send: async () => ({ 'timestamp.json': Buffer.from('{}') }), code: 'INVALID_ROLE' },
  'a role name with a dot segment': { send: async () => ({ '../root': Buffer.from('{}') }), code: 'INVALID_ROLE' },
  'a role name of nothing': { send: async () => ({ '.json': Buffer.from('{}') }), code: 'INVALID_ROLE' },
  'a root that the old root did not sign': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, {})
      return { root: await signFile(owner.root, await newKey()) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a root signed by the new keys alone': {
    send: async ({ owner, now }) => {
      const key = await newKey()
      changeRoot(owner, now, { root: { keys: [key.key], threshold: 1 } })
      return { root: await signFile(owner.root, key) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a root signed by the old keys alone': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, { root: { keys: [(await newKey()).key], threshold: 1 } })
      return { root: await signRoot(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'the root that is there, with other content': {
    send: async ({ owner, now }) => {
      const root = { ...owner.root, expiresText: tufCodec.date(now + 1_000_000) }
      return { root: await signFile(root, owner.rootKey) }
    },
    code: 'VERSION',
    status: 409,
  },
  'a root that has expired': {
    send: (scene) => withRoot(scene, () => ({ expiresText: tufCodec.date(scene.now - 1000) })),
    code: 'INVALID_UPDATE',
    inner: 'EXPIRED',
  },
  'a root that names another repository': {
    send: (scene) =>
      withRoot(scene, () => ({ unknown: new Map([[REPOSITORY_FIELD, 'registry.example.com/team/other']]) })),
    code: 'INVALID_UPDATE',
    inner: 'OTHER_REPOSITORY',
  },
  'a root without consistent snapshots': {
    send: (scene) => withRoot(scene, () => ({ consistentSnapshot: false })),
    code: 'INVALID_UPDATE',
    inner: 'NOT_CONSISTENT',
  },
  "a root that gives timestamp to somebody's key": {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, { timestamp: { keys: [(await newKey()).key], threshold: 1 } })
      return { root: await signRoot(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'KEY_NOT_HELD',
  },
  "a root that adds somebody's key beside the server's": {
    send: async ({ server, owner, now }) => {
      const { snapshot } = await server.onlineKeys()
      changeRoot(owner, now, { snapshot: { keys: [snapshot, (await newKey()).key], threshold: 1 } })
      return { root: await signRoot(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'KEY_NOT_HELD',
  },
  "a root that gives snapshot to the server's timestamp key": {
    send: async ({ server, owner, now }) => {
      const { timestamp } = await server.onlineKeys()
      changeRoot(owner, now, { snapshot: { keys: [timestamp], threshold: 1 } })
      return { root: await signRoot(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'KEY_NOT_HELD',
  },
  "a root that takes another repository's online key": {
    send: async ({ server, owner, now }) => {
      const { timestamp } = await server.onlineKeys('registry.example.com/other')
      changeRoot(owner, now, { timestamp: { keys: [timestamp], threshold: 1 } })
      return { root: await signRoot(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'KEY_NOT_HELD',
  },
  'a root that asks for two timestamp signatures of one key': {
    send: (scene) =>
      withRoot(scene, ({ roles }) => {
        const role = roles.get(TIMESTAMP)
        return role === undefined ? {} : { roles: new Map(roles).set(TIMESTAMP, { ...role, threshold: threshold(2) }) }
      }),
    code: 'INVALID_UPDATE',
    inner: 'ONLINE_THRESHOLD',
  },
  'a root under the name of targets': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, {})
      return { targets: await signRoot(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'good targets beside a bad delegated role': {
    send: async (scene) => {
      const files = await withRole(scene, 'team')
      return { ...files, team: await signFile(firstTargets({}, context(scene.now)), await newKey()) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'what is no JSON': {
    send: async () => ({ targets: Buffer.from('no json') }),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'nothing in a part': { send: async () => ({ targets: Buffer.alloc(0) }), code: 'INVALID_UPDATE', inner: 'MALFORMED' },
  'JSON of no role': { send: async () => ({ targets: Buffer.from('{}') }), code: 'INVALID_UPDATE', inner: 'MALFORMED' },
  'members that are there twice': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      const file = Buffer.from(await signTargets(owner)).toString()
      return { targets: Buffer.from(file.replace('"version":2', '"version":2,"version":2')) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'JSON nested two hundred thousand deep': {
    send: async () => ({ targets: Buffer.from(`{"signed":${'['.repeat(200_000)}`) }),
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a version that is no number': {
    send: async ({ owner }) => {
      const file = json(await signTargets(owner))
      return { targets: bytesOf({ ...file, signed: { ...file.signed, version: '2' } }) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'two thousand signatures': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      const { signed, signatures } = json(await signTargets(owner))
      return { targets: bytesOf({ signatures: Array.from({ length: 2000 }, () => signatures[0]), signed }) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'no files at all': { send: async () => ({}), code: 'MALFORMED_UPLOAD' },
}

for (const [name, { send, code, inner, status = 400 }] of Object.entries(CASES)) {
  await t.test(`refuses ${name}`, async (t) => {
    const server = await openTestServer(t)
    const owner = await server.create()
    const { metadata } = server.services.deps.store
    const files = await send({ server, owner, now: server.clock.now })
    const before = await metadata.state(REPO)
    const timestamp = (await server.get(`/v2/${REPO}/_trust/tuf/timestamp.json`)).body
    const answer = await server.publish(files)
    t.equal(answer.statusCode, status, answer.body)
    t.match(answer.json(), { errors: [{ code, ...(inner === undefined ? {} : { detail: { code: inner } }) }] })
    t.same(await metadata.state(REPO), before, 'nothing is stored')
    t.equal((await server.get(`/v2/${REPO}/_trust/tuf/timestamp.json`)).body, timestamp, 'nothing else is served')
    t.same(await metadata.history(REPO, 'x', { limit: 9 }), [])
  })
}

const FIRST: Record<string, { send: (owner: Owner) => Promise<Files>; inner: string }> = {
  'a root without targets': { send: async (owner) => ({ root: await signRoot(owner) }), inner: 'INCOMPLETE' },
  'targets without a root': { send: async (owner) => ({ targets: await signTargets(owner) }), inner: 'INCOMPLETE' },
  'a root that did not sign itself': {
    send: async (owner) => ({ ...(await signBoth(owner)), root: await signFile(owner.root, await newKey()) }),
    inner: 'THRESHOLD',
  },
  'keys that were asked for another repository': { send: signBoth, inner: 'KEY_NOT_HELD' },
}
for (const [name, { send, inner }] of Object.entries(FIRST)) {
  await t.test(`creates no repository from ${name}`, async (t) => {
    const server = await openTestServer(t)
    const keysOf = inner === 'KEY_NOT_HELD' ? 'registry.example.com/other' : REPO
    const owner = await newOwner(await server.onlineKeys(keysOf), server.clock.now)
    const answer = await server.publish(await send(owner))
    t.match(answer.json(), { errors: [{ code: 'INVALID_UPDATE', detail: { code: inner } }] })
    t.equal(await server.services.deps.store.metadata.state(REPO), undefined)
    t.equal((await server.get(`/v2/${REPO}/_trust/tuf/root.json`)).statusCode, 404)
  })
}
