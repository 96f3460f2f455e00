/** The key of targets is stolen where root keys are in several homes: a ceremony replaces it, and what its thief signed is looked at after. */
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, Person } from '../../support/incident-lab.ts'

const [GOOD, EVIL] = [digestOf('good'), digestOf('evil')]
const ROTATE = ['rotate', REPOSITORY, 'targets', '--no-passphrase']

for (const [when, first, then] of [
  ['with the proposal', ['--since'], []],
  ['once it is published', [], ['--since']],
] as const) {
  await t.test(
    `whoever proposes the new key looks at what the old one signed, from a time given ${when}`,
    async (t) => {
      const { lab, owner, bob, since } = await robbed(t)
      const timed = (words: readonly string[]) => words.flatMap((word) => [word, since])
      const file = join(owner.home, 'proposal.json')
      t.match(await owner.run([...ROTATE, '--compromised', ...timed(['--since'])]), {
        code: 1,
        stderr: /targets --compromised --since \S+ --propose FILE/,
      })
      const proposed = await owner.run([...ROTATE, '--compromised', ...timed(first), '--propose', file])
      t.match(proposed, {
        code: 0,
        stderr: /once it is published, look at it from here: tagseal rotate .* --compromised/,
      })
      await signedBy(owner, bob, file)
      t.equal(await verdictOn(await lab.consumer(), 'a'), EVIL, 'it went along')

      lab.clock.now += 60_000
      await owner.sign({ later: 'good' })
      const looked = await owner.run([...ROTATE, '--compromised', ...timed(then), '--json'])
      t.equal(looked.code, 0, looked.stderr)
      t.match(JSON.parse(looked.stdout), {
        rotated: false,
        undecided: 2,
        changed: [
          { tag: 'a', before: GOOD, now: EVIL },
          { tag: 'b', before: null, now: EVIL },
        ],
        impact: { scope: ['*'], since, overBy: { because: /timestamp/ } },
      })
      const consumer = await lab.consumer()
      t.equal(await verdictOn(consumer, 'a'), 'TAG_NOT_SIGNED')
      t.equal(await verdictOn(consumer, 'later'), GOOD, 'the new key signed that')
      const again = JSON.parse(await succeeds(owner, [...ROTATE, '--compromised', '--json'])) as object
      t.match(again, { rotated: false, undecided: 2 }, 'asked again, it is the same')
      const decide = [...ROTATE, '--compromised', '--restore', 'a', '--drop', 'b', '--json']
      t.match(JSON.parse(await succeeds(owner, decide)), { rotated: false, undecided: 0 })
      t.equal(await verdictOn(consumer, 'a'), GOOD)
      t.equal(await verdictOn(consumer, 'b'), 'TAG_NOT_SIGNED')
    },
  )
}

await t.test(
  'whoever got the new key in a ceremony looks by naming it, and puts nothing of a thief back',
  async (t) => {
    const { lab, owner, bob, thief, since } = await robbed(t)
    await succeeds(thief, ['key', 'generate', '--no-passphrase', '--name', 'own'])
    await succeeds(thief, [
      'delegation',
      'add',
      REPOSITORY,
      'evil',
      '--path',
      'e-*',
      '--key',
      await pemOf(thief, 'own'),
    ])
    await thief.sign({ 'e-1': 'evil' })
    const pipeline = await lab.consumer()
    const key = (await succeeds(pipeline, ['key', 'generate', '--no-passphrase', '--name', 'ci'])).trim()
    const file = join(owner.home, 'proposal.json')
    const swap = ['--add-targets', await pemOf(pipeline, 'ci'), '--remove-targets', await targetsKeyOf(owner)]
    await succeeds(owner, ['root', 'propose', REPOSITORY, ...swap, '--out', file])
    await succeeds(pipeline, ['root', 'sign', file, '--yes'])
    const published = await signedBy(owner, bob, file)
    t.match(published, `rotate ${REPOSITORY} targets --key ${key.slice(0, 12)} --compromised --since TIME`)

    t.match(await pipeline.run([...ROTATE, '--compromised', '--since', since]), { code: 1, stderr: /NO_SIGNING_KEY/ })
    const look = [...ROTATE, '--key', key, '--compromised', '--since', since, '--json']
    t.match(JSON.parse(await succeeds(pipeline, look)), { rotated: false, undecided: 4 })
    t.match(JSON.parse(await succeeds(pipeline, look)), { rotated: false, undecided: 4 }, 'looked at twice')
    for (const tag of ['a', 'b', 'e-1']) t.equal(await verdictOn(await lab.consumer(), tag), 'TAG_NOT_SIGNED')
    const decide = [...ROTATE, '--compromised', '--restore', 'a', '--drop', 'all', '--json']
    t.match(JSON.parse(await succeeds(pipeline, decide)), { undecided: 0 })
    t.equal(await verdictOn(await lab.consumer(), 'a'), GOOD)
    t.equal(await verdictOn(await lab.consumer(), 'e-1'), 'TAG_NOT_SIGNED')
  },
)

