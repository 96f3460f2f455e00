import t from 'tap'
import { TrustError, isTrustError } from '../../tuf/index.ts'
import type { TrustCode, TrustFailures } from '../../tuf/index.ts'

const SENTENCES: { readonly [C in TrustCode]: readonly [TrustFailures[C], string] } = {
  MALFORMED: [{ what: 'threshold', got: '0' }, 'malformed threshold: 0'],
  TOO_LARGE: [{ what: 'root', limit: 10 }, 'root is larger than 10 bytes'],
  EXPIRED: [
    { role: 'root', expired: Date.UTC(2026, 5, 1), now: Date.UTC(2026, 5, 2) },
    'root expired at 2026-06-01T00:00:00Z, and it is now 2026-06-02T00:00:00Z',
  ],
  ROLLBACK: [{ role: 'targets', trusted: 3, got: 2 }, 'targets went back from version 3 to 2'],
  ROLE_DISAPPEARED: [{ role: 'team', trusted: 3 }, 'team was listed at version 3 and is listed no more'],
  THRESHOLD: [{ role: 'root', need: 2, have: 1 }, 'root needs 2 valid signatures and has 1'],
  VERSION_MISMATCH: [{ role: 'root', expected: 2, got: 3 }, 'root should be version 2 and is 3'],
  HASH_MISMATCH: [
    { what: 'snapshot', algorithm: 'sha256', expected: 'ab', got: 'cd' },
    'snapshot has sha256 cd where ab was signed',
  ],
  NO_KNOWN_HASH: [{ what: 'v1', algorithms: 'md5' }, 'v1 lists no hash that can be checked (md5)'],
  ROLE_NOT_LISTED: [{ role: 'team' }, 'the snapshot does not list team'],
  ROOT_CERTIFICATE: [
    { repository: 'a/b', why: 'a certificate has expired' },
    'no certificate in the root is good for a/b: a certificate has expired',
  ],
  OTHER_REPOSITORY: [{ role: 'team', repository: 'a/b', named: 'a/c' }, 'team is for a/c, and its root is for a/b'],
  TOO_MANY_ROLES: [{ target: 'v1', limit: 32 }, 'the search for v1 went through 32 roles without an end'],
}

for (const code of Object.keys(SENTENCES) as readonly TrustCode[]) {
  await t.test(`${code} is told in a sentence made from its facts`, async (t) => {
    const [detail, sentence] = SENTENCES[code]
    const error = new TrustError(code, detail)
    t.match(error, { name: 'TrustError', code, detail, message: sentence })
    t.ok(isTrustError(error))
  })
}

await t.test('instants that no calendar holds are told as numbers', async (t) => {
  const { message } = new TrustError('EXPIRED', { role: 'root', expired: -1e18, now: Number.MAX_SAFE_INTEGER })
  t.equal(message, 'root expired at -1000000000000000000 ms, and it is now 9007199254740991 ms')
})

await t.test('a name from outside cannot move the cursor, turn the writing round or fill the screen', async (t) => {
  const tricky = '\u001b[2J\r\nok\u202e\u2028\u0007'
  const { message } = new TrustError('ROLE_NOT_LISTED', { role: `${tricky}${'x'.repeat(1000)}` })
  t.match(message, 'the snapshot does not list \\u{1b}[2J\\u{d}\\u{a}ok\\u{202e}\\u{2028}\\u{7}xxx')
  t.equal(message.length, 401)
})

await t.test('other errors are none of these', async (t) => {
  t.notOk(isTrustError(new Error('x')))
  t.notOk(isTrustError(undefined))
})

await t.test('the cause is kept', async (t) => {
  const cause = new Error('x')
  t.equal(new TrustError('ROLE_NOT_LISTED', { role: 'x' }, { cause }).cause, cause)
})
