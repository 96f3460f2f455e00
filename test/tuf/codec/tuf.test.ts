import { readFileSync } from 'node:fs'
import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  ROOT,
  SNAPSHOT,
  TARGETS,
  TIMESTAMP,
  encodeCanonical,
  encodeHex,
  keyId,
  roleName,
  succinctBins,
  tufCodec,
  tufCodecWith,
  withDelegation,
} from '../../../tuf/index.ts'
import type { DecodeContext, Json, Metadata, Signed, TopRole } from '../../../tuf/index.ts'
import { all, drop, editBytes, put, repeat, update } from '../../support/edit-json.ts'
import type { Edit } from '../../support/edit-json.ts'
import { Simulator, keySet, signatureOf, targetOf } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const CONTEXT: DecodeContext = { suite: nativeSuite, limits: DEFAULT_LIMITS }
const TEAM = roleName('team')

const repository = new Simulator()
const delegation = {
  ...keySet([signingKey()]),
  name: TEAM,
  scope: { kind: 'paths', paths: ['v*'] },
  terminating: false,
} as const
repository.publishTargets({
  set: new Map([['v1', targetOf('one', { mediaType: 'x/y' })]]),
  delegations: withDelegation(undefined, delegation),
})
const bins = new Simulator()
bins.publishTargets({ delegations: succinctBins(keySet([signingKey()]), 6, 'bins') })

const FILES = {
  root: repository.newest(ROOT),
  timestamp: repository.newest(TIMESTAMP),
  snapshot: repository.newest(SNAPSHOT),
  targets: repository.newest(TARGETS),
  bins: bins.newest(TARGETS),
} as const

const typeOf = (file: keyof typeof FILES): TopRole => (file === 'bins' ? 'targets' : file)
const decodeFile = (bytes: Uint8Array, type: TopRole): Signed<Metadata> => tufCodec.decode(type, bytes, CONTEXT)
const changed = (file: keyof typeof FILES, edit: Edit): Uint8Array => editBytes(FILES[file], edit)

const EVERY: Record<string, Edit> = {
  'a list instead of a file': () => [],
  'no signed part': drop('signed'),
  'a signed part that is a list': put('signed', []),
  'no signatures': drop('signatures'),
  'signatures that are an object': put('signatures', {}),
  'a signature that is text': put('signatures/0', 'x'),
  'a signature without a key id': drop('signatures/0/keyid'),
  'a signature with an empty key id': put('signatures/0/keyid', ''),
  'a signature whose key id is endless': put('signatures/0/keyid', 'a'.repeat(513)),
  'a signature that is a number': put('signatures/0/sig', 1),
  'one signature given twice': repeat('signatures/0'),
  'two signatures under one key id': all(repeat('signatures/0'), put('signatures/0/sig', '')),
  'more signatures than allowed': put('signatures', many(1025)),
  'no type': drop('signed/_type'),
  'the type of Notary v1': update('signed/_type', capital),
  'the type of another role': update('signed/_type', (type) => (type === 'root' ? 'targets' : 'root')),
  'no version': drop('signed/version'),
  'version 0': put('signed/version', 0),
  'a negative version': put('signed/version', -1),
  'a version that is text': put('signed/version', '1'),
  'a version that is true': put('signed/version', true),
  'a version that is an object': put('signed/version', {}),
  'no expiry': drop('signed/expires'),
  'an expiry with an offset': put('signed/expires', '2030-01-01T00:00:00+00:00'),
  'an expiry with fractions': put('signed/expires', '2030-01-01T00:00:00.5Z'),
  'an expiry on a day that does not exist': put('signed/expires', '2030-02-30T00:00:00Z'),
  'an expiry that is a number': put('signed/expires', 1),
  'no version of the specification': drop('signed/spec_version'),
  'version 2 of the specification': put('signed/spec_version', '2.0.0'),
  'version 10 of the specification': put('signed/spec_version', '10.0.0'),
  'a version of the specification that is none': put('signed/spec_version', '1'),
  'a version of the specification with a tail': put('signed/spec_version', '1.0.0-beta'),
}

