/** With a fifth of a lifetime left, everybody who looks is told, with the next command. */
import t from 'tap'
import { buildImage } from '../support/images.ts'
import { pushImage, startRegistry, whyNoRegistry } from '../support/registry.ts'
import { openShiftedTown } from '../support/shifted-town.ts'

const NOON = Date.parse('2026-06-01T12:00:00Z')
const skip = (await whyNoRegistry()) ?? false

await t.test('warnings', { skip }, async (t) => {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const repo = `${registry.host}/team/app`
  for (const tag of ['1.0', 'a-1']) await pushImage(registry, 'team/app', tag, buildImage({ layers: [{ [tag]: '' }] }))
  const town = await openShiftedTown(NOON)
  t.teardown(town.close)
  const must = async (home: string, command: string) => {
    const { code, stdout, stderr } = await town.run(home, command.replaceAll('REPO', repo))
    t.equal(code, 0, stderr)
    return { stdout, stderr }
  }
  const pin = (await must('owner', 'init REPO --no-passphrase')).stdout.trim().split('\n').at(-1) ?? ''
  const key = (await must('owner', 'key generate --name team --no-passphrase')).stdout.trim()
  await must('owner', 'sign REPO:1.0')
  await must('owner', `delegation add REPO team --key ${key} --path a-*`)
  await must('owner', 'sign REPO:a-1 --role team')
  await must('consumer', pin.replace(/^tagseal /, ''))
  const LOOKS = [
    ['consumer', 'verify REPO:1.0'],
    ['consumer', 'verify REPO:a-1'],
    ['consumer', 'list REPO'],
    ['consumer', 'status REPO'],
    ['consumer', 'delegation list REPO'],
  ] as const

  await t.test('nobody is warned while more than a fifth is left', async (t) => {
    await town.sleep(290)
    for (const [home, command] of LOOKS) t.notMatch((await must(home, command)).stderr, 'warning:', command)
  })
  await t.test('then everybody is, with what renews it', async (t) => {
    await town.sleep(5)
    for (const [home, command] of LOOKS) {
      const { stderr } = await must(home, command)
      t.match(
        stderr,
        /^warning: targets of \S+ expires in 70 days: the next "tagseal sign" as targets renews it$/m,
        command,
      )
      const asksTeam = command !== 'verify REPO:1.0'
      t.equal(/^warning: team of \S+ expires in/m.test(stderr), asksTeam, `${command}: the roles that were asked`)
    }
    t.match(JSON.parse((await must('consumer', 'verify REPO:1.0 --json')).stdout), { images: [{ tag: '1.0' }] })
  })
  await t.test('whoever signs is told of what this did not renew', async (t) => {
    const { stderr } = await must('owner', 'sign REPO:1.0')
    t.notMatch(stderr, /warning: targets of/)
    t.notMatch((await must('consumer', 'verify REPO:1.0')).stderr, 'warning:')
    await must('owner', 'sign REPO:a-1')
    await town.sleep(290)
    const later = await must('owner', 'sign REPO:1.0')
    t.match(later.stderr, /^warning: root of \S+ expires in 145 days: tagseal rotate \S+ root --key ID renews it/m)
  })
})
