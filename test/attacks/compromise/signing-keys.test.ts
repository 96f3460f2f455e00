/** Whoever takes a key that signs tags signs tags, until one command; and what he signed is nobody's word afterwards. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { roleName } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, FoundingOptions, Person } from '../../support/incident-lab.ts'

const GOOD = digestOf('good')
const EVIL = digestOf('evil')

type Theft = {
  readonly options?: FoundingOptions
  /** The role whose key is stolen, with its good tag made beside `1.0`. */
  readonly prepare: (lab: Founded) => Promise<void>
  readonly role: string
  /** How the stolen key is called on the owner's machine. */
  readonly key: string
  /** Tags that this role may sign. */
  readonly tag: (name: string) => string
  readonly stolen?: boolean
}

type Impact = {
  readonly scope: readonly string[]
  readonly tags: number
  readonly overBy: { readonly at: string }
  readonly consumers: { readonly behind: readonly object[] } | null
}

const as = (role: string) => ({ role: roleName(role) })
const generate = async (owner: Person, name: string) =>
  (await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])).trim()

/** A delegated role under a key of its own, kept on the owner's machine too, which plays the team. */
const delegated =
  (role: string, scope: string, ...more: readonly string[]) =>
  async (lab: Founded) => {
    const key = await generate(lab.owner, 'team')
    await writeFile(join(lab.owner.home, 'team.pem'), await succeeds(lab.owner, ['key', 'export', key]))
    const add = ['delegation', 'add', REPOSITORY, role, '--key', join(lab.owner.home, 'team.pem'), '--path', scope]
    await succeeds(lab.owner, [...add, ...more])
  }

/** Targets under two keys, one of which suffices. */
const twoKeys = async ({ owner }: Founded) => {
  const [first, second] = [await generate(owner, 'first'), await generate(owner, 'second')]
  await succeeds(owner, ['rotate', REPOSITORY, 'targets', '--key', first, '--key', second])
}

const THEFTS: Readonly<Record<string, Theft>> = {
  'the targets key': { prepare: async () => {}, role: 'targets', key: 'targets ', tag: (name) => name },
  'the targets key of a repository of Notary': {
    options: { init: () => ['--dialect', 'notary'] },
    prepare: async () => {},
    role: 'targets',
    key: 'targets ',
    tag: (name) => name,
  },
  'one of two targets keys': { prepare: twoKeys, role: 'targets', key: 'second', tag: (name) => name, stolen: true },
  "a team's key": { prepare: delegated('team', 'x-*'), role: 'team', key: 'team', tag: (name) => `x-${name}` },
  "a docker signer's key in a repository of Notary": {
    options: { init: () => ['--dialect', 'notary'] },
    prepare: async (lab) => {
      const key = (
        await succeeds(lab.owner, ['key', 'generate', '--no-passphrase', '--name', 'team', '--algorithm', 'ecdsa-p256'])
      ).trim()
      await writeFile(join(lab.owner.home, 'team.pem'), await succeeds(lab.owner, ['key', 'export', key]))
      const add = ['delegation', 'add', REPOSITORY, 'targets/releases', '--key', join(lab.owner.home, 'team.pem')]
      await succeeds(lab.owner, [...add, '--path', ''])
    },
    role: 'targets/releases',
    key: 'team',
    tag: (name) => `x-${name}`,
  },
}