await t.test('a time that was too late is mended by an earlier one, which rotates nothing', async (t) => {
  const lab = await founded(t)
  const { owner, clock } = lab
  await owner.sign({ early: 'good', late: 'good', kept: 'good', twice: 'good' })
  const { thief } = await steal(lab, owner, 'targets ')
  const [earlier] = [later(clock), await thief.sign({ early: 'evil', twice: 'evil' })]
  const [since] = [later(clock), await thief.sign({ late: 'evil', kept: 'mine', twice: 'worse' })]
  const ran = async (...words: readonly string[]) =>
    JSON.parse(await succeeds(owner, [...ROTATE, '--compromised', '--json', ...words])) as object
  t.match(await ran('--since', since, '--keep', 'kept', '--restore', 'twice'), { rotated: true, undecided: 1 })
  t.equal(await verdictOn(await lab.consumer(), 'twice'), EVIL, 'as it was at that time')
  t.match(await ran('--since', earlier), { rotated: false, undecided: 3 }, 'what was kept stays so')
  t.equal(await verdictOn(await lab.consumer(), 'early'), 'TAG_NOT_SIGNED')
  t.match(await ran('--restore', 'all'), { rotated: false, undecided: 0 })
  for (const tag of ['early', 'late', 'twice']) t.equal(await verdictOn(await lab.consumer(), tag), GOOD)
  t.equal(await verdictOn(await lab.consumer(), 'kept'), digestOf('mine'))
  const goesOn = await owner.run([...ROTATE, '--compromised', '--since', since, '--keep', 'late'])
  t.match(goesOn.stderr, /this goes on as it began: with --since/)
})

/** Two of three root keys sign, and the owner has one; a thief of the targets key moved `a` and made `b`. */
async function robbed(t: Test) {
  const names = ['alice', 'bob', 'carol']
  const lab = await founded(t, {
    init: async (owner) => {
      for (const name of names) await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])
      return [...names.flatMap((name) => ['--root-key', name]), '--root-threshold', '2']
    },
  })
  const { owner } = lab
  const { thief: bob } = await steal(lab, owner, 'bob')
  for (const name of ['bob', 'carol']) await succeeds(owner, ['key', 'remove', name, '--yes'])
  await owner.sign({ a: 'good' })
  const { thief } = await steal(lab, owner, 'targets ')
  const since = later(lab.clock)
  await thief.sign({ a: 'evil', b: 'evil' })
  return { lab, owner, bob, thief, since }
}

/** What `publish` says. */
async function signedBy(owner: Person, bob: Person, file: string): Promise<string> {
  await succeeds(owner, ['root', 'sign', file, '--yes'])
  const copy = join(bob.home, 'copy.json')
  await copyFile(file, copy)
  await succeeds(bob, ['root', 'sign', copy, '--yes'])
  return (await owner.run(['root', 'publish', file, copy])).stderr
}

async function targetsKeyOf(owner: Person): Promise<string> {
  const { keys } = JSON.parse(await succeeds(owner, ['key', 'list', '--json'])) as {
    readonly keys: readonly { readonly id: string; readonly name?: string }[]
  }
  return keys.find(({ name }) => name?.startsWith('targets ') === true)?.id ?? ''
}

async function pemOf(person: Person, name: string): Promise<string> {
  const path = join(person.home, `${name}.pem`)
  await writeFile(path, await succeeds(person, ['key', 'export', name]))
  return path
}

function later(clock: Founded['clock']): string {
  clock.now += 60_000
  const text = new Date(clock.now).toISOString()
  clock.now += 60_000
  return text
}
