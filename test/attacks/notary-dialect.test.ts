/**
 * What attacks on Notary v1 need that those on TUF 1.0 do not: its snapshots list files by hash and no versions, so that
 * what went back shows in the file itself; and a root is bound to its repository by certificates alone.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { delegatedName } from '../../client/trust/cache.ts'
import { ROOT, SNAPSHOT, TARGETS, TIMESTAMP, notaryCodec, roleName, version } from '../../tuf/index.ts'
import type { FileMeta, RoleName } from '../../tuf/index.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { REPOSITORY, openLab, refuseAll } from '../support/attack-lab.ts'
import type { Attack } from '../support/attack-lab.ts'
import { NOTARY, notaryRootKey } from '../support/dialects.ts'
import { signingKey } from '../support/signing-key.ts'
import { Simulator, targetOf } from '../support/simulator.ts'

const RELEASES = roleName('targets/releases')
const HIGHEST = 2 ** 31 - 2

let old: ReadonlyMap<string, Uint8Array> = new Map()
const remember = (simulator: Simulator) => {
  old = new Map(simulator.files)
  simulator.sign({ '1.0': targetOf('two') })
}
const before = (name: string): Uint8Array => old.get(name) ?? new Uint8Array()
const metaOf = (bytes: Uint8Array): FileMeta => ({
  length: bytes.length,
  hashes: new Map([['sha256', nativeSuite.hash('sha256', bytes)]]),
  unknown: new Map(),
})
const listing = (role: RoleName, meta: FileMeta) => (simulator: Simulator) => {
  simulator.publishSnapshot((body) => ({ ...body, meta: new Map([...body.meta, [role, meta]]) }))
  simulator.publishTimestamp()
}
const mend = (simulator: Simulator) => simulator.release()
const online = ['timestamp.json', 'snapshot.json']
const delegating = (simulator: Simulator) => {
  simulator.delegate(TARGETS, RELEASES, { paths: ['team-*'] })
  simulator.sign({ 'team-1': targetOf('a') }, RELEASES)
}

const ATTACKS: Record<string, Attack> = {
  'the timestamp of yesterday': {
    before: remember,
    attack: (simulator) => void simulator.files.set('timestamp.json', before('timestamp.json')),
    code: 'ROLLBACK',
    after: mend,
  },
  'a new timestamp that announces the snapshot of yesterday': {
    before: remember,
    attack: (simulator) =>
      simulator.publishTimestamp((body) => ({ ...body, snapshot: metaOf(before('snapshot.json')) })),
    libraryOnly: true,
    code: 'ROLLBACK',
    stores: ['timestamp.json'],
    after: mend,
  },
  'a new snapshot that lists the targets of yesterday': {
    before: remember,
    attack: (simulator) => listing(TARGETS, metaOf(before('targets.json')))(simulator),
    code: 'ROLLBACK',
    stores: online,
    after: mend,
  },
  'the targets of yesterday, when the file of today is lost': {
    before: remember,
    attack: (simulator) => listing(TARGETS, metaOf(before('targets.json')))(simulator),
    wipe: ['targets.json'],
    code: 'ROLLBACK',
    stores: online,
    libraryOnly: true,
    after: mend,
  },
  'a snapshot that lists another root': {
    attack: (simulator) => listing(ROOT, metaOf(simulator.file('1.root.json')))(simulator),
    libraryOnly: true,
    code: 'HASH_MISMATCH',
    stores: ['timestamp.json'],
    after: mend,
  },
  'a new root that no snapshot lists': {
    attack: (simulator) => simulator.publishRoot(),
    libraryOnly: true,
    code: 'HASH_MISMATCH',
    stores: ['root.json'],
    after: mend,
  },
  'other targets under the name of what is listed': {
    attack: (simulator) => {
      simulator.sign({ '1.0': targetOf('two') })
      const [name = ''] = [...simulator.files.keys()].filter((file) => file.startsWith('targets.')).slice(-1)
      simulator.files.set(name, simulator.seal(simulator.targetsOf(TARGETS), simulator.signers.get(SNAPSHOT) ?? []))
    },
    code: 'HASH_MISMATCH',
    stores: online,
    libraryOnly: true,
  },
  'a root of TUF 1.0 as the next one': {
    attack: (simulator) => void simulator.files.set('3.root.json', new Simulator().anchor()),
    code: 'MALFORMED',
    libraryOnly: true,
  },
  'a next root for another repository': {
    before: () => {},
    attack: (simulator) => void simulator.publishRoot({ root: [OTHER] }),
    code: 'ROOT_CERTIFICATE',
  },
  'a next root whose keys are in no certificate': {
    attack: (simulator) => void simulator.publishRoot({ root: [signingKey('ecdsa-p256', notaryCodec)] }),
    code: 'ROOT_CERTIFICATE',
    libraryOnly: true,
  },
  'a version that nothing could follow': {
    attack: (simulator) => {
      const [signers] = [simulator.signers.get(TIMESTAMP) ?? []]
      const text = Buffer.from(simulator.newest(TIMESTAMP)).toString()
      const next = text.replace(/"version":\d+/, `"version":${HIGHEST + 1}`)
      const signed = next.slice('{"signed":'.length, next.indexOf(',"signatures":'))
      const [signature] = signers.map(({ id, sign }) => ({
        keyid: id,
        method: 'eddsa',
        sig: Buffer.from(sign(Buffer.from(signed))).toString('base64'),
      }))
      const file = `{"signed":${signed},"signatures":${JSON.stringify([signature])}}`
      simulator.files.set('timestamp.json', Buffer.from(file))
    },
    code: 'MALFORMED',
    libraryOnly: true,
    after: mend,
  },
}
const OTHER = await notaryRootKey('registry.example.com/team/other')

await refuseAll(
  t,
  Object.fromEntries(Object.entries(ATTACKS).map(([name, attack]) => [name, { ...attack, options: NOTARY }])),
)

await t.test('refuses a delegated role that went back', async (t) => {
  const lab = await openLab(NOTARY)
  t.teardown(lab.close)
  const { simulator } = lab
  delegating(simulator)
  const yesterday = metaOf(simulator.newest(RELEASES))
  const first = await lab.library({}, 'team-1')
  simulator.sign({ 'team-1': targetOf('b') }, RELEASES)
  t.not(await lab.library({}, 'team-1'), first)
  listing(RELEASES, yesterday)(simulator)
  await t.rejects(lab.library({}, 'team-1'), { code: 'ROLLBACK' })
  const lost = join(lab.state('library'), delegatedName(RELEASES, nativeSuite))
  await rm(lost)
  await t.rejects(lab.library({}, 'team-1'), { code: 'ROLLBACK' }, 'also when the file of today is lost')
  t.notOk(existsSync(lost), 'and nothing of it is stored')
  const signers = [signingKey('ed25519', notaryCodec)]
  simulator.signers.set(RELEASES, signers)
  simulator.delegate(TARGETS, RELEASES, { paths: ['team-*'], signers })
  simulator.publishTargets({}, RELEASES, (body) => ({ ...body, version: version(1) }))
  simulator.release()
  await t.resolves(lab.library({}, 'team-1'), 'under other keys versions begin anew')
})

await t.test('a role that is delegated no more says nothing, and no file can bring it back', async (t) => {
  const lab = await openLab(NOTARY)
  t.teardown(lab.close)
  const { simulator } = lab
  delegating(simulator)
  await lab.library({}, 'team-1')
  simulator.publishTargets({ delegations: null })
  simulator.unlist(RELEASES)
  simulator.release()
  await t.rejects(lab.library({}, 'team-1'), { code: 'TAG_NOT_SIGNED' })
})

await t.test('nobody silences a role to have another one answer with an older digest', async (t) => {
  const lab = await openLab(NOTARY)
  t.teardown(lab.close)
  const { simulator } = lab
  simulator.sign({ 'team-1': targetOf('old') })
  delegating(simulator)
  const before = await lab.library({}, 'team-1')
  simulator.unlist(RELEASES)
  await t.rejects(lab.library({}, 'team-1'), { code: 'ROLE_DISAPPEARED', detail: { role: RELEASES } })
  await t.rejects(lab.library({}, 'team-1'), { code: 'ROLE_DISAPPEARED' }, 'nor the next time')
  simulator.release()
  simulator.sign({ 'team-1': targetOf('a') }, RELEASES)
  t.same(await lab.library({}, 'team-1'), before, 'and it is heard again when it is listed')
})

await t.test('a certificate and its bare key are one signer', async (t) => {
  const lab = await openLab(NOTARY)
  t.teardown(lab.close)
  const { simulator } = lab
  const [certified] = simulator.signers.get(ROOT) ?? []
  if (certified === undefined) throw new Error('no root key')
  const spki = notaryCodec.keyNames(certified.public, nativeSuite)[1] ?? ''
  const text = nativeSuite.certificates(Buffer.from(certified.public.public, 'base64'))?.[0]?.spki
  const bare = notaryCodec.key(
    { keytype: 'ecdsa', scheme: certified.public.scheme, public: Buffer.from(text ?? []).toString('base64') },
    nativeSuite,
  )
  t.equal(bare.id, spki)
  const twice = [certified, { id: bare.id, public: bare, sign: certified.sign }]
  simulator.publishRoot({ targets: twice }, { thresholds: { targets: 2 } })
  simulator.sign({ '1.0': targetOf('evil') })
  await t.rejects(lab.library(), { code: 'THRESHOLD', detail: { need: 2, have: 1 } })
})

const THIEVES: Record<string, (simulator: Simulator) => void> = {
  'the timestamp': (simulator) => simulator.publishTimestamp((body) => ({ ...body, version: version(HIGHEST) })),
  'the snapshot': (simulator) => {
    simulator.publishSnapshot((body) => ({ ...body, version: version(HIGHEST) }))
    simulator.publishTimestamp()
  },
  'the targets': (simulator) => {
    simulator.publishTargets({}, TARGETS, (body) => ({ ...body, version: version(HIGHEST) }))
    simulator.release()
  },
}
for (const [what, steal] of Object.entries(THIEVES)) {
  await t.test(`a thief drives ${what} to the last version, and new keys undo it`, async (t) => {
    const lab = await openLab(NOTARY)
    t.teardown(lab.close)
    const { simulator } = lab
    await lab.library()
    const { snapshot, timestamp } = simulator
    const targets = simulator.targetsOf(TARGETS)
    const goBack = () => {
      Object.assign(simulator, { snapshot, timestamp })
      simulator.targets.set(TARGETS, targets)
      simulator.sign({ '1.0': targetOf('two') })
      simulator.release()
    }
    steal(simulator)
    await lab.library()
    goBack()
    await t.rejects(lab.library(), { code: 'ROLLBACK' }, 'as long as the keys hold')
    const fresh = () => [signingKey('ed25519', notaryCodec)]
    simulator.publishRoot({ timestamp: fresh(), snapshot: fresh(), targets: fresh() })
    goBack()
    await t.resolves(lab.library())
  })
}

await t.test('no root pinned by key serves for another repository', async (t) => {
  const lab = await openLab(NOTARY, 'registry.example.com/team/other')
  t.teardown(lab.close)
  const keyids = [...lab.simulator.root.keys.keys()]
  const pin = { kind: 'keys', keyids, threshold: 1 } as const
  await t.rejects(lab.library({ pin }), {
    code: 'ROOT_CERTIFICATE',
    detail: { repository: `${REPOSITORY.slice(0, -3)}other` },
  })
})
