import { assert, constantFrom, property, string } from 'fast-check'
import t from 'tap'
import { mayMeet } from '../../../client/publish/scope-overlap.ts'
import type { Scope } from '../../../tuf/index.ts'
import { matchesPath } from '../../../tuf/verify/glob.ts'

const paths = (...texts: readonly string[]): Scope => ({ kind: 'paths', paths: texts })
const prefixes = (...texts: readonly string[]): Scope => ({ kind: 'path-prefixes', prefixes: texts })

const CASES: Readonly<Record<string, readonly [one: Scope, other: Scope, meet: boolean]>> = {
  'the same pattern': [paths('r-*'), paths('r-*'), true],
  'two beginnings that differ': [paths('b-*'), paths('r-*'), false],
  'a beginning and an end': [paths('a-*'), paths('*-b'), true],
  'a beginning and an end that leave no room for each other': [paths('a?'), paths('b?'), false],
  'a mark that needs a letter, and nothing': [paths('a?'), paths('a'), false],
  'a star that needs none': [paths('a*'), paths('a'), true],
  'stars on both sides of what the other has': [paths('*x*'), paths('a*b'), true],
  'one of several': [paths('b-*', 'c-*'), paths('r-*', 'c-1*'), true],
  'another number of parts': [paths('*'), paths('*/*'), false],
  'a longer prefix': [prefixes('qa-'), prefixes('qa-1'), true],
  'every tag, as a prefix': [prefixes(''), prefixes('qa-'), true],
  'prefixes that part': [prefixes('qa-'), prefixes('stage-'), false],
  'hash prefixes, of which nobody knows': [paths('a'), { kind: 'hash-prefixes', prefixes: ['00'] }, true],
}
for (const [name, [one, other, meet]] of Object.entries(CASES)) {
  await t.test(`${meet ? 'some tag is in' : 'no tag is in'} ${name}`, async (t) => {
    t.equal(mayMeet(one, other), meet)
    t.equal(mayMeet(other, one), meet)
  })
}

await t.test('it agrees with what matches, for every text of a few letters', async (t) => {
  const letters = ['a', 'b']
  const longer = (texts: readonly string[]) => texts.flatMap((text) => letters.map((letter) => text + letter))
  const texts: string[] = ['']
  for (let length = 0, last = texts.slice(); length < 6; length++) texts.push(...(last = longer(last)))
  const pattern = string({ unit: constantFrom('a', 'b', '*', '?'), maxLength: 3 })
  assert(
    property(pattern, pattern, (a, b) => {
      // Two patterns of three meet, if at all, in a text of six.
      return mayMeet(paths(a), paths(b)) === texts.some((text) => matchesPath(a, text) && matchesPath(b, text))
    }),
  )
  t.pass()
})
