import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { parseGoDate } from '../../../tuf/codec/date.ts'
import {
  DEFAULT_LIMITS,
  codecOf,
  encodeCanonical,
  inScope,
  instant,
  notaryCodec,
  roleName,
  tufCodec,
  version,
} from '../../../tuf/index.ts'
import type { Json, Metadata, Signed, TargetFile, Targets, TopRole } from '../../../tuf/index.ts'
import { all, drop, editBytes, put, repeat, update } from '../../support/edit-json.ts'
import type { Edit } from '../../support/edit-json.ts'
import { readFrom } from '../../support/notary-vectors.ts'
import { Simulator } from '../../support/simulator.ts'

const CONTEXT = { suite: nativeSuite, limits: DEFAULT_LIMITS }
const read = readFrom('04-delta-rsa-root-many-delegations')
const FILES = {
  root: read('root'),
  timestamp: read('timestamp'),
  snapshot: read('snapshot'),
  targets: read('targets'),
} as const satisfies Record<TopRole, Uint8Array>
const TYPES = ['root', 'timestamp', 'snapshot', 'targets'] as const

const decodeFile = (bytes: Uint8Array, type: TopRole): Signed<Metadata> => notaryCodec.decode(type, bytes, CONTEXT)

const EVERY: Record<string, Edit> = {
  'a list instead of a file': () => [],
  'a member beside the signed part and the signatures': put('unsigned', 1),
  'a signature with a member that nothing signs': put('signatures/0/note', 1),
  'a signature without a method': drop('signatures/0/method'),
  'a signature whose method is a number': put('signatures/0/method', 1),
  'a signature in hex': put('signatures/0/sig', 'abc'),
  'a signature with stray bits': put('signatures/0/sig', 'AB=='),
  'signatures that are null': put('signatures', null),
  'more signatures than allowed': put('signatures', many(1025)),
  'the type of TUF 1.0': update('signed/_type', (type) => (typeof type === 'string' ? type.toLowerCase() : '')),
  'the type of another role': put('signed/_type', 'Mirrors'),
  'version 0': put('signed/version', 0),
  'a version that nothing could follow': put('signed/version', 2 ** 31 - 1),
  'a version in quotes': put('signed/version', '1'),
  'a member that Go would take for the version': put('signed/Version', 1),
  'a member that Go would take for the expiry, by a letter of another alphabet': put('signed/expire\u017f', 1),
  'an expiry without an offset': put('signed/expires', '2030-01-01T00:00:00'),
  'an expiry with ten digits of fraction': put('signed/expires', '2030-01-01T00:00:00.1234567890Z'),
  'a control character': put('signed/x', 'a\tb'),
  'half of a surrogate pair': put('signed/x', '\ud800'),
  'a fraction': put('signed/x', 1.5),
  'a number that Go cannot hold': put('signed/x', 2 ** 53),
}

