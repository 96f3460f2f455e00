/** A stolen key of a team whose delegator several people sign together: no machine replaces it alone. */
import t from 'tap'
import type { Test } from 'tap'
import { roleName } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'

const [GOOD, EVIL] = [digestOf('good'), digestOf('evil')]
const TEAM = roleName('team')

await t.test("a team's only key is replaced by the others' leave, without what its thief signed", async (t) => {
  const { lab, owner, bob, team, since } = await town(t, ['member'])
  const rotate = ['rotate', REPOSITORY, 'team', '--compromised']
  const ran = await owner.run([...rotate, '--since', since, '--no-passphrase', '--json'])
  t.match(
    [ran.code, JSON.parse(ran.stdout)],
    [
      1,
      {
        rotated: false,
        undecided: 2,
        pending: [{ roles: [{ role: 'targets' }] }],
        error: { code: 'APPROVAL_PENDING' },
      },
    ],
  )
  t.equal(await verdictOn(await lab.consumer(), 'moved'), EVIL, 'nothing is published')
  const again = await owner.run([...rotate, '--since', since, '--no-passphrase', '--json'])
  t.equal(proposalIn(again.stdout), proposalIn(ran.stdout), 'asked again, it is the same, with the same new key')
  t.match(again.stderr, /warning: out until you decide: moved/)

  const shown = await bob.run(['approve', REPOSITORY, proposalIn(ran.stdout)])
  t.match(shown.stdout + shown.stderr, /moved/, 'the others are shown what is out')
  await succeeds(bob, ['approve', REPOSITORY, proposalIn(ran.stdout), '--yes'])
  t.equal(await verdictOn(await lab.consumer(), 'moved'), 'TAG_NOT_SIGNED')
  await t.rejects(team.thief.sign({ moved: 'evil' }, { role: TEAM }), { code: 'NO_SIGNING_KEY' })

  await succeeds(owner, [...rotate, '--restore', 'moved', '--drop', 'all'])
  t.equal(await verdictOn(await lab.consumer(), 'moved'), GOOD)
  t.equal(await verdictOn(await lab.consumer(), 'made'), 'TAG_NOT_SIGNED')
})

await t.test('one of two keys of a team is replaced, and the other one stays', async (t) => {
  const { lab, owner, bob, team, since } = await town(t, ['member', 'other'])
  const rotate = ['rotate', REPOSITORY, 'team', '--stolen', team.id, '--since', since, '--restore', 'moved']
  const ran = await owner.run([...rotate, '--no-passphrase', '--json'])
  t.equal(ran.code, 1, ran.stderr)
  await succeeds(bob, ['approve', REPOSITORY, proposalIn(ran.stdout), '--yes', '--without-registry'])
  t.equal(await verdictOn(await lab.consumer(), 'moved'), GOOD)
  await t.rejects(team.thief.sign({ moved: 'evil' }, { role: TEAM }), { code: 'NO_SIGNING_KEY' })
  await team.other?.sign({ later: 'good' }, { role: TEAM })
  t.equal(await verdictOn(await lab.consumer(), 'later'), GOOD)
})

await t.test('what is decided for a team of which several sign waits for them as well', async (t) => {
  const { lab, owner, other, since } = await twoOfTwo(t)
  const rotate = ['rotate', REPOSITORY, 'team', '--no-passphrase', '--json']
  const begun = await owner.run([...rotate, '--stolen', 'member', '--since', since])
  await succeeds(other, ['approve', REPOSITORY, proposalIn(begun.stdout), '--yes', '--without-registry'])
  t.equal(await verdictOn(await lab.consumer(), 'moved'), 'TAG_NOT_SIGNED')
  const decide = [...rotate, '--compromised', '--restore', 'moved', '--drop', 'made']
  const decided = await owner.run(decide)
  t.match([decided.code, JSON.parse(decided.stdout)], [1, { undecided: 2, error: { code: 'APPROVAL_PENDING' } }])
  await succeeds(other, ['approve', REPOSITORY, proposalIn(decided.stdout), '--yes', '--without-registry'])
  t.equal(await verdictOn(await lab.consumer(), 'moved'), GOOD)
  t.match(JSON.parse(await succeeds(owner, decide)), { undecided: 0 }, 'then it counts')
})

await t.test('in many repositories, what waits for others is not done', async (t) => {
  const { owner, bob, team } = await town(t, ['member'])
  const rotate = ['rotate', REPOSITORY, '--all-with-key', team.id, '--compromised', '--no-passphrase', '--json']
  const ran = await owner.run(rotate)
  t.match([ran.code, JSON.parse(ran.stdout)], [1, { rotated: [], notDone: [{ code: 'APPROVAL_PENDING' }] }])
  const { pending } = JSON.parse(await succeeds(bob, ['approve', REPOSITORY, '--json'])) as {
    pending: readonly { readonly proposal: string }[]
  }
  await succeeds(bob, ['approve', REPOSITORY, pending[0]?.proposal ?? '', '--yes'])
  t.match(JSON.parse(await succeeds(owner, rotate)), { rotated: [], notDone: [] })
})

/** Owner and Bob sign `targets` together; a thief has the first key of the team, and moved and made a tag with it. */
async function town(t: Test, members: readonly string[]) {
  const names = ['own', 'bob']
  const lab = await founded(t, {
    async init(owner) {
      for (const name of [...names, ...members]) {
        await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])
      }
      return [...names.flatMap((name) => ['--targets-key', name]), '--targets-threshold', '2']
    },
  })
  const { owner, clock } = lab
  await succeeds(owner, [
    'delegation',
    'add',
    REPOSITORY,
    'team',
    '--path',
    '*',
    ...members.flatMap((name) => ['--key', name]),
  ])
  const moved = async (name: string) => {
    const { thief: person, id } = await steal(lab, owner, name)
    await succeeds(owner, ['key', 'remove', name, '--yes'])
    return { person, id }
  }
  const { person: bob } = await moved('bob')
  const { person: thief, id } = await moved('member')
  const other = members.includes('other') ? (await moved('other')).person : undefined
  clock.now += 1000
  await thief.sign({ moved: 'good' }, { role: TEAM })
  clock.now += 60_000
  const since = new Date(clock.now).toISOString()
  clock.now += 60_000
  await thief.sign({ moved: 'evil', made: 'evil' }, { role: TEAM })
  return { lab, owner, bob, team: { thief, id, other }, since }
}

/** Two of two sign as the team: the owner has the key `member`, which is stolen, and somebody else has the other. */
async function twoOfTwo(t: Test) {
  const lab = await founded(t)
  const { owner, clock } = lab
  for (const name of ['member', 'other']) await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])
  const keys = ['--threshold', '2', '--key', 'member', '--key', 'other']
  await succeeds(owner, ['delegation', 'add', REPOSITORY, 'team', '--path', '*', ...keys])
  await owner.sign({ moved: 'good' }, { role: TEAM })
  clock.now += 60_000
  const since = new Date(clock.now).toISOString()
  clock.now += 60_000
  await owner.sign({ moved: 'evil', made: 'evil' }, { role: TEAM })
  const { thief: other } = await steal(lab, owner, 'other')
  await succeeds(owner, ['key', 'remove', 'other', '--yes'])
  return { lab, owner, other, since }
}

function proposalIn(stdout: string): string {
  const { pending } = JSON.parse(stdout) as { readonly pending: readonly { readonly proposal: string }[] }
  return pending[0]?.proposal ?? ''
}
