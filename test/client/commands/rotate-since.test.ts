/** `--since 6h` is reckoned here, and what was changed since is dated by the server. */
import t from 'tap'
import { codeOf } from '../../support/cli.ts'
import { openIncidentLab, REPOSITORY } from '../../support/incident-lab.ts'

const MINUTE = 60_000
const lab = await openIncidentLab(t)
const owner = await lab.person()
t.equal((await owner.run(['init', REPOSITORY, '--no-passphrase'])).code, 0)
const rotate = (...more: readonly string[]) => owner.run(['rotate', REPOSITORY, 'targets', '--no-passphrase', ...more])

const REFUSED: Record<string, { readonly apart: number; readonly since: number }> = {
  'a server that is an hour behind': { apart: -60 * MINUTE, since: -7 * 60 * MINUTE },
  'a server that is an hour ahead': { apart: 60 * MINUTE, since: -6 * 60 * MINUTE },
  'a server that is six minutes behind': { apart: -6 * MINUTE, since: -366 * MINUTE },
}
for (const [name, { apart, since }] of Object.entries(REFUSED)) {
  await t.test(`six hours ago is refused beside ${name}, and both say which moment is meant`, async (t) => {
    lab.apart.by = apart
    const ran = await rotate('--compromised', '--since', '6h')
    t.same([ran.code, codeOf(ran)], [2, 'CLOCKS_DIFFER'])
    const [, moment = ''] = /^hint: .*--since (\S+)$/m.exec(ran.stderr) ?? []
    t.ok(Math.abs(Date.parse(moment) - (lab.clock.now + since)) < 2000, moment)
    t.match((await owner.run(['status', REPOSITORY])).stdout, /targets +version 1 /, 'and nothing is rotated')
  })
}

await t.test('a moment is taken as it is named', async (t) => {
  lab.apart.by = -60 * MINUTE
  const named = new Date(lab.clock.now - 6 * 60 * MINUTE).toISOString()
  const ran = await rotate('--compromised', '--since', named)
  t.equal(ran.code, 0, ran.stderr)
})

await t.test('minutes of difference are no matter', async (t) => {
  lab.apart.by = 4 * MINUTE
  const ran = await rotate('--compromised', '--since', '6h')
  t.not(codeOf(ran), 'CLOCKS_DIFFER', ran.stderr)
})

await t.test('so it is where one key leaves many repositories, before anything is noted', async (t) => {
  lab.apart.by = 60 * MINUTE
  const all = ['rotate', 'registry.example.com/**', '--all-with-key', 'ab'.repeat(8), '--compromised', '--since', '6h']
  t.equal(codeOf(await owner.run(all)), 'CLOCKS_DIFFER')
  lab.apart.by = 0
  t.not(codeOf(await owner.run(all)), 'CLOCKS_DIFFER')
})