for (const [name, theft] of Object.entries(THEFTS)) {
  await t.test(`somebody takes ${name}`, async (t) => {
    const lab = await founded(t, theft.options)
    const { owner, clock } = lab
    await theft.prepare(lab)
    const { tag } = theft
    const by = theft.role === 'targets' ? {} : as(theft.role)
    await owner.sign({ [tag('stays')]: 'good', [tag('moved')]: 'good', [tag('taken')]: 'good' }, by)
    const [offline, fooled] = [await lab.consumer(), await lab.consumer()]
    for (const person of [offline, fooled]) t.equal(await verdictOn(person, tag('moved')), GOOD)
    const { thief, id } = await steal(lab, owner, theft.key)

    clock.now += 60_000
    const since = new Date(clock.now).toISOString()
    clock.now += 60_000
    await thief.sign({ [tag('moved')]: 'evil', [tag('made')]: 'evil' }, by)
    await thief.revoke(tag('taken'))
    t.equal(await verdictOn(fooled, tag('moved')), EVIL, 'for as long as the key counts')
    t.equal(await verdictOn(fooled, tag('taken')), 'TAG_NOT_SIGNED')

    const fresh = await lab.consumer()
    const which = theft.stolen === true ? ['--stolen', id] : ['--compromised']
    const command = ['rotate', REPOSITORY, theft.role, ...which, '--since', since, '--no-passphrase']
    const told = await owner.run([...command, '--json'])
    t.equal(told.code, 0, told.stderr)
    await t.test('what changed since then is listed, with what it meant before', async (t) => {
      t.match(JSON.parse(told.stdout), {
        rotated: true,
        undecided: 3,
        changed: [
          { tag: tag('made'), before: null, now: EVIL, decision: null, keyids: [/./] },
          { tag: tag('moved'), before: GOOD, now: EVIL },
          { tag: tag('taken'), before: GOOD, now: null },
        ],
      })
      t.match(told.stderr, `out until you decide: ${tag('moved')}`)
    })
    await t.test('the impact names what it could touch, who was served it, and by when it is over', async (t) => {
      const { impact } = JSON.parse(told.stdout) as { impact: Impact }
      t.ok(impact.scope.length > 0 && impact.tags >= 3)
      t.match(impact.consumers?.behind, [{ who: '127.0.0.0/24' }], 'everybody here comes from one network')
      t.match(impact.overBy, { because: /timestamp/ })
      const days = (Date.parse(impact.overBy.at) - clock.now) / 86_400_000
      t.ok(days > 0 && days <= 1, 'a timestamp lives for a day')
      t.match(told.stderr, /^impact: .*\n {2}changed since .*: 3 tags/m)
    })
    const clients = { offline, fooled, fresh }
    for (const [who, person] of Object.entries(clients)) {
      await t.test(`the ${who} client is safe, with no flag given`, async (t) => {
        t.equal(await verdictOn(person, '1.0'), GOOD)
        t.equal(await verdictOn(person, tag('stays')), GOOD)
        for (const each of ['moved', 'made', 'taken'])
          t.equal(await verdictOn(person, tag(each)), 'TAG_NOT_SIGNED', `${each} is out`)
      })
    }
    await t.test('the thief signs no more', async (t) => {
      await t.rejects(thief.sign({ [tag('made')]: 'evil' }, by), { code: 'NO_SIGNING_KEY' })
    })
    await t.test('what is decided later rotates nothing', async (t) => {
      const keys = await keysOf(owner, theft.role)
      const again = ['rotate', REPOSITORY, theft.role, '--compromised', '--since', since]
      const asked = await owner.run([...again, '--json'])
      t.match([asked.code, JSON.parse(asked.stdout)], [0, { rotated: false, undecided: 3 }], asked.stderr)
      const slip = await owner.run([...again, '--restore', tag('moved'), '--keep', 'misspelt'])
      t.match(slip, { code: 2, stderr: /nothing is to be decided about misspelt/ })
      const restored = await owner.run([...again, '--restore', tag('moved'), '--json'])
      t.match([restored.code, JSON.parse(restored.stdout)], [0, { rotated: false, undecided: 2 }], restored.stderr)
      const rest = await owner.run([...again, '--drop', tag('made'), '--restore', 'all', '--json'])
      t.match([rest.code, JSON.parse(rest.stdout)], [0, { rotated: false, undecided: 0 }], rest.stderr)
      t.same(await keysOf(owner, theft.role), keys)
      for (const person of Object.values(clients)) {
        t.equal(await verdictOn(person, tag('moved')), GOOD)
        t.equal(await verdictOn(person, tag('taken')), GOOD)
        t.equal(await verdictOn(person, tag('made')), 'TAG_NOT_SIGNED')
      }
    })
    await t.test('what was decided stays decided when the command is given once more', async (t) => {
      const keys = await keysOf(owner, theft.role)
      const once = await owner.run(['rotate', REPOSITORY, theft.role, '--compromised', '--restore', 'all', '--json'])
      t.match([once.code, JSON.parse(once.stdout)], [0, { rotated: false, undecided: 0 }], once.stderr)
      t.match(once.stderr, '--stolen')
      t.same(await keysOf(owner, theft.role), keys)
    })
    if (theft.stolen === true) {
      await t.test('the other key stays', async (t) => {
        const now = await keysOf(owner, 'targets')
        t.equal(now.length, 2)
        t.notOk(now.includes(id))
      })
    }
  })
}

await t.test('decisions in the same command are carried out in the same publish', async (t) => {
  const lab = await founded(t)
  const { owner, clock } = lab
  await owner.sign({ a: 'good', b: 'good', c: 'good' })
  const { thief } = await steal(lab, owner, 'targets ')
  clock.now += 60_000
  const since = new Date(clock.now).toISOString()
  clock.now += 60_000
  await thief.sign({ a: 'evil', b: 'mine', c: 'evil' })
  const command = ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since, '--no-passphrase', '--json']
  const ran = await owner.run([...command, '--restore', 'a', '--keep', 'b', '--drop', 'all'])
  t.match([ran.code, JSON.parse(ran.stdout)], [0, { rotated: true, undecided: 0 }], ran.stderr)
  const consumer = await lab.consumer()
  const verdicts = [await verdictOn(consumer, 'a'), await verdictOn(consumer, 'b'), await verdictOn(consumer, 'c')]
  t.same(verdicts, [GOOD, digestOf('mine'), 'TAG_NOT_SIGNED'])
})

