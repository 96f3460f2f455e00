import t from 'tap'
import { REPOSITORY_FIELD, repositoryOf } from '../../../tuf/index.ts'
import { Simulator } from '../../support/simulator.ts'

const naming = (name: string | number) => new Simulator({ unknown: new Map([[REPOSITORY_FIELD, name]]) }).root

await t.test('a root says which repository it is for, if it says anything', async (t) => {
  t.equal(repositoryOf(naming('example.com/app')), 'example.com/app')
  t.equal(repositoryOf(new Simulator().root), undefined)
  t.throws(() => repositoryOf(naming(1)), { code: 'MALFORMED' })
})
