import t from 'tap'
import { Kek } from '../../keys/kek.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { makeOnlineKey, openOnlineKey } from '../../keys/online.ts'
import { randomBytes } from '../../keys/random.ts'
import { seal, unseal } from '../../keys/sealed.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import { everythingShown, refuseLeak } from '../support/secrets.ts'
import { listed } from '../support/tuf-key.ts'

const kek = new Kek(randomBytes(32), 'test')
const other = new Kek(randomBytes(32), 'test')
const secret = new TextEncoder().encode('a small secret')
const PURPOSE = ['online key', 'docker.io/team/app', 'timestamp', 'abc']

await t.test('what is sealed opens for the same purpose, and never looks the same', async (t) => {
  const [one, two] = [seal(kek, PURPOSE, secret), seal(kek, PURPOSE, secret)]
  t.strictSame(new Uint8Array(unseal(kek, PURPOSE, one)), secret)
  t.not(Buffer.compare(one, two), 0)
  t.equal(unseal(kek, [], seal(kek, [], new Uint8Array())).length, 0)
})

const sealed = seal(kek, PURPOSE, secret)
const NO: Record<string, { purpose?: string[]; blob?: Uint8Array; with?: Kek; code: string }> = {
  'for another repository': { purpose: PURPOSE.with(1, 'docker.io/team/other'), code: 'SEALED_BROKEN' },
  'for another role': { purpose: PURPOSE.with(2, 'snapshot'), code: 'SEALED_BROKEN' },
  'for another key id': { purpose: PURPOSE.with(3, 'abd'), code: 'SEALED_BROKEN' },
  'for parts that run together': {
    purpose: ['online keydocker.io/team/app', 'timestamp', 'abc', ''],
    code: 'SEALED_BROKEN',
  },
  'for fewer parts': { purpose: PURPOSE.slice(0, 3), code: 'SEALED_BROKEN' },
  'under another key-encryption key': { with: other, code: 'SEALED_OTHER_KEK' },
  'of another format': { blob: sealed.with(0, 2), code: 'SEALED_BROKEN' },
  'with another fingerprint': { blob: sealed.with(1, (sealed[1] ?? 0) ^ 1), code: 'SEALED_OTHER_KEK' },
  'with another nonce': { blob: sealed.with(9, (sealed[9] ?? 0) ^ 1), code: 'SEALED_BROKEN' },
  'with a changed secret': { blob: sealed.with(21, (sealed[21] ?? 0) ^ 1), code: 'SEALED_BROKEN' },
  'with a changed tag': { blob: sealed.with(sealed.length - 1, (sealed.at(-1) ?? 0) ^ 1), code: 'SEALED_BROKEN' },
  'with a tag cut short': { blob: sealed.subarray(0, -1), code: 'SEALED_BROKEN' },
  'of a header alone': { blob: sealed.subarray(0, 21), code: 'SEALED_BROKEN' },
  'of nothing': { blob: new Uint8Array(), code: 'SEALED_BROKEN' },
}
for (const [name, { purpose = PURPOSE, blob = sealed, with: key = kek, code }] of Object.entries(NO)) {
  await t.test(`does not open a blob ${name}`, async (t) => {
    t.throws(() => unseal(key, purpose, blob), { name: 'KeyError', code })
  })
}

await t.test('an online key signs for its own role of its own repository alone', async (t) => {
  const role = { repository: 'docker.io/team/app', role: 'timestamp' } as const
  const key = await makeOnlineKey(kek, role)
  const signer = openOnlineKey(kek, role, key)
  t.strictSame(signer.public, key.public)
  const payload = new TextEncoder().encode('a timestamp')
  const fields = toTufFields(key.public)
  t.equal(nativeSuite.open(listed(fields))?.verify(payload, await signer.sign(payload)), true)
  signer.close()
  await t.rejects(signer.sign(payload), { code: 'KEY_CLOSED' })
  const moved = { ...role, repository: 'docker.io/team/other' }
  t.throws(() => openOnlineKey(kek, moved, key), { code: 'SEALED_BROKEN' })
  t.throws(() => openOnlineKey(kek, { ...role, role: 'snapshot' }, key), { code: 'SEALED_BROKEN' })
  t.throws(() => openOnlineKey(other, role, key), { code: 'SEALED_OTHER_KEK' })
})

await t.test('a key-encryption key shows only its fingerprint, and is refused when it is not random', async (t) => {
  const bytes = randomBytes(32)
  const copy = bytes.slice()
  const shown = new Kek(bytes, 'test')
  refuseLeak(t, everythingShown(shown) + everythingShown(Object.entries(shown)), copy, 'the key')
  t.match(everythingShown(shown), shown.fingerprint)
  shown.close()
  t.ok(bytes.every((byte) => byte === 0))
  for (const bad of [
    new Uint8Array(32),
    new Uint8Array(32).fill(7),
    randomBytes(31),
    randomBytes(33),
    new Uint8Array(),
  ]) {
    t.throws(() => new Kek(bad, 'test'), { name: 'KeyError', code: 'KEK_MALFORMED' })
  }
})
