import t from 'tap'
import { openExpiryLog } from '../../../client/verdict/expiring.ts'
import { roleName, TARGETS } from '../../../tuf/index.ts'
import { DAY, NOW, Simulator, targetOf } from '../../support/simulator.ts'
import { NAME, openVerdictLab } from '../../support/verdict-lab.ts'

const TEAM = roleName('team')

await t.test('a service logs of each file, once, that it expires soon, delegated roles among them', async (t) => {
  const lines: Readonly<Record<string, unknown>>[] = []
  const simulator = new Simulator()
  simulator.sign({ '1.0': targetOf('one') })
  simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
  simulator.sign({ 'team-1': targetOf('two') }, TEAM)
  const clock = { now: NOW as number }
  const answered = openExpiryLog({ clock: () => clock.now, log: (entry) => lines.push(entry) })
  const lab = openVerdictLab({ simulator, answered })
  t.teardown(lab.close)
  const judge = async (...tags: readonly string[]) => {
    for (const tag of tags) await lab.verdicts.judge({ name: NAME, tag })
  }
  const pass = (milliseconds: number) => {
    lab.pass(milliseconds)
    simulator.now += milliseconds
    clock.now += milliseconds
    simulator.release()
  }
  await judge('1.0')
  t.same(lines, [], 'nothing while more than a fifth of its life is left')

  pass(20 * DAY)
  await judge('1.0', '1.0')
  t.match(lines, [{ event: 'expires soon', repository: NAME, role: TARGETS, message: /expires in 70 days: / }])
  t.equal(lines.length, 1)

  pass(60_000)
  await judge('team-1', '1.0')
  t.match(lines.slice(1), [{ event: 'expires soon', role: TEAM, expires: /Z$/ }], 'the role that was asked, too')

  pass(60_000)
  await judge('team-1', '1.0')
  t.equal(lines.length, 2, 'and none of them again')
  simulator.sign({ '1.0': targetOf('three') })
  pass(60_000)
  await judge('1.0')
  t.equal(lines.length, 2, 'nor what was renewed')
})
