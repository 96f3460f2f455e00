import * as fc from 'fast-check'
import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  ROOT,
  SNAPSHOT,
  TARGETS,
  TIMESTAMP,
  instant,
  isJsonList,
  isJsonObject,
  isTrustError,
  keyId,
  roleName,
  threshold,
  tufCodec,
  version,
} from '../../../tuf/index.ts'
import type {
  Delegations,
  FileMeta,
  Hashes,
  Json,
  Metadata,
  PublicKey,
  RoleKeys,
  RoleName,
  Scope,
  Signature,
  TargetFile,
  Unknown,
} from '../../../tuf/index.ts'
import { put } from '../../support/edit-json.ts'
import { jsonValue } from '../../support/json-values.ts'
import { Simulator } from '../../support/simulator.ts'

const CONTEXT = { suite: nativeSuite, limits: DEFAULT_LIMITS }

const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.constantFrom('__proto__', 'constructor', '10', '9', '../x', 'a/b', '😀', '\ufb01'),
)
const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: 1, maxLength: 64 })
const count = fc.integer({ min: 1, max: 2 ** 40 })
const unknown: fc.Arbitrary<Unknown> = mapOf(
  name.map((text) => `x-${text}`),
  jsonValue,
)
const hashes: fc.Arbitrary<Hashes> = mapOf(name, hex, 1)

const roleKeys: fc.Arbitrary<RoleKeys> = fc.record({
  keyids: fc.uniqueArray(hex.map(keyId), { maxLength: 3 }),
  threshold: count.map(threshold),
  unknown,
})
const fileMeta: fc.Arbitrary<FileMeta> = fc.record(
  { version: count.map(version), length: fc.nat(), hashes, unknown },
  { requiredKeys: ['version', 'unknown'] },
)
const target: fc.Arbitrary<TargetFile> = fc.record(
  { length: fc.nat(), hashes, custom: jsonValue, unknown },
  { requiredKeys: ['length', 'hashes', 'unknown'] },
)
const publicKey: fc.Arbitrary<PublicKey> = fc
  .record({ keytype: name, scheme: name, public: fc.string({ unit: 'grapheme', minLength: 1 }) })
  .map((fields) => tufCodec.key(fields, nativeSuite))
const keys = fc.array(publicKey, { maxLength: 3 }).map((list) => new Map(list.map((key) => [key.id, key])))
const scope: fc.Arbitrary<Scope> = fc.oneof(
  fc.record({ kind: fc.constant('paths' as const), paths: fc.array(name, { maxLength: 3 }) }),
  fc.record({ kind: fc.constant('hash-prefixes' as const), prefixes: fc.array(hex, { maxLength: 3 }) }),
)
const delegatedRole = fc
  .tuple(roleKeys, fc.record({ name: name.map(roleName), scope, terminating: fc.boolean() }))
  .map(([who, what]) => ({ ...who, ...what }))
const delegations: fc.Arbitrary<Delegations> = fc.oneof(
  fc.record({
    keys,
    unknown,
    roles: fc.uniqueArray(delegatedRole, { selector: (role) => role.name, maxLength: 4 }),
  }),
  fc.record({
    keys,
    unknown,
    roles: fc.constant([]),
    succinct: fc
      .tuple(roleKeys, fc.record({ bitLength: fc.integer({ min: 1, max: 32 }), namePrefix: name }))
      .map(([who, what]) => ({ ...who, ...what })),
  }),
)

const common = fc
  .record({
    specVersion: fc.constantFrom('1.0', '1.0.34', '1.31.0'),
    version: count.map(version),
    seconds: fc.integer({ min: 0, max: 253_402_300_799 }),
    unknown,
  })
  .map(({ seconds, ...rest }) => ({
    ...rest,
    expires: instant(seconds * 1000),
    expiresText: tufCodec.date(seconds * 1000),
  }))

const roots = fc
  .tuple(
    common,
    fc.record({ consistentSnapshot: fc.boolean(), keys, roles: mapOf(name.map(roleName), roleKeys) }),
    fc.tuple(roleKeys, roleKeys, roleKeys, roleKeys),
  )
  .map(([all, own, [root, timestamp, snapshot, targets]]): Metadata => {
    const top = [
      [ROOT, root],
      [TIMESTAMP, timestamp],
      [SNAPSHOT, snapshot],
      [TARGETS, targets],
    ] as const
    return { type: 'root', ...all, ...own, roles: new Map<RoleName, RoleKeys>([...own.roles, ...top]) }
  })