const OWN: Record<TopRole, Record<string, Edit>> = {
  root: {
    'no consistent_snapshot': drop('signed/consistent_snapshot'),
    'no role timestamp': drop('signed/roles/timestamp'),
    'a role whose key is not there': put('signed/roles/targets/keyids', ['00'.repeat(32)]),
    'a key id twice in a role': repeat('signed/roles/targets/keyids/0'),
    'a threshold of 0': put('signed/roles/root/threshold', 0),
    'a key under the id of another': repeat('signed/keys/*', '00'.repeat(32)),
    'a key of another type than its id says': put('signed/keys/*/keytype', 'ecdsa'),
    'a key with its private half': put('signed/keys/*/keyval/private', 'AAAA'),
    'a key that says nothing of its private half': drop('signed/keys/*/keyval/private'),
    'a key in PEM': put('signed/keys/*/keyval/public', '-----BEGIN PUBLIC KEY-----'),
    'a key without a value': drop('signed/keys/*/keyval'),
  },
  timestamp: {
    'no snapshot': put('signed/meta', {}),
    'a snapshot as TUF 1.0 calls it': put('signed/meta', { 'snapshot.json': { version: 1 } }),
    'a second file': repeat('signed/meta/snapshot', 'root'),
    'no length': drop('signed/meta/snapshot/length'),
    'no sha256': drop('signed/meta/snapshot/hashes/sha256'),
    'a hash of another size': put('signed/meta/snapshot/hashes/sha256', 'AAAA'),
    'a hash in hex': put('signed/meta/snapshot/hashes/sha256', 'ab'.repeat(32)),
  },
  snapshot: {
    'no root': drop('signed/meta/root'),
    'no targets': drop('signed/meta/targets'),
    'a role that is above targets': repeat('signed/meta/root', 'qa'),
    'a role that climbs': repeat('signed/meta/root', 'targets/../root'),
    'a role with an empty segment': repeat('signed/meta/root', 'targets//qa'),
    'a role in capitals': repeat('signed/meta/root', 'targets/QA'),
    'a role that is endless': repeat('signed/meta/root', `targets/${'a'.repeat(248)}`),
    'a file without a sha256': drop('signed/meta/targets/hashes/sha256'),
  },
  targets: {
    'targets that are null': put('signed/targets', null),
    'a target without hashes': put('signed/targets/x', { length: 1 }),
    'a target with no hash': put('signed/targets/x', { hashes: {}, length: 1 }),
    'a target with a negative length': put('signed/targets/x', { hashes: { sha256: '' }, length: -1 }),
    'delegations that are null': put('signed/delegations', null),
    'a role listed twice': repeat('signed/delegations/roles/0'),
    'a role that is no delegation': put('signed/delegations/roles/0/name', 'snapshot'),
    'a path that is a number': put('signed/delegations/roles/0/paths', [1]),
    'a member that Go would take for the paths': put('signed/delegations/roles/0/Paths', ['']),
    'a delegated key under the id of another': repeat('signed/delegations/keys/*', '00'.repeat(32)),
  },
}

for (const type of TYPES) {
  await t.test(`refuses a ${type} file with`, async (t) => {
    for (const [name, change] of Object.entries({ ...EVERY, ...OWN[type] })) {
      const bytes = editBytes(FILES[type], change)
      t.throws(() => decodeFile(bytes, type), { name: 'TrustError', code: 'MALFORMED' }, name)
    }
  })
}

const READ: Record<string, { readonly type: TopRole; readonly edit: Edit; readonly again?: boolean }> = {
  'lists that are null': {
    type: 'targets',
    edit: all(put('signed/delegations/roles', null), put('signed/delegations/keys', {})),
  },
  'a role without keys': { type: 'targets', edit: put('signed/delegations/roles/0/keyids', null) },
  'a role without paths': { type: 'targets', edit: drop('signed/delegations/roles/0/paths') },
  'nothing delegated': { type: 'targets', edit: put('signed/delegations', { keys: {}, roles: [] }) },
  'signed members that nobody knows': { type: 'targets', edit: put('signed/x-note', { b: [1], a: null }) },
  'a date with an offset': { type: 'root', edit: put('signed/expires', '2036-11-20T18:29:43.803408975-05:00') },
  'a date whose fraction ends in 0': { type: 'root', edit: put('signed/expires', '2036-11-20T18:29:43.460Z') },
  'text that would be markup': { type: 'targets', edit: put('signed/x', '<a href="?&">\u2028\u2029\u007f\u00e9') },
  'names beyond the first plane': {
    type: 'targets',
    edit: put('signed/x', { '\u{1f600}': 1, '\ue000': 2, '\ud7ff': 3 }),
  },
  'a custom part': {
    type: 'targets',
    edit: put('signed/targets/v1', {
      custom: { b: -1, a: ['<'] },
      hashes: { sha256: 'A'.repeat(43) + '=' },
      length: 1,
    }),
  },
  'a method in capitals': { type: 'root', edit: update('signatures/0/method', capitals) },
  'a method that nobody knows': { type: 'root', edit: put('signatures/0/method', 'pycrypto-pkcs#1 pss') },
}
for (const [name, { type, edit }] of Object.entries(READ)) {
  await t.test(`reads ${name}, and writes it back`, async (t) => {
    const decoded = decodeFile(editBytes(FILES[type], edit), type)
    const written = notaryCodec.assemble(decoded.body, decoded.signatures)
    t.same(decodeFile(written, type), decoded)
    t.same(notaryCodec.encode(decoded.body), decoded.payload)
    t.notMatch(new TextDecoder().decode(written), /[<>&\u2028\u2029]/)
  })
}

