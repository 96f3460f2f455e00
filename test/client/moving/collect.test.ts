/** What an old server shows of a repository, honestly and otherwise. The repositories are those that real ones had. */
import t from 'tap'
import { collect } from '../../../client/moving/collect.ts'
import { keysPin, NO_PIN, rootPin, TOFU_PIN } from '../../../client/moving/pin.ts'
import type { MovingPin } from '../../../client/moving/pin.ts'
import type { MetadataSource } from '../../../client/trust/fetch.ts'
import { hash } from '../../../keys/digest.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { stateFiles } from '../../support/notary-move.ts'
import { NOTARY_NOW, NOTARY_STATES } from '../../support/notary-vectors.ts'

/** With its newest root under that name too. */
function served(state: string): Map<string, Uint8Array> {
  const files = stateFiles(state)
  const newest = [...files.keys()]
    .filter((name) => /^\d+\.root$/.test(name))
    .toSorted()
    .at(-1)
  return files.set('root', files.get(newest ?? '') ?? new Uint8Array())
}

type Files = ReadonlyMap<string, Uint8Array>

/** As a Notary server answers: by role, by version of a root, and by hash. */
function serverOf(files: Files): MetadataSource {
  return {
    async get(name, maxBytes) {
      const [, role = '', sha256] = /^(.*?)(?:\.([0-9a-f]{64}))?\.json$/.exec(name) ?? []
      const bytes = files.get(role)
      if (bytes === undefined || (sha256 !== undefined && hash('sha256', bytes) !== sha256)) return undefined
      return bytes.length <= maxBytes ? bytes : undefined
    },
  }
}

const collected = (repository: string, files: Files, pin: MovingPin = TOFU_PIN, now: number = NOTARY_NOW) =>
  collect({ repository, source: serverOf(files), suite: nativeSuite, pin, now, signal: new AbortController().signal })

for (const [state, repository] of Object.entries(NOTARY_STATES)) {
  await t.test(`collects ${state}, to the byte`, async (t) => {
    const files = served(state)
    const old = await collected(repository, files)
    const roots = [...files.keys()].filter((name) => /^\d+\.root$/.test(name))
    t.equal(old.roots.size, roots.length)
    for (const [version, bytes] of old.roots) t.strictSame(bytes, files.get(`${version}.root`))
    for (const [role, bytes] of old.targets) t.strictSame(bytes, files.get(role), role)
    t.equal(old.targets.size, [...files.keys()].filter((name) => name.startsWith('targets')).length)
    t.strictSame(old.timestamp, files.get('timestamp'))
  })
}

const STATE = '04-delta-rsa-root-many-delegations'
const REPOSITORY = 'example.com/delta'
const ROOT_KEY = 'b8a291229d2338666a1257cf46b64f191feed6286cad7056d0192519a9e03501'

type Case = {
  readonly change?: (files: Map<string, Uint8Array>) => void
  readonly pin?: MovingPin
  readonly repository?: string
  readonly now?: number
  readonly code: string
}
/** A later expiry: metadata still, and not what was signed. */
const bent = (name: string) => (files: Map<string, Uint8Array>) => {
  const text = Buffer.from(files.get(name) ?? '').toString('latin1')
  files.set(name, Buffer.from(text.replace(/"expires":"20(\d\d)/, '"expires":"21$1'), 'latin1'))
}
const without = (name: string) => (files: Map<string, Uint8Array>) => void files.delete(name)
const CASES: Record<string, Case> = {
  'a root that was changed': {
    change: (files) => ['1.root', 'root'].forEach((name) => bent(name)(files)),
    code: 'THRESHOLD',
  },
  'a timestamp that was changed': { change: bent('timestamp'), code: 'THRESHOLD' },
  'a timestamp that has expired': { now: NOTARY_NOW + 30 * 86_400_000, code: 'EXPIRED' },
  'another snapshot than the timestamp lists': { change: bent('snapshot'), code: 'NO_TRUST_DATA' },
  'other targets than the snapshot lists': { change: bent('targets'), code: 'NO_TRUST_DATA' },
  'a role that is hidden': { change: without('targets/releases/nightly'), code: 'NO_TRUST_DATA' },
  'no root': { change: without('root'), code: 'NO_TRUST_DATA' },
  'a root that is none': { change: (files) => void files.set('root', Buffer.from('{}')), code: 'MALFORMED' },
  'a root of TUF 1.0': {
    change: (files) => void files.set('root', Buffer.from('{"signed":{"_type":"root"},"signatures":[]}')),
    code: 'NOT_NOTARY',
  },
  'another repository under its name': { repository: 'example.com/alpha', code: 'ROOT_CERTIFICATE' },
  'no word of anybody': { pin: NO_PIN, code: 'PIN_NEEDED' },
  'another key': { pin: keysPin([ROOT_KEY.replace('b', 'a')], 1), code: 'PIN_NOT_FOUND' },
  'two keys where one signed': { pin: keysPin([ROOT_KEY, ROOT_KEY.replace('b', 'a')], 2), code: 'PIN_NOT_FOUND' },
  'another root file': {
    pin: rootPin(served('01-alpha-delegation-x509').get('root') ?? new Uint8Array()),
    code: 'PIN_NOT_FOUND',
  },
}
for (const [name, { change, pin, repository = REPOSITORY, now, code }] of Object.entries(CASES)) {
  await t.test(`refuses ${name}`, async (t) => {
    const files = served(STATE)
    change?.(files)
    await t.rejects(collected(repository, files, pin, now), { code })
  })
}

await t.test('of what the old server lacks, the hint is about the old server', async (t) => {
  const files = served(STATE)
  files.delete('root')
  await t.rejects(collected(REPOSITORY, files), { message: /the old server has no root/, hint: /--from/ })
})

const PINS: Record<string, MovingPin> = {
  'the id that notary lists': keysPin([ROOT_KEY], 1),
  'the root file': rootPin(served(STATE).get('1.root') ?? new Uint8Array()),
}
for (const [name, pin] of Object.entries(PINS)) {
  await t.test(`takes ${name} for a pin`, async (t) => {
    t.equal((await collected(REPOSITORY, served(STATE), pin)).roots.size, 1)
  })
}

await t.test('a key that left the root since is a pin all the same, and so is an old root', async (t) => {
  const files = served('03-gamma-root-rotated')
  const { trust } = await collected('example.com/gamma', files)
  const [old] = (
    await collected('example.com/gamma', files, rootPin(files.get('1.root') ?? new Uint8Array()))
  ).roots.keys()
  t.equal(old, 1)
  t.equal(trust.root.version, 4)
})

await t.test('older roots that are gone cut the chain there, and nothing else', async (t) => {
  const files = served('03-gamma-root-rotated')
  files.delete('2.root')
  t.strictSame([...(await collected('example.com/gamma', files)).roots.keys()], [3, 4])
})