const THRESHOLDS = [0, -1, 0.5, '1', null, false, {}, 2 ** 53] as const

const OWN: Record<keyof typeof FILES, Record<string, Edit>> = {
  root: {
    'keys that are a list': put('signed/keys', []),
    'no keys': drop('signed/keys'),
    'no roles': drop('signed/roles'),
    'a consistent_snapshot that is text': put('signed/consistent_snapshot', 'true'),
    'a consistent_snapshot that is null': put('signed/consistent_snapshot', null),
    'no role root': drop('signed/roles/root'),
    'no role timestamp': drop('signed/roles/timestamp'),
    'no role snapshot': drop('signed/roles/snapshot'),
    'no role targets': drop('signed/roles/targets'),
    'a role that is a list': put('signed/roles/targets', []),
    'a role without a name': repeat('signed/roles/targets', ''),
    ...Object.fromEntries(
      THRESHOLDS.map((it) => [`a threshold of ${JSON.stringify(it)}`, put('signed/roles/targets/threshold', it)]),
    ),
    'a role without a threshold': drop('signed/roles/targets/threshold'),
    'key ids that are text': put('signed/roles/targets/keyids', 'x'),
    'a key id that is a number': put('signed/roles/targets/keyids', [1]),
    'an empty key id': put('signed/roles/targets/keyids', ['']),
    'a key id twice in a role': repeat('signed/roles/targets/keyids/0'),
    'a key that is text': put('signed/keys/00', 'x'),
    'a key under the id of another': repeat('signed/keys/*', '00'.repeat(32)),
    'a key under no id': repeat('signed/keys/*', ''),
    'a key whose scheme was changed': put('signed/keys/*/scheme', 'ecdsa-sha2-nistp256'),
    'a key with a member more than its id says': put('signed/keys/*/x-note', 'x'),
    'a key whose value has a member more': put('signed/keys/*/keyval/private', ''),
    'a key without a scheme': drop('signed/keys/*/scheme'),
    'a key without a keytype': drop('signed/keys/*/keytype'),
    'a key without a value': drop('signed/keys/*/keyval'),
  },
  timestamp: {
    'no meta': drop('signed/meta'),
    'no snapshot': put('signed/meta', {}),
    'a second file': put('signed/meta/targets.json', { version: 1 }),
    'a snapshot without a version': drop('signed/meta/snapshot.json/version'),
    'a negative length': put('signed/meta/snapshot.json/length', -1),
    'a length that is text': put('signed/meta/snapshot.json/length', '1'),
    'no hash at all': put('signed/meta/snapshot.json/hashes', {}),
    'hashes that are a list': put('signed/meta/snapshot.json/hashes', []),
    'a hash in capitals': put('signed/meta/snapshot.json/hashes', { sha256: 'AB' }),
    'a hash that is empty': put('signed/meta/snapshot.json/hashes', { sha256: '' }),
    'a hash that is a number': put('signed/meta/snapshot.json/hashes', { sha256: 1 }),
  },
  snapshot: {
    'no meta': drop('signed/meta'),
    'a meta that is a list': put('signed/meta', []),
    'a role without its ending': put('signed/meta', { targets: { version: 1 } }),
    'a role without a name': put('signed/meta', { '.json': { version: 1 } }),
    'a role with an endless name': put('signed/meta', { [`${'a'.repeat(513)}.json`]: { version: 1 } }),
    'a version of 0': put('signed/meta', { 'targets.json': { version: 0 } }),
    'a file that is a number': put('signed/meta', { 'targets.json': 1 }),
  },
  targets: {
    'no targets': drop('signed/targets'),
    'targets that are a list': put('signed/targets', []),
    'a target that is text': put('signed/targets', { v1: 'x' }),
    'a target without a length': drop('signed/targets/v1/length'),
    'a target with a negative length': put('signed/targets/v1/length', -1),
    'a target without hashes': drop('signed/targets/v1/hashes'),
    'a target with no hash': put('signed/targets/v1/hashes', {}),
    'delegations that are null': put('signed/delegations', null),
    'delegations that are a list': put('signed/delegations', []),
    'delegations without keys': drop('signed/delegations/keys'),
    'delegations without roles or bins': drop('signed/delegations/roles'),
    'delegations that are an object of roles': put('signed/delegations/roles', {}),
    'both roles and bins': put('signed/delegations/succinct_roles', { keyids: [] }),
    'a role that is text': put('signed/delegations/roles/0', 'x'),
    'a role listed twice': repeat('signed/delegations/roles/0'),
    'a role without a name': drop('signed/delegations/roles/0/name'),
    'a role with an empty name': put('signed/delegations/roles/0/name', ''),
    'a role named root': put('signed/delegations/roles/0/name', 'root'),
    'a role named timestamp': put('signed/delegations/roles/0/name', 'timestamp'),
    'a role named snapshot': put('signed/delegations/roles/0/name', 'snapshot'),
    'a role named targets': put('signed/delegations/roles/0/name', 'targets'),
    'a role without paths': drop('signed/delegations/roles/0/paths'),
    'a role with both kinds of paths': put('signed/delegations/roles/0/path_hash_prefixes', ['00']),
    'paths that are text': put('signed/delegations/roles/0/paths', '*'),
    'a path that is a number': put('signed/delegations/roles/0/paths', [1]),
    'hash prefixes that are text': all(
      drop('signed/delegations/roles/0/paths'),
      put('signed/delegations/roles/0/path_hash_prefixes', '00'),
    ),
    'a role that says nothing of terminating': drop('signed/delegations/roles/0/terminating'),
    'a role that is terminating by text': put('signed/delegations/roles/0/terminating', 'false'),
    'a role with a threshold of 0': put('signed/delegations/roles/0/threshold', 0),
    'a role with a key id twice': repeat('signed/delegations/roles/0/keyids/0'),
    'a delegated key under the id of another': repeat('signed/delegations/keys/*', '00'.repeat(32)),
  },
  bins: {
    'a bit length of 0': put('signed/delegations/succinct_roles/bit_length', 0),
    'a bit length of 33': put('signed/delegations/succinct_roles/bit_length', 33),
    'a bit length that is text': put('signed/delegations/succinct_roles/bit_length', '8'),
    'no bit length': drop('signed/delegations/succinct_roles/bit_length'),
    'no name prefix': drop('signed/delegations/succinct_roles/name_prefix'),
    'an endless name prefix': put('signed/delegations/succinct_roles/name_prefix', 'a'.repeat(501)),
    'a threshold of 0': put('signed/delegations/succinct_roles/threshold', 0),
    'bins that are a list': put('signed/delegations/succinct_roles', []),
  },
}