await t.test('delegations that a thief added or widened are as they were, until somebody decides', async (t) => {
  const lab = await founded(t)
  const { owner, clock } = lab
  await delegated('team', 'x-*')(lab)
  await owner.sign({ 'x-1': 'good' }, as('team'))
  const { thief } = await steal(lab, owner, 'targets ')
  const own = await generate(thief, 'own')
  await writeFile(join(thief.home, 'own.pem'), await succeeds(thief, ['key', 'export', own]))
  clock.now += 60_000
  const since = new Date(clock.now).toISOString()
  clock.now += 60_000
  const key = join(thief.home, 'own.pem')
  await succeeds(thief, ['delegation', 'add', REPOSITORY, 'nightly', '--key', key, '--path', 'n-*'])
  await succeeds(thief, ['delegation', 'add', REPOSITORY, 'team', '--key', key, '--path', '*'])
  await thief.sign({ 'n-1': 'evil' }, as('nightly'))
  await thief.sign({ 'x-1': 'evil' }, { ...as('team'), keys: [own] })
  const consumer = await lab.consumer()
  t.equal(await verdictOn(consumer, 'n-1'), EVIL)

  const command = ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since, '--no-passphrase']
  const ran = await owner.run([...command, '--json'])
  t.match(
    [ran.code, JSON.parse(ran.stdout)],
    [
      0,
      {
        undecided: 2,
        changed: [
          { delegation: 'nightly', before: null },
          {
            delegation: 'team',
            before: { scope: { patterns: ['x-*'] }, keys: [{}] },
            now: { scope: { patterns: ['*'] } },
          },
        ],
      },
    ],
    ran.stderr,
  )
  t.equal(await verdictOn(consumer, 'n-1'), 'TAG_NOT_SIGNED')
  t.equal(await verdictOn(consumer, 'x-1'), 'THRESHOLD', 'what he signed as the team counts no more')
  await t.rejects(thief.sign({ 'x-1': 'evil' }, { ...as('team'), keys: [own] }), { code: 'KEY_NOT_IN_ROLE' })
  await owner.sign({ 'x-1': 'good' }, as('team'))
  t.equal(await verdictOn(consumer, 'x-1'), GOOD)
  await t.test('a delegation that was meant comes back by its name', async (t) => {
    const decided = [
      'rotate',
      REPOSITORY,
      'targets',
      '--compromised',
      '--keep',
      'delegation:nightly',
      '--restore',
      'all',
    ]
    const kept = await owner.run([...decided, '--json'])
    t.match([kept.code, JSON.parse(kept.stdout)], [0, { undecided: 0 }], kept.stderr)
    t.equal(await verdictOn(consumer, 'n-1'), EVIL, 'somebody said so')
  })
})

await t.test('a tag that was signed anew since is decided', async (t) => {
  const { lab, since } = await robbed(t)
  await lab.owner.sign({ a: 'better' })
  const ran = await lab.owner.run([...rotation(since), '--restore', 'all', '--json'])
  t.match([ran.code, JSON.parse(ran.stdout)], [0, { undecided: 0, changed: [{ decision: 'signed' }] }], ran.stderr)
  t.equal(await verdictOn(await lab.consumer(), 'a'), digestOf('better'))
})

await t.test('a record of an incident that was edited is refused, and told where it is', async (t) => {
  const { lab, since } = await robbed(t)
  const folder = join(lab.owner.home, 'state', 'registry.example.com%2Fteam%2Fapp')
  const file = join(folder, (await readdir(folder)).find((name) => name.startsWith('incident-')) ?? '')
  for (const text of ['', '{}', '{"version":2}', 'x'.repeat(10)]) {
    await writeFile(file, text)
    const ran = await lab.owner.run(rotation(since))
    t.equal(ran.code, 2)
    t.match(ran.stderr, file)
  }
})

await t.test('a second theft while the first is undecided keeps both in mind', async (t) => {
  const { lab, since } = await robbed(t)
  const [now = ''] = await keysOf(lab.owner, 'targets')
  const ran = await lab.owner.run([...rotation(since), '--stolen', now, '--no-passphrase', '--json'])
  t.match([ran.code, JSON.parse(ran.stdout)], [0, { rotated: true, undecided: 1, changed: [{ tag: 'a' }] }], ran.stderr)
  t.not((await keysOf(lab.owner, 'targets'))[0], now)
})

function rotation(since: string): readonly string[] {
  return ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since]
}

/** `a` meant `good`, was moved by a thief, and is out. */
async function robbed(t: Test): Promise<{ lab: Founded; since: string }> {
  const lab = await founded(t)
  await lab.owner.sign({ a: 'good' })
  const { thief } = await steal(lab, lab.owner, 'targets ')
  lab.clock.now += 60_000
  const since = new Date(lab.clock.now).toISOString()
  lab.clock.now += 60_000
  await thief.sign({ a: 'evil' })
  const ran = await lab.owner.run([...rotation(since), '--no-passphrase'])
  t.equal(ran.code, 0, ran.stderr)
  lab.clock.now += 60_000
  return { lab, since }
}

async function keysOf(person: Person, role: string): Promise<readonly string[]> {
  const status = JSON.parse(await succeeds(person, ['status', REPOSITORY, '--json'])) as {
    roles: { role: string; keys: string[] }[]
  }
  return status.roles.find((each) => each.role === role)?.keys ?? []
}
