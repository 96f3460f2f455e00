import t from 'tap'
import { givenDelegation, givenRole, typed } from '../../../client/commands/role-names.ts'
import { newRoleName, refusePattern } from '../../../tuf/index.ts'

await t.test('what somebody typed and the rules refuse is wrongly called', async (t) => {
  for (const name of ['root', 'Team', 'a/../b', '1.x', '']) {
    t.throws(() => typed(() => newRoleName(name)), { code: 'USAGE' }, name)
  }
  t.throws(() => typed(() => refusePattern('../x')), { code: 'USAGE' })
  t.throws(() => givenRole(''), { code: 'USAGE' })
  t.throws(
    () =>
      typed(() => {
        throw new Error('another')
      }),
    { message: 'another' },
  )
})

await t.test('the roles of hash bins are not changed by themselves', async (t) => {
  for (const name of ['bins', 'bin-00', 'bins/x', 'bin-3f/x']) {
    t.throws(() => givenDelegation(name), { code: 'USAGE' }, name)
  }
  for (const name of ['binaries', 'bin', 'bin-release', 'targets']) t.equal(givenDelegation(name), name)
  t.equal(givenRole('bins'), 'bins', 'but they may be signed as')
})