await t.test('what is signed is the canonical form of what came, however it was laid out', async (t) => {
  const edit = put('signed/targets/v1', { length: 1, hashes: { sha256: 'A'.repeat(43) + '=' }, custom: { b: 1, a: 2 } })
  const { payload } = decodeFile(editBytes(FILES.targets, edit, 2), 'targets')
  const document = JSON.parse(new TextDecoder().decode(editBytes(FILES.targets, edit))) as { signed: Json }
  t.same(payload, encodeCanonical(document.signed))
})

await t.test('keys have the ids that Go computes', async (t) => {
  const { body } = notaryCodec.decode('root', FILES.root, CONTEXT)
  for (const [id, { keytype, scheme, public: text }] of body.keys) {
    t.equal(notaryCodec.key({ keytype, scheme, public: text }, nativeSuite).id, id)
  }
})

await t.test('a type of key that nobody knows verifies nothing, and its file is read', async (t) => {
  const key = notaryCodec.key({ keytype: 'lattice', scheme: 'x', public: 'AAAA' }, nativeSuite)
  const object = { keytype: 'lattice', keyval: { private: null, public: 'AAAA' } }
  const { body } = notaryCodec.decode('root', editBytes(FILES.root, put(`signed/keys/${key.id}`, object)), CONTEXT)
  const listed = body.keys.get(key.id)
  t.ok(listed)
  t.equal(listed && nativeSuite.open(listed), undefined)
})

await t.test('writes no file that Go could not read', async (t) => {
  const { body } = notaryCodec.decode('targets', FILES.targets, CONTEXT)
  const target: TargetFile = { length: 1, hashes: new Map([['sha256', '00'.repeat(32)]]), unknown: new Map() }
  const role = { keyids: [], threshold: 1, name: roleName('targets/x'), unknown: new Map(), terminating: false }
  const REFUSED: Record<string, Partial<Targets>> = {
    'a tab in a name': { targets: new Map([['a\tb', target]]) },
    'a version beyond 32 bits': { version: version(2 ** 31) },
    patterns: delegating({ ...role, scope: { kind: 'paths', paths: ['*'] } }),
    'a terminating role': delegating({ ...role, terminating: true, scope: { kind: 'path-prefixes', prefixes: [''] } }),
    'a name of TUF 1.0': delegating({ ...role, name: 'team', scope: { kind: 'path-prefixes', prefixes: [''] } }),
    'hash bins': delegating(undefined),
  }
  for (const [name, change] of Object.entries(REFUSED)) {
    t.throws(() => notaryCodec.assemble({ ...body, ...change }, []), { code: 'MALFORMED' }, name)
    t.throws(() => notaryCodec.encode({ ...body, ...change }), { code: 'MALFORMED' }, name)
  }
  const unsaid = { keyid: role.name, sig: new Uint8Array(), unknown: new Map() }
  t.throws(() => notaryCodec.assemble(body, [unsaid as never]), { code: 'MALFORMED' }, 'a signature without a scheme')
  const prefixes = delegating({ ...role, scope: { kind: 'path-prefixes', prefixes: [''] } })
  t.throws(() => tufCodec.encode({ ...body, ...prefixes }), { code: 'MALFORMED' }, 'prefixes in TUF 1.0')
})

