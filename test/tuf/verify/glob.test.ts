import * as fc from 'fast-check'
import t from 'tap'
import { matchesPath } from '../../../tuf/index.ts'

const MATCHES: readonly (readonly [pattern: string, path: string])[] = [
  ['*', 'v1.4'],
  ['*', ''],
  ['v*', 'v1.4'],
  ['v*', 'v'],
  ['v1.?', 'v1.4'],
  ['*.4', 'v1.4'],
  ['v*.*4', 'v1.3.4'],
  ['**', 'v1'],
  ['a*b*c', 'a-b-b-c'],
  ['*/*', 'a/b'],
  ['a/*/c', 'a/b/c'],
  ['?', '😀'],
  ['é', 'é'],
  ['*', '.hidden'],
  ['[ab]', '[ab]'],
  ['a\\*', 'a\\b'],
  ['', ''],
]
const DIFFERS: readonly (readonly [pattern: string, path: string])[] = [
  ['*', 'a/b'],
  ['a*', 'a/b'],
  ['?', '/'],
  ['a?b', 'a/b'],
  ['*/*', 'a'],
  ['*/*', 'a/b/c'],
  ['**', 'a/b'],
  ['v1.?', 'v1.'],
  ['v1.?', 'v1.44'],
  ['V1', 'v1'],
  ['v1', 'v1.4'],
  ['1.4', 'v1.4'],
  ['v1.4', 'v1x4'],
  ['[ab]', 'a'],
  ['{a,b}', 'a'],
  ['??', '😀'],
  ['é', 'e\u0301'],
  ['', 'a'],
  ['a/', 'a'],
  ['/a', 'a'],
  ['.*', 'ab'],
]
for (const [pattern, path] of MATCHES) {
  await t.test(`${pattern} covers ${path}`, async (t) => t.equal(matchesPath(pattern, path), true))
}
for (const [pattern, path] of DIFFERS) {
  await t.test(`${pattern} does not cover ${path}`, async (t) => t.equal(matchesPath(pattern, path), false))
}

await t.test('agrees with a regular expression of the same meaning', async () => {
  const few = (units: string) => fc.string({ unit: fc.constantFrom(...units), maxLength: 8 })
  fc.assert(
    fc.property(few('ab/*?'), few('ab/😀'), (pattern, path) => {
      const source = pattern.replaceAll('*', '[^/]*').replaceAll('?', '[^/]')
      return matchesPath(pattern, path) === new RegExp(`^${source}$`, 'u').test(path)
    }),
    { numRuns: 2000 },
  )
})

await t.test('a pattern made to be slow is not', async (t) => {
  t.equal(matchesPath('*a'.repeat(500), `${'a'.repeat(4000)}b`), false)
})
