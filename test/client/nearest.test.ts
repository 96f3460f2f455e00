import t from 'tap'
import { nearest } from '../../client/nearest.ts'

const CASES: Readonly<Record<string, readonly [typed: string, known: readonly string[], meant: string | undefined]>> = {
  'two letters that changed places': ['nigthly', ['releases', 'nightly'], 'nightly'],
  'other capitals': ['Nightly', ['nightly'], 'nightly'],
  'the closer of two': ['release', ['releases-x', 'releases'], 'releases'],
  'nothing for another word': ['nightly', ['releases', 'team'], undefined],
  'nothing where nothing is known': ['nightly', [], undefined],
}
for (const [name, [typed, known, meant]] of Object.entries(CASES)) {
  await t.test(`finds ${name}`, async (t) => {
    t.equal(nearest(typed, known), meant)
  })
}