const timestamps = fc
  .tuple(common, fileMeta)
  .map(([all, snapshot]): Metadata => ({ type: 'timestamp', ...all, snapshot }))
const snapshots = fc
  .tuple(common, mapOf(name.map(roleName), fileMeta))
  .map(([all, meta]): Metadata => ({ type: 'snapshot', ...all, meta }))
const targetsFiles = fc
  .tuple(common, fc.record({ targets: mapOf(name, target), delegations }, { requiredKeys: ['targets'] }))
  .map(([all, own]): Metadata => ({ type: 'targets', ...all, ...own }))
const bodies: fc.Arbitrary<Metadata> = fc.oneof(roots, timestamps, snapshots, targetsFiles)
const signatures: fc.Arbitrary<readonly Signature[]> = fc.uniqueArray(
  fc.record({ keyid: hex.map(keyId), sig: fc.uint8Array({ maxLength: 8 }), unknown }),
  { selector: ({ keyid }) => keyid, maxLength: 3 },
)

await t.test('whatever is written reads back the same, in any order of members and any layout', async (t) => {
  const property = fc.property(bodies, signatures, fc.boolean(), (body, signed, indent) => {
    const written = tufCodec.assemble(body, signed)
    const text = indent ? JSON.stringify(backwards(parsed(written)), null, 1) : new TextDecoder().decode(written)
    const decoded = tufCodec.decode(body.type, new TextEncoder().encode(text), CONTEXT)
    t.same(tufCodec.encode(decoded.body), tufCodec.encode(body))
    t.same(decoded.payload, tufCodec.encode(body))
    t.same(decoded.body.version, body.version)
    return Buffer.compare(tufCodec.assemble(decoded.body, decoded.signatures), written) === 0
  })
  fc.assert(property, { numRuns: 150 })
})

await t.test('no file makes it throw anything but TrustError', async () => {
  const repository = new Simulator()
  repository.delegate(TARGETS, roleName('team'))
  const files = [ROOT, TIMESTAMP, SNAPSHOT, TARGETS].map((role) => repository.newest(role))
  const types = fc.constantFrom('root', 'timestamp', 'snapshot', 'targets')
  const anyNumber = fc.oneof(jsonValue, fc.double(), fc.bigInt().map(Number))
  fc.assert(
    fc.property(types, fc.constantFrom(...files), fc.infiniteStream(fc.nat()), anyNumber, (type, file, dice, value) => {
      const changed = put(somewhere(parsed(file), dice), value)(parsed(file))
      return refusedOrRead(() => tufCodec.decode(type, new TextEncoder().encode(JSON.stringify(changed)), CONTEXT))
    }),
    { numRuns: 1000 },
  )
  fc.assert(
    fc.property(
      types,
      fc.constantFrom(...files),
      fc.nat(),
      fc.uint8Array({ maxLength: 4 }),
      (type, file, where, bytes) => {
        const at = where % file.length
        const changed = Buffer.concat([file.subarray(0, at), bytes, file.subarray(at + 1)])
        return refusedOrRead(() => tufCodec.decode(type, changed, CONTEXT))
      },
    ),
    { numRuns: 1000 },
  )
})

function mapOf<K, V>(key: fc.Arbitrary<K>, value: fc.Arbitrary<V>, minLength = 0): fc.Arbitrary<ReadonlyMap<K, V>> {
  return fc
    .uniqueArray(fc.tuple(key, value), { selector: ([first]) => first, minLength, maxLength: 3 })
    .map((entries) => new Map(entries))
}

function parsed(bytes: Uint8Array): Json {
  return JSON.parse(new TextDecoder().decode(bytes)) as Json
}

/** The same document with the members of every object the other way round. */
function backwards(value: Json): Json {
  if (isJsonList(value)) return value.map(backwards)
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).toReversed()
  return Object.fromEntries(entries.map(([member, child]) => [member, backwards(child)]))
}

/** A path to some member of a document, as the dice fall. */
function somewhere(value: Json, dice: Iterator<number>): string {
  const names = isJsonObject(value) || isJsonList(value) ? Object.keys(value) : []
  const chosen = names[(dice.next().value ?? 0) % (names.length || 1)]
  if (chosen === undefined) return 'x'
  const child = isJsonList(value) ? value[Number(chosen)] : isJsonObject(value) ? value[chosen] : undefined
  const stop = (dice.next().value ?? 0) % 3 === 0 || typeof child !== 'object' || child === null
  return stop ? chosen : `${chosen}/${somewhere(child, dice)}`
}

function refusedOrRead(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    return isTrustError(error)
  }
}