await t.test('paths are prefixes, and the empty one fits every target', async (t) => {
  const fits = (prefixes: readonly string[], path: string) =>
    inScope({ kind: 'path-prefixes', prefixes }, path, nativeSuite)
  t.ok(fits([''], 'any/thing'))
  t.ok(fits(['qa/', 'v1'], 'v1.2'))
  t.notOk(fits(['qa/', 'v1'], 'v2'))
  t.notOk(fits(['*'], 'v2'))
  t.notOk(fits([], 'v2'))
})

await t.test('dates', async (t) => {
  const base = Date.UTC(2026, 10, 23, 18, 29, 43)
  for (const [text, milliseconds] of Object.entries({
    '2026-11-23T18:29:43Z': base,
    '2026-11-23T18:29:43.803408975Z': base + 803,
    '2026-11-23T18:29:43.9999Z': base + 999,
    '2026-11-23T18:29:43.5Z': base + 500,
    '2026-11-23T13:29:43-05:00': base,
    '2026-11-24T00:14:43.1+05:45': base + 100,
  })) {
    t.equal(parseGoDate(text), milliseconds, text)
  }
  for (const text of [
    '2026-11-23T18:29:43',
    '2026-11-23T18:29:43.Z',
    '2026-11-23T18:29:43,5Z',
    '2026-11-23T18:29:43z',
    '2026-11-23T18:29:43+24:00',
    '2026-11-23T18:29:43+05:60',
    '2026-11-23T18:29:43+0500',
    '2026-02-29T18:29:43Z',
    '2026-11-23T18:29:60Z',
    '',
  ]) {
    t.equal(parseGoDate(text), undefined, text)
  }
  t.equal(notaryCodec.date(base + 460), '2026-11-23T18:29:43Z', 'whole seconds when written')
})

await t.test('the root tells which dialect a repository speaks', async (t) => {
  t.equal(codecOf(FILES.root, DEFAULT_LIMITS), notaryCodec)
  t.equal(codecOf(new Simulator().anchor(), DEFAULT_LIMITS), tufCodec)
  for (const edit of [put('signed/_type', 'ROOT'), put('signed', []), () => []]) {
    t.throws(() => codecOf(editBytes(FILES.root, edit), DEFAULT_LIMITS), { code: 'MALFORMED' })
  }
  t.throws(() => tufCodec.decode('root', FILES.root, CONTEXT), { code: 'MALFORMED' })
  t.throws(() => notaryCodec.decode('root', new Simulator().anchor(), CONTEXT), { code: 'MALFORMED' })
})

await t.test('forty thousand tags are read in the time that quadratic reading needs for a few thousand', async (t) => {
  const bytes = manyTags(40_000)
  const began = performance.now()
  notaryCodec.decode('targets', bytes, CONTEXT)
  const took = performance.now() - began
  t.comment(`${took.toFixed(1)} ms`)
  t.ok(took < 5_000, `${took} ms`)
})

function manyTags(count: number): Uint8Array {
  const target: TargetFile = { length: 523, hashes: new Map([['sha256', 'ab'.repeat(32)]]), unknown: new Map() }
  const targets = new Map(Array.from({ length: count }, (_, i) => [`v${i}`, target]))
  const common = { version: version(1), expires: instant(0), expiresText: '2030-01-01T00:00:00Z', unknown: new Map() }
  return notaryCodec.assemble({ type: 'targets', ...common, targets }, [])
}

function delegating(role: object | undefined): Partial<Targets> {
  const rest = role === undefined ? { roles: [], succinct: { namePrefix: 'x' } } : { roles: [role] }
  return { delegations: { keys: new Map(), unknown: new Map(), ...rest } as never }
}

function many(count: number): Json {
  return Array.from({ length: count }, (_, i) => ({ keyid: `${i}`, method: 'ecdsa', sig: '' }))
}

function capitals(text: Json | undefined): string {
  return typeof text === 'string' ? text.toUpperCase() : ''
}
