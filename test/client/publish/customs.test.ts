import t from 'tap'
import { customsOf, isDue } from '../../../client/publish/customs.ts'
import { notaryCodec, roleName, tufCodec } from '../../../tuf/index.ts'

const DAY_MS = 86_400_000
const NOTARY = customsOf(notaryCodec)
const TUF = customsOf(tufCodec)

await t.test('a new role', async (t) => {
  for (const name of ['targets/releases', 'targets/a/b', 'targets/a-b_1']) {
    await t.test(`is taken as ${name} by Notary`, async (t) => t.equal(NOTARY.newRole(roleName(name)), name))
  }
  for (const name of ['releases', 'targets', 'targets/', 'targets/A', 'targets/a.b', 'targets//a', 'root/a']) {
    await t.test(`is not taken as ${name} by Notary`, async (t) => {
      t.throws(() => NOTARY.newRole(roleName(name)), { name: 'TrustError', code: 'MALFORMED' })
    })
  }
  await t.test('is delegated by the role whose name begins its own, in Notary alone', async (t) => {
    t.equal(NOTARY.parentOf(roleName('targets/a/b')), 'targets/a')
    t.equal(NOTARY.parentOf(roleName('targets/a')), 'targets')
    t.equal(TUF.parentOf(roleName('a/b')), undefined)
  })
})

await t.test('what a role may sign', async (t) => {
  await t.test('is a prefix in Notary and a pattern in TUF', async (t) => {
    t.same(NOTARY.scope(['1.', '']), { kind: 'path-prefixes', prefixes: ['1.', ''] })
    t.same(TUF.scope(['1.*']), { kind: 'paths', paths: ['1.*'] })
  })
  await t.test('is every tag where nothing is said', async (t) => {
    t.same(NOTARY.scope([]), { kind: 'path-prefixes', prefixes: [''] })
    t.same(TUF.scope([]), { kind: 'paths', paths: ['*'] })
  })
  await t.test('is every tag where a star says so', async (t) => {
    t.same(NOTARY.scope(['*', 'a*']), { kind: 'path-prefixes', prefixes: ['', 'a*'] })
    t.same(TUF.scope(['*']), { kind: 'paths', paths: ['*'] })
  })
  await t.test('cannot be nothing in TUF', async (t) => {
    t.throws(() => TUF.scope(['']), { name: 'TrustError', code: 'MALFORMED' })
  })
})

await t.test('only TUF has room for the name of the repository', async (t) => {
  t.equal(NOTARY.naming(new Map(), 'example.com/a').size, 0)
  t.equal(TUF.naming(new Map(), 'example.com/a').size, 1)
})

await t.test('a root of Notary is due two years before its end, one of TUF a hundred and forty-six days', async (t) => {
  const due = (codec: typeof tufCodec, days: number) => isDue(codec, 'root', days * DAY_MS, 0)
  t.same([due(notaryCodec, 729), due(notaryCodec, 731)], [true, false])
  t.same([due(tufCodec, 145), due(tufCodec, 147)], [true, false])
})
