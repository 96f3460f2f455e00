/** Somebody sets this machine's clock back, so that what expired would look alive again. */
import { existsSync } from 'node:fs'
import t from 'tap'
import { codeOf } from '../support/cli.ts'
import { openLab } from '../support/attack-lab.ts'
import { DAY } from '../support/simulator.ts'

const faketime = existsSync('/usr/bin/faketime')
  ? false
  : 'SKIPPED: faketime is not installed (apt-get install faketime)'

await t.test('the library notices before it asks anything, and keeps what it has', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.library()
  const kept = await lab.kept('library')
  let asked = 0
  lab.interfere = () => ++asked < 0
  for (const back of [DAY, 30 * DAY, 20_000 * DAY, 6 * 60_000]) {
    await t.rejects(lab.library({ clock: () => Date.now() - back }), { code: 'CLOCK_WENT_BACK' }, `by ${back} ms`)
  }
  t.same([asked, await lab.kept('library')], [0, kept])
  await t.resolves(lab.library({ clock: () => Date.now() - 60_000 }), 'a minute is what clocks are corrected by')
})

await t.test('a repository that expired stays so, whatever the clock says', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.library({ clock: () => Date.now() + DAY / 2 })
  await t.rejects(lab.library({ clock: () => Date.now() + 2 * DAY }), { code: 'EXPIRED' })
  await t.rejects(lab.library({ clock: () => Date.now() }), { code: 'CLOCK_WENT_BACK' })
})

await t.test('a clock that ran ahead by mistake locks nobody out', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await t.rejects(lab.library({ clock: () => Date.now() + 10_000 * DAY }), { code: 'EXPIRED' })
  await t.resolves(lab.library())
})

await t.test('the command line notices', { skip: faketime }, async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  t.equal((await lab.command()).code, 0)
  const kept = await lab.kept('command')
  const ran = await lab.command('1.0', { through: ['faketime', '-f', '-1d'] })
  t.same([ran.code, codeOf(ran)], [1, 'CLOCK_WENT_BACK'])
  t.same(await lab.kept('command'), kept)
})
