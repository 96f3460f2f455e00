import type { Test } from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  ROOT,
  TARGETS,
  firstRoot,
  firstTargets,
  nextSnapshot,
  notaryCodec,
  roleName,
  type FileMeta,
  type Metadata,
  type PublicKey,
  type RoleName,
  type Root,
  type Snapshot,
  type Targets,
} from '../../../tuf/index.ts'
import { certifiedKey, signingKey, type SigningKey } from '../../support/signing-key.ts'
import { GO, openTestServer, REPO, type PublishOptions, type TestServer } from './app.ts'
import { target, YEAR, type Files } from './party.ts'

/** As the old client says it, for a server that makes no other difference. */
const AS_GO = { 'user-agent': GO }

/** Whoever owns a Notary repository, and what they last signed. */
export type NotaryOwner = {
  readonly rootKey: SigningKey
  readonly targetsKey: SigningKey
  readonly snapshotKey: SigningKey
  root: Root
  targets: Targets
  snapshot: Snapshot | undefined
}

export type NotaryLab = {
  readonly server: TestServer
  readonly owner: NotaryOwner
  readonly get: TestServer['get']
  readonly send: (method: 'POST' | 'DELETE' | 'HEAD', path: string) => ReturnType<TestServer['get']>
  readonly publish: (files: Files, options?: PublishOptions) => ReturnType<TestServer['get']>
  /** With a snapshot of the owner's over them, where the owner signs it. */
  readonly complete: (files: Files, change?: SnapshotChange) => Files
}
export type SnapshotChange = {
  readonly meta?: Snapshot['meta']
  readonly expires?: number
  readonly version?: number
  readonly by?: SigningKey
}
export type Holder = 'the server' | 'the owner'

/** A repository with the tag 1.0, made as the old client makes it: first versions are 1 for root and 2 for the rest. */
export async function openNotaryLab(t: Test, holder: Holder = 'the server', flags = {}): Promise<NotaryLab> {
  const server = await openTestServer(t, flags)
  const { clock } = server
  const get: NotaryLab['get'] = (url, headers = {}) => server.get(url, { ...AS_GO, ...headers })
  const send: NotaryLab['send'] = (method, url) => server.app.inject({ method, url, headers: AS_GO })
  const publish: NotaryLab['publish'] = (files, { headers, ...options } = {}) =>
    server.publish(files, { ...options, headers: { ...AS_GO, ...headers } })
  const owner = await newNotaryOwner(get, clock.now, holder)
  const complete: NotaryLab['complete'] = (files, change) =>
    holder === 'the server' ? files : { ...files, snapshot: snapshotOver(owner, clock.now, files, change) }
  const first = await publish(complete({ root: signRoot(owner), targets: signTargets(owner) }))
  if (first.statusCode !== 200) throw new Error(first.body)
  return { server, owner, get, send, publish, complete }
}

export async function newNotaryOwner(get: NotaryLab['get'], now: number, holder: Holder): Promise<NotaryOwner> {
  const keyOf = async (role: string): Promise<PublicKey> => {
    const { keytype, keyval } = (await get(`/v2/${REPO}/_trust/tuf/${role}.key`)).json<NotaryKeyObject>()
    return notaryCodec.key({ keytype, scheme: 'notary-v1-eddsa', public: keyval.public }, nativeSuite)
  }
  const rootKey = await certifiedKey({ name: REPO, from: now - YEAR, until: now + 10 * YEAR })
  const [targetsKey, snapshotKey] = [signingKey('ecdsa-p256', notaryCodec), signingKey('ecdsa-p256', notaryCodec)]
  const one = (...keys: readonly PublicKey[]) => ({ keys, threshold: 1 })
  const context = { codec: notaryCodec, expires: now + 3 * YEAR }
  const root = firstRoot(
    {
      root: one(rootKey.public),
      targets: one(targetsKey.public),
      timestamp: one(await keyOf('timestamp')),
      snapshot: one(holder === 'the server' ? await keyOf('snapshot') : snapshotKey.public),
    },
    context,
  )
  const targets = firstTargets({ set: new Map([['1.0', target('1.0')]]) }, context)
  return {
    rootKey,
    targetsKey,
    snapshotKey,
    root: { ...root, consistentSnapshot: false },
    targets: withVersion(targets, 2),
    snapshot: undefined,
  }
}
export type NotaryKeyObject = {
  readonly keytype: string
  readonly keyval: { readonly public: string; readonly private: null }
}