for (const file of ['root', 'timestamp', 'snapshot', 'targets', 'bins'] as const) {
  await t.test(`refuses a ${file} file with`, async (t) => {
    for (const [name, change] of Object.entries({ ...EVERY, ...OWN[file] })) {
      const bytes = changed(file, change)
      t.throws(() => decodeFile(bytes, typeOf(file)), { name: 'TrustError', code: 'MALFORMED' }, name)
    }
  })
}

await t.test('refuses two members of one name anywhere', async (t) => {
  const text = new TextDecoder().decode(FILES.targets)
  const doubled = new TextEncoder().encode(text.replace('"version":2', '"version":2,"version":3'))
  t.throws(() => decodeFile(doubled, 'targets'), { code: 'MALFORMED' })
})

const KEPT: Record<keyof typeof FILES, Edit> = {
  root: all(
    put('unsigned', 1),
    put('signatures/0/note', ['x']),
    put('signed/x-tagseal-repository', 'example.com/app'),
    put('signed/roles/root/x-expiry', 30),
    put('signed/roles/mirrors', { keyids: [], threshold: 1, 'x-y': null }),
    put('signed/roles/constructor', { keyids: [], threshold: 1 }),
    put('signed/spec_version', '1.0'),
  ),
  timestamp: put('signed/meta/snapshot.json/x-y', { toString: [1] }),
  snapshot: put('signed/meta/team.json', { version: 3, length: 10, hashes: { blake3: 'ab' }, x: 1 }),
  targets: all(
    put('signed/x-a', null),
    put('signed/targets/v1/x-b', false),
    put('signed/targets/v1/custom', null),
    put('signed/delegations/x-c', [{ deep: {} }]),
    put('signed/delegations/roles/0/x-d', 'x'),
    put('signed/targets/1', { length: 0, hashes: { sha256: 'ab' } }),
    put('signed/targets/__proto__x', { length: 0, hashes: { sha256: 'ab' } }),
  ),
  bins: put('signed/delegations/succinct_roles/x-e', 1),
}
for (const file of ['root', 'timestamp', 'snapshot', 'targets', 'bins'] as const) {
  await t.test(`keeps what it does not know of a ${file} file, and writes back what it read`, async (t) => {
    const bytes = changed(file, KEPT[file])
    const decoded = decodeFile(bytes, typeOf(file))
    t.same(tufCodec.encode(decoded.body), decoded.payload)
    const written = tufCodec.assemble(decoded.body, decoded.signatures)
    t.same(decodeFile(written, typeOf(file)), { ...decoded, unknown: new Map() })
    const resigned = tufCodec.resign(bytes, decoded.signatures, CONTEXT)
    t.same(decodeFile(resigned, typeOf(file)), decoded)
  })
}

