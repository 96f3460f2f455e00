/** Content that nobody with a key ever signed: metadata without a good signature, and other bytes under a signed name. */
import { mkdir, readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { openRepository } from '../../client/trust/repository.ts'
import { nextTargets, ROOT, SNAPSHOT, TARGETS, TIMESTAMP } from '../../tuf/index.ts'
import type { Metadata } from '../../tuf/index.ts'
import { openLab, refuseAll, sealText } from '../support/attack-lab.ts'
import type { Attack } from '../support/attack-lab.ts'
import { context, newKey, setTag, signFile, signTargets } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import { signingKey } from '../support/signing-key.ts'
import type { SigningKey } from '../support/signing-key.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

const THIEF = signingKey()
const EVIL = new Map([['1.0', targetOf('evil')]])

/** New targets with an evil digest, signed as `seal` does, listed by honest online keys. */
const forged =
  (seal: (simulator: Simulator, body: Metadata) => Uint8Array): Attack['attack'] =>
  (simulator) => {
    const body = simulator.publishTargets({ set: EVIL })
    const bytes = seal(simulator, body)
    for (const name of ['targets.json', `${body.version}.targets.json`]) simulator.files.set(name, bytes)
    simulator.release()
  }
const by = (keys: (simulator: Simulator) => readonly SigningKey[]) =>
  forged((simulator, body) => simulator.seal(body, keys(simulator)))
const signersOf = (role: typeof ROOT) => (simulator: Simulator) => simulator.signers.get(role) ?? []
const stores = ['timestamp.json', 'snapshot.json']
/** The honest owner publishes over it. */
const after = (simulator: Simulator) => simulator.sign({ '1.0': targetOf('two') })
const refused = { code: 'THRESHOLD', stores, after, libraryOnly: true }

await refuseAll(t, {
  'targets that nobody signed': { ...refused, attack: by(() => []) },
  "targets signed by a stranger's key": { ...refused, attack: by(() => [THIEF]), libraryOnly: false },
  'targets signed by the root key': { ...refused, attack: by(signersOf(ROOT)) },
  'targets signed by the snapshot key': { ...refused, attack: by(signersOf(SNAPSHOT)) },
  'targets signed by the timestamp key': { ...refused, attack: by(signersOf(TIMESTAMP)) },
  "a stranger's signature under the owner's key id": {
    ...refused,
    attack: by((simulator) => signersOf(TARGETS)(simulator).map(({ id }) => ({ ...THIEF, id }))),
  },
  'a good signature over other targets': {
    ...refused,
    attack: forged((simulator, body) => {
      const honest = Buffer.from(simulator.seal({ ...simulator.targetsOf(TARGETS), version: body.version }, []))
      const signed = Buffer.from(simulator.file('2.targets.json')).toString()
      return Buffer.from(signed.replace(/"signed":.*$/, honest.toString().replace(/^.*?"signed":/, '"signed":')))
    }),
  },
  'one digit of a digest changed after signing': {
    ...refused,
    attack: forged((simulator) => {
      const file = Buffer.from(simulator.newest(TARGETS)).toString()
      return Buffer.from(file.replace(/"sha256":"(.)/, (_, digit) => `"sha256":"${digit === '0' ? '1' : '0'}`))
    }),
  },
  'a signature that is empty': {
    ...refused,
    attack: forged((simulator, body) =>
      simulator.seal(
        body,
        signersOf(TARGETS)(simulator).map((key) => ({ ...key, sign: () => new Uint8Array() })),
      ),
    ),
  },
  'a targets file of the right keys in the place of the snapshot': {
    attack: (simulator) => {
      simulator.files.set('snapshot.json', sealText('{"_type":"targets"}', signersOf(SNAPSHOT)(simulator)))
      simulator.files.set('3.snapshot.json', simulator.newest(SNAPSHOT))
      simulator.publishTimestamp((body) => ({ ...body, snapshot: { ...body.snapshot, version: body.version } }))
    },
    code: 'MALFORMED',
    stores: ['timestamp.json'],
    libraryOnly: true,
    after,
  },
  'a tag that nobody signed': { attack: () => {}, tag: 'evil', code: 'TAG_NOT_SIGNED' },
})

await t.test('an artifact that was substituted is refused, and no file is left', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  let body = Buffer.from('two')
  const artifacts = createServer((_, response) => response.end(body))
  await new Promise<void>((resolve) => artifacts.listen(0, '127.0.0.1', resolve))
  t.teardown(() => artifacts.close())
  const folder = join(lab.folder, 'targets')
  await mkdir(folder)
  const repository = openRepository({
    metadataUrl: `${lab.url}/v2/app/_trust/tuf/`,
    pin: { kind: 'root', bytes: lab.simulator.anchor() },
    stateDir: join(lab.folder, 'library'),
  })
  t.teardown(repository.close)
  const targetsUrl = `http://127.0.0.1:${(artifacts.address() as AddressInfo).port}/`
  const download = () => repository.download('1.0', { targetsUrl, folder })
  for (const [wrong, code] of [
    ['two', 'HASH_MISMATCH'],
    ['on', 'HASH_MISMATCH'],
    ['', 'HASH_MISMATCH'],
    ['one and more', 'TOO_LARGE'],
  ] as const) {
    body = Buffer.from(wrong)
    await t.rejects(download(), { code }, JSON.stringify(wrong))
    t.same(await readdir(folder), [])
  }
  body = Buffer.from('one')
  await t.resolves(download())
})

await refuseUploads(t, {
  'targets that nobody signed': {
    send: async ({ owner, now }) => ({ targets: await signFile(nextTargets(owner.targets, {}, context(now))) }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  "targets signed by a stranger's key": {
    send: async ({ owner, now }) => ({
      targets: await signFile(nextTargets(owner.targets, {}, context(now)), await newKey()),
    }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'targets signed by the root key': {
    send: async ({ owner, now }) => ({
      targets: await signFile(nextTargets(owner.targets, {}, context(now)), owner.rootKey),
    }),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'targets that were changed after signing': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      return {
        targets: Buffer.from(
          Buffer.from(await signTargets(owner))
            .toString()
            .replace('1000', '1001'),
        ),
      }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
})
