import t from 'tap'
import { instant, keyId, roleName, threshold, version } from '../../../tuf/index.ts'

const TABLE: readonly (readonly [what: string, make: (value: unknown) => unknown, good: unknown[], bad: unknown[]])[] =
  [
    ['version', version, [1, 2 ** 53 - 1], [0, -1, 1.5, 2 ** 53, Number.NaN, '1', null, undefined, true, [1]]],
    ['threshold', threshold, [1, 99], [0, -1, 0.5, '0', '1', null, false, {}, Object.create(null)]],
    ['key id', keyId, ['a', 'x'.repeat(512)], ['', 'x'.repeat(513), 1, null, {}]],
    ['role name', roleName, ['a', '__proto__', '../x', 'x'.repeat(512)], ['', 'x'.repeat(513), 1, null, undefined]],
    ['instant', instant, [0, -1, Date.UTC(2026, 0)], [Number.NaN, 0.5, Infinity, '0', null, new Date()]],
  ]
for (const [what, make, good, bad] of TABLE) {
  await t.test(`a ${what}`, async (t) => {
    for (const value of good) t.equal(make(value), value)
    for (const value of bad) t.throws(() => make(value), { name: 'TrustError', code: 'MALFORMED' })
  })
}