await t.test('a file that we wrote and the same file indented have one payload', async (t) => {
  for (const file of ['root', 'timestamp', 'snapshot', 'targets', 'bins'] as const) {
    const indented = new TextEncoder().encode(
      JSON.stringify(JSON.parse(new TextDecoder().decode(FILES[file])), null, 2),
    )
    t.same(decodeFile(indented, typeOf(file)), decodeFile(FILES[file], typeOf(file)))
  }
})

await t.test('a place that is free for a signer reads as no signature', async (t) => {
  for (const sig of ['', 'ABCD', 'abc', 'xx']) {
    const [signature] = decodeFile(changed('root', put('signatures/0/sig', sig)), 'root').signatures
    t.equal(signature?.sig.length, 0)
  }
})

await t.test('an absent consistent_snapshot is false', async (t) => {
  const { body } = tufCodec.decode('root', changed('root', drop('signed/consistent_snapshot')), CONTEXT)
  t.equal(body.consistentSnapshot, false)
})

await t.test('keys', async (t) => {
  type Entry = {
    key: { keytype: string; scheme: string; keyval: { public: string } }
    canonical: string
    keyid: string
    message: string
    sig: string
  }
  const entries = JSON.parse(readFileSync('test/vectors/tuf-made/keys.json', 'utf8')) as Record<string, Entry>
  for (const [name, { key, keyid, message, sig }] of Object.entries(entries)) {
    const fields = { keytype: key.keytype, scheme: key.scheme, public: key.keyval.public }
    const listed = tufCodec.key(fields, nativeSuite)
    t.equal(listed.id, keyid, `the id of a key of ${name}`)
    const verifier = nativeSuite.open(listed)
    t.ok(verifier?.verify(new TextEncoder().encode(message), Buffer.from(sig, 'hex')), `a signature of ${name}`)
  }

  await t.test('of an unknown kind are kept, whatever their value looks like', async (t) => {
    for (const keyval of [{ identity: 'a@b', issuer: 'https://c' }, { public: '' }, { public: 1 }, {}]) {
      const key = { keytype: 'sigstore-oidc', keyval, scheme: 'Fulcio' }
      const id = nativeSuite.hash('sha256', encodeCanonical(key))
      const bytes = changed('root', put(`signed/keys/${id}`, key))
      const decoded = tufCodec.decode('root', bytes, CONTEXT)
      const read = decoded.body.keys.get(keyId(id))
      t.equal(read?.scheme, 'Fulcio')
      t.equal(read && nativeSuite.open(read), undefined)
      t.same(tufCodec.encode(decoded.body), decoded.payload)
    }
  })

  await t.test('may have been given or have lost keyid_hash_algorithms since their id was computed', async (t) => {
    const bytes = changed('root', put('signed/keys/*/keyid_hash_algorithms', 'md5'))
    const decoded = tufCodec.decode('root', bytes, CONTEXT)
    t.strictSame([...decoded.body.keys.keys()].sort(), [...repository.root.keys.keys()].sort())
    t.same(tufCodec.encode(decoded.body), decoded.payload)
  })

  await t.test('may be excepted one by one', async (t) => {
    const wrong = '7'.repeat(64)
    const [key] = [...repository.root.keys.values()]
    const bytes = changed('root', repeat(`signed/keys/${key?.id ?? ''}`, wrong))
    const excepting = (listed: string, computed: string) => tufCodecWith(new Map([[listed, computed]]))
    t.equal(
      excepting(wrong, key?.id ?? '')
        .decode('root', bytes, CONTEXT)
        .body.keys.get(keyId(wrong))?.id,
      wrong,
    )
    t.throws(() => excepting(wrong, '0'.repeat(64)).decode('root', bytes, CONTEXT), { code: 'MALFORMED' })
    t.throws(() => excepting('0'.repeat(64), key?.id ?? '').decode('root', bytes, CONTEXT), { code: 'MALFORMED' })
  })
})

