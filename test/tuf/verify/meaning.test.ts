import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { besidesOf, isSameTarget } from '../../../tuf/index.ts'
import type { TargetFile } from '../../../tuf/index.ts'

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)]
const PLAIN: TargetFile = { length: 7, hashes: new Map([['sha256', A]]), unknown: new Map() }
const custom = { list: [1, null], name: 'x' }
const RICH: TargetFile = {
  ...PLAIN,
  hashes: new Map([...PLAIN.hashes, ['sha512', B.repeat(2)]]),
  custom,
  unknown: new Map([
    ['one', 1],
    ['two', 2],
  ]),
}
const reversed = <V>(members: ReadonlyMap<string, V>) => new Map([...members].toReversed())

type Case = { readonly a?: TargetFile; readonly b: TargetFile; readonly isSame?: true; readonly besides?: 'the same' }
const CASES: Record<string, Case> = {
  'the same': { b: { ...PLAIN, hashes: new Map(PLAIN.hashes) }, isSame: true, besides: 'the same' },
  'another length': { b: { ...PLAIN, length: 8 }, besides: 'the same' },
  'another digest': { b: { ...PLAIN, hashes: new Map([['sha256', B]]) }, besides: 'the same' },
  'a hash more': { b: { ...PLAIN, hashes: RICH.hashes } },
  'a hash of another name': { b: { ...PLAIN, hashes: new Map([['sha512', A]]) }, besides: 'the same' },
  'custom data': { b: { ...PLAIN, custom: null } },
  'a member more': { b: { ...PLAIN, unknown: new Map([['x', 1]]) } },
  'all members in another order': {
    a: RICH,
    b: {
      ...RICH,
      hashes: reversed(RICH.hashes),
      custom: { name: 'x', list: [1, null] },
      unknown: reversed(RICH.unknown),
    },
    isSame: true,
    besides: 'the same',
  },
  'other custom data': { a: RICH, b: { ...RICH, custom: { ...custom, name: 'y' } } },
  'another second hash': { a: RICH, b: { ...RICH, hashes: new Map([...RICH.hashes, ['sha512', A.repeat(2)]]) } },
}
for (const [name, { a = PLAIN, b, isSame = false, besides }] of Object.entries(CASES)) {
  await t.test(`a target with ${name} means ${isSame ? 'the same' : 'something else'}`, async (t) => {
    t.equal(isSameTarget(a, b), isSame)
    t.equal(isSameTarget(b, a), isSame)
    t.equal(besidesOf(a, nativeSuite) === besidesOf(b, nativeSuite), besides !== undefined)
  })
}

await t.test('a digest and a length have nothing beside them', async (t) => {
  t.equal(besidesOf(PLAIN, nativeSuite), '')
  t.equal(besidesOf({ ...PLAIN, hashes: new Map([['sha512', B.repeat(2)]]) }, nativeSuite), '')
  t.match(besidesOf(RICH, nativeSuite), /^[0-9a-f]{64}$/)
})