export function withVersion<M extends Metadata>(body: M, version: number): M {
  return { ...body, version: version as M['version'] }
}

export function signedBy(body: Metadata, ...keys: readonly SigningKey[]): Uint8Array {
  const payload = notaryCodec.encode(body)
  const signatures = keys.map((key) => ({
    keyid: key.id,
    sig: key.sign(payload),
    scheme: key.public.scheme,
    unknown: new Map(),
  }))
  return notaryCodec.assemble(body, signatures)
}

export function signRoot({ root, rootKey }: NotaryOwner): Uint8Array {
  return signedBy(root, rootKey)
}

export function signTargets({ targets, targetsKey }: NotaryOwner): Uint8Array {
  return signedBy(targets, targetsKey)
}

/** The owner's next targets with this tag meaning that. */
export function setTag(owner: NotaryOwner, tag: string, seed: string): void {
  const targets = new Map([...owner.targets.targets, [tag, target(seed)]])
  owner.targets = { ...withVersion(owner.targets, owner.targets.version + 1), targets }
}

/** Over what the owner listed before and these files. */
export function snapshotOver(owner: NotaryOwner, now: number, files: Files, change: SnapshotChange = {}): Uint8Array {
  const { by = owner.snapshotKey, expires = now + 3 * YEAR, version, meta } = change
  const context = { codec: notaryCodec, expires }
  const before = owner.snapshot ?? { ...nextSnapshot(undefined, new Map(), context) }
  const listed = new Map([
    ...before.meta,
    ...Object.entries(files).map(([role, bytes]) => [roleName(role), metaOf(bytes)] as const),
  ])
  const next = nextSnapshot(before, new Map(), context)
  owner.snapshot = withVersion({ ...next, meta: meta ?? listed }, version ?? next.version)
  return signedBy(owner.snapshot, by)
}

export function metaOf(bytes: Uint8Array): FileMeta {
  const hashes = new Map((['sha256', 'sha512'] as const).map((name) => [name, nativeSuite.hash(name, bytes)]))
  return { length: bytes.length, hashes, unknown: new Map() }
}

/** Targets that delegate these roles, each to one key and for every path. */
export function delegating(body: Targets, roles: Readonly<Record<string, SigningKey>>): Targets {
  const listed = Object.entries(roles).map(([name, key]) => ({
    name: roleName(name),
    keyids: [key.id],
    threshold: 1 as Root['roles'] extends ReadonlyMap<RoleName, infer K extends { threshold: unknown }>
      ? K['threshold']
      : never,
    scope: { kind: 'path-prefixes', prefixes: [''] } as const,
    terminating: false,
    unknown: new Map(),
  }))
  const keys = new Map(Object.values(roles).map((key) => [key.id, key.public]))
  const delegations = { keys, roles: listed, unknown: new Map() }
  return { ...withVersion(body, body.version + 1), delegations }
}

/** What the server says is current. */
export async function listedIn({ get }: NotaryLab): Promise<Snapshot> {
  const bytes = (await get(`/v2/${REPO}/_trust/tuf/snapshot.json`)).rawPayload
  return decode('snapshot', bytes)
}

export async function currentRoles(lab: NotaryLab): Promise<readonly string[]> {
  return [...(await listedIn(lab)).meta.keys()].filter((role) => role !== ROOT && role !== TARGETS).sort()
}

function decode(type: 'snapshot', bytes: Uint8Array): Snapshot {
  const limits = { jsonDepth: 64, signatures: 64 } as Parameters<typeof notaryCodec.decode>[2]['limits']
  return notaryCodec.decode(type, bytes, { suite: nativeSuite, limits }).body
}