await t.test('a root from fixed seeds has the bytes, the hash and the signature that others computed', async (t) => {
  type Made = { root: unknown; signed_canonical: string; sha256_of_signed: string }
  const made = JSON.parse(readFileSync('test/vectors/tuf-made/root-ed25519.json', 'utf8')) as Made
  const decoded = tufCodec.decode('root', new TextEncoder().encode(JSON.stringify(made.root)), CONTEXT)
  t.equal(new TextDecoder().decode(decoded.payload), made.signed_canonical)
  t.equal(nativeSuite.hash('sha256', decoded.payload), made.sha256_of_signed)
  const [signature] = decoded.signatures
  const key = signature && decoded.body.keys.get(signature.keyid)
  t.ok(key && nativeSuite.open(key)?.verify(decoded.payload, signature.sig))
})

await t.test('a date outside the years 0 to 9999 is refused before it is written', async (t) => {
  for (const milliseconds of [Number.NaN, Infinity, Date.UTC(10_000, 0)]) {
    t.throws(() => tufCodec.date(milliseconds), { code: 'MALFORMED' })
  }
  t.equal(tufCodec.date(Date.UTC(2030, 0) + 999), '2030-01-01T00:00:00Z')
})

await t.test('signatures are written in hex beside their key ids', async (t) => {
  const key = signingKey()
  const signature = signatureOf(key, tufCodec.encode(repository.root))
  const text = new TextDecoder().decode(tufCodec.assemble(repository.root, [signature]))
  t.ok(text.startsWith(`{"signatures":[{"keyid":"${key.id}","sig":"${encodeHex(signature.sig)}"}],"signed":{`))
})

function many(count: number): Json {
  return Array.from({ length: count }, (_, i) => ({ keyid: `${i}`, sig: '' }))
}

function capital(word: Json | undefined): string {
  return typeof word === 'string' ? word.slice(0, 1).toUpperCase() + word.slice(1) : ''
}
