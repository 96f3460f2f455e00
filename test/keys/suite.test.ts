import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { suiteContract } from '../contracts/suite.ts'

const SUITES = { native: nativeSuite, portable: portableSuite }

for (const [name, suite] of Object.entries(SUITES)) {
  await t.test(`the ${name} suite`, (t) => suiteContract(t, suite))
}
