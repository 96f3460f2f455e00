/** Twenty repositories; `npm run campaign` has five hundred. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { digestOf, openIncidentLab, succeeds } from '../../support/incident-lab.ts'
import type { Person } from '../../support/incident-lab.ts'
import { rotateMany } from './many-repositories.ts'

const seed = (() => {
  let state = 7
  return () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
})()

await t.test('a key that leaked is rotated out of twenty repositories, interrupted again and again', async (t) => {
  await rotateMany(t, { repositories: 20, interruptions: 6, within: 120, random: seed })
})

await t.test('what cannot be done is named, and keeps nothing else from being done', async (t) => {
  const lab = await openIncidentLab(t)
  const owner = await lab.person()
  const [root, foreign, leaked] = [await make(owner, 'root'), await make(owner, 'foreign'), await make(owner, 'ci')]
  const named = (name: string) => `registry.example.com/team/${name}`
  for (const [name, key] of Object.entries({ one: root, two: foreign, three: root })) {
    await succeeds(owner, ['init', named(name), '--root-key', key, '--targets-key', leaked])
  }
  await succeeds(owner, ['init', named('root'), '--root-key', leaked, '--targets-key', root])
  await succeeds(owner, ['key', 'remove', foreign, '--yes'])
  const command = ['rotate', 'registry.example.com/**', '--all-with-key', leaked.slice(0, 16), '--no-passphrase']
  const ran = await owner.run([...command, '--json'])
  t.match(
    [ran.code, JSON.parse(ran.stdout)],
    [
      1,
      {
        repositories: 4,
        rotated: [{ repository: named('one') }, { repository: named('three') }],
        notDone: [
          { repository: named('root'), code: 'USAGE' },
          { repository: named('two'), code: 'NO_SIGNING_KEY' },
        ],
        error: { code: 'LEFT_UNDONE' },
      },
    ],
    ran.stderr,
  )
  const told = await owner.run(command)
  t.equal(told.code, 1)
  t.match(told.stdout, `not done: ${named('two')}: `)
  t.match(
    told.stderr,
    /^error: .*\(LEFT_UNDONE\)\nhint: mend what is said of each .*; then run the same command again/m,
  )

  await t.test('a file names the repositories where nobody lists them', async (t) => {
    const file = join(owner.home, 'names')
    await writeFile(file, `# those of the team\n${named('one')}\n\n${named('three')}\n`)
    const named2 = await owner.run([...command, '--repositories', file, '--json'])
    t.match([named2.code, JSON.parse(named2.stdout)], [0, { repositories: 2, rotated: [] }], named2.stderr)
    t.match(JSON.parse(named2.stdout), { complete: true, unlisted: [], outside: [] })
  })
  await t.test('a name in it that the pattern leaves out is said to be', async (t) => {
    const file = join(owner.home, 'more-names')
    await writeFile(file, `${named('one')}\ntm/app\n`)
    const ran = await owner.run([...command, '--repositories', file, '--json'])
    t.match([ran.code, JSON.parse(ran.stdout)], [0, { repositories: 1, outside: ['docker.io/tm/app'] }], ran.stderr)
    t.match(
      ran.stderr,
      /^warning: docker\.io\/tm\/app does not match registry\.example\.com\/\*\*, and is left alone$/m,
    )
  })
  await t.test('a line in it that names no repository is refused with its number', async (t) => {
    const file = join(owner.home, 'bad-names')
    await writeFile(file, `# those of the team\n${named('one')}\nbad name\n`)
    const ran = await owner.run([...command, '--repositories', file])
    t.match([ran.code, ran.stdout, ran.stderr], [2, '', /^error: .*: line 3: .*\(FILE_MALFORMED\)$/m])
  })
  const WRONG: Readonly<Record<string, readonly string[]>> = {
    'a pattern that nothing matches': ['rotate', 'elsewhere.example.com/**', '--all-with-key', leaked],
    'a pattern that is none': ['rotate', '***', '--all-with-key', leaked],
    'a file of names without the key': ['rotate', named('one'), 'targets', '--repositories', 'x'],
    'a key that is here by no such name': ['rotate', '**', '--all-with-key', 'c1'],
    'two keys that leave': ['rotate', '**', '--all-with-key', leaked, '--lost', leaked],
    'no role': ['rotate', named('one')],
  }
  for (const [name, args] of Object.entries(WRONG)) {
    await t.test(`${name} is wrongly asked`, async (t) => {
      const wrong = await owner.run(args)
      t.match([wrong.code, wrong.stderr], [2, /^error: .*\(USAGE\)/m])
    })
  }
})

await t.test('where the server refuses, the next step is a token, and only then the same command', async (t) => {
  const lab = await openIncidentLab(t, { open: false })
  const owner = await lab.person()
  const leaked = await make(owner, 'ci')
  const token = async (name: string, repository: string) => {
    return { TAGSEAL_TOKEN: await lab.server.token({ name, repository, actions: ['pull', 'push'] }) }
  }
  const all = await token('all', 'registry.example.com/**')
  for (const name of ['one', 'two']) {
    const made = await owner.run(
      ['init', `registry.example.com/${name}`, '--no-passphrase', '--targets-key', leaked],
      all,
    )
    t.equal(made.code, 0, made.stderr)
  }
  const names = join(owner.home, 'names')
  await writeFile(names, 'registry.example.com/one\nregistry.example.com/two\n')
  const command = ['rotate', '**', '--all-with-key', 'ci', '--no-passphrase', '--repositories', names]
  const CASES: Readonly<Record<string, { env: Readonly<Record<string, string>>; code: number; hint: RegExp }>> = {
    'with a token for others': {
      env: await token('other', 'registry.example.com/other/*'),
      code: 1,
      hint: /^hint: ask the server's owner: tagseal-server token create .*; then run the same command again/m,
    },
    'without a token': {
      env: {},
      code: 1,
      hint: /^hint: give a token with --token-file FILE or TAGSEAL_TOKEN_FILE; then run the same command again/m,
    },
    'with a server that is away': {
      env: { TAGSEAL_SERVER: 'http://127.0.0.1:9' },
      code: 3,
      hint: /^hint: run the same command again: it goes on where it ended/m,
    },
  }
  for (const [name, { env, code, hint }] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      t.match(await owner.run(command, env), { code, stderr: hint })
    })
  }
  t.match(await owner.run(command, all), { code: 0 })

  const unnamed = command.slice(0, -2)
  await t.test('where it does not list its repositories, those that are pinned are not said to be all', async (t) => {
    const ran = await owner.run([...unnamed, '--json'], all)
    const report = { repositories: 2, notDone: [], complete: false, unlisted: [{ code: 'DENIED' }] }
    t.match([ran.code, JSON.parse(ran.stdout)], [3, { ...report, error: { code: 'NOT_LISTED' } }], ran.stderr)
    const told = await owner.run(unnamed, all)
    t.match(told, {
      code: 3,
      stderr: /\(NOT_LISTED\)\nhint: run the same command again with a token that allows admin/m,
    })
    const one = await owner.run(['rotate', 'registry.example.com/one', ...command.slice(2, -2)], all)
    t.equal(one.code, 0, 'one that is named is all that is meant')
  })
  await t.test('where it cannot be reached for a list, nothing is said to be done', async (t) => {
    const ran = await owner.run(unnamed, { TAGSEAL_SERVER: 'http://127.0.0.1:9' })
    t.match([ran.code, ran.stdout], [3, ''])
    t.match(ran.stderr, /nothing was rotated in this run: run the same command again$[^]*\(NETWORK\)$/m)
  })
})

await t.test('what many repositories left undecided is decided by the same command', async (t) => {
  const lab = await openIncidentLab(t)
  const owner = await lab.person()
  await signTwo(owner, { '1.0': 'good' }, () => {
    lab.clock.now += 60_000
  })
  const command = ['rotate', 'registry.example.com/**', '--all-with-key', 'ci', '--compromised', '--json']
  const outcome = async (...args: readonly string[]) => {
    const ran = await owner.run([...command, '--no-passphrase', ...args])
    return [ran.code, JSON.parse(ran.stdout), ran.stderr] as const
  }
  const waits = ['one', 'two'].map((name) => ({
    repository: `registry.example.com/team/${name}`,
    role: 'targets',
    undecided: 1,
  }))
  lab.clock.now += 60_000
  t.match(await outcome('--since', '1h'), [0, { rotated: { length: 2 }, undecided: waits }])
  t.match(await outcome(), [0, { rotated: [], undecided: waits }, /team\/one: 1 undecided: tagseal rotate/])
  const slip = await owner.run([...command, '--restore', 'nope'])
  t.match([slip.code, slip.stdout], [2, /nothing is to be decided about nope in any of 2 repositories/])
  t.match(await outcome(), [0, { undecided: waits }], 'and nothing was')
  const kept = await owner.run([...command.slice(0, -1), '--keep', '1.0'])
  t.match(kept, {
    code: 0,
    stdout: /^2 decided in 2 repositories, 0 undecided\nci is listed in none of 2 repositories: 0 rot/,
  })
  t.notMatch(kept.stderr, /no repository had ci/)
  for (const { repository } of waits) t.match(await succeeds(owner, ['list', repository]), /^1\.0 /m)
  t.match(await outcome(), [0, { rotated: [], undecided: [], decided: [] }])
})

await t.test('what the key could have done is summed up', async (t) => {
  const lab = await openIncidentLab(t)
  const owner = await lab.person()
  await signTwo(owner, { '1.0': 'good', '2.0': 'good' })
  await owner.sign({ '2.0': 'evil' }, { repository: 'registry.example.com/team/one' })
  const stolen = new Date((lab.clock.now += 60_000)).toISOString()
  lab.clock.now += 60_000
  await owner.sign({ '2.0': 'good' }, { repository: 'registry.example.com/team/one' })
  lab.clock.now += 60_000
  const rotate = (pattern: string) => ['rotate', pattern, '--all-with-key', 'ci', '--compromised', '--since', stolen]
  const ran = await owner.run([...rotate('registry.example.com/**'), '--no-passphrase', '--json'])
  const since = stolen
  const impact = (changed: number) => [{ role: 'targets', changed, scope: ['*'], tags: 2, since }]
  t.match(JSON.parse(ran.stdout), { rotated: [{ impact: impact(1) }, { impact: impact(0) }] }, ran.stderr)
  t.match(ran.stderr, /^impact: the key could have changed any of 4 tags in 2 repositories, and made others$/m)
  t.match(ran.stderr, /^ {2}changed since \S+: 1 tag in 1 repository, by the record of the server$/m)
  t.match(ran.stderr, /^ {2}.*; one whom the thief cuts off from it is safe by \S+ at the latest, when the last /m)
})

await t.test('a time that was wrong is mended by rotating the key that took the place of the leaked one', async (t) => {
  const lab = await openIncidentLab(t)
  const owner = await lab.person()
  const leaked = await make(owner, 'ci')
  const foreign = await make(owner, 'foreign')
  const named = (name: string) => `registry.example.com/team/${name}`
  await succeeds(owner, ['init', named('one'), '--no-passphrase', '--targets-key', leaked])
  await succeeds(owner, ['init', named('two'), '--root-key', foreign, '--targets-key', leaked])
  const [pem, file] = [join(owner.home, 'foreign.pem'), join(owner.home, 'names')]
  await writeFile(pem, await succeeds(owner, ['key', 'export', foreign, '--private', '--no-passphrase']))
  await succeeds(owner, ['key', 'remove', foreign, '--yes'])
  const moment = () => new Date((lab.clock.now += 60_000)).toISOString()
  const signs = async (tags: Readonly<Record<string, string>>) => {
    lab.clock.now += 60_000
    await owner.sign(tags, { repository: named('one') })
  }
  await signs({ early: 'good', late: 'good' })
  const stolenAt = moment()
  await signs({ early: 'evil' })
  const tooLate = moment()
  await signs({ late: 'evil' })
  moment()
  const rotate = (key: string) => ['rotate', 'registry.example.com/**', '--all-with-key', key, '--compromised']
  const begun = await owner.run([...rotate('ci'), '--since', tooLate, '--no-passphrase', '--json'])
  t.match([begun.code, JSON.parse(begun.stdout)], [1, { rotated: [{ undecided: 1 }], notDone: { length: 1 } }])
  const later = await owner.run([...rotate('ci'), '--since', '0m'])
  t.match(later.stderr, /warning: this goes on as it began/)

  const wrong = await owner.run([...rotate('ci'), '--since', stolenAt])
  t.match(
    [wrong.code, wrong.stderr],
    [2, /this began with --since .*\n.*hint: leave --since out to go on; then .* --since/],
  )
  await succeeds(owner, ['key', 'import', pem, '--no-passphrase'])
  await succeeds(owner, rotate('ci'))
  const done = await owner.run([...rotate('ci'), '--since', stolenAt])
  const [, again = ''] = /hint: .*--all-with-key ([0-9a-f]{16}) --compromised --since/.exec(done.stderr) ?? []
  await writeFile(file, `${named('one')}\n${named('two')}\n`)
  const mended = [...rotate(again), '--since', stolenAt, '--no-passphrase', '--repositories', file, '--json']
  t.match(JSON.parse(await succeeds(owner, mended)), { rotated: [{ undecided: 2 }, { undecided: 0 }] })
  t.equal(await succeeds(owner, ['list', named('one')]), '', 'both are out')
  const decide = ['rotate', named('one'), 'targets', '--compromised', '--restore', 'early', '--keep', 'late', '--json']
  t.match(JSON.parse(await succeeds(owner, decide)), { undecided: 0, rotated: false })
  const listed = await succeeds(owner, ['list', named('one')])
  t.match(listed, new RegExp(`early +${digestOf('good')}`), 'what it meant before the first theft')
  t.match(listed, new RegExp(`late +${digestOf('evil')}`), 'what it was found to mean, though it was out in between')
})

async function make(person: Person, name: string): Promise<string> {
  return (await succeeds(person, ['key', 'generate', '--no-passphrase', '--name', name])).trim()
}

/** In two repositories under one key, `ci`. `between`: after each was made, before its tags are signed. */
async function signTwo(owner: Person, tags: Readonly<Record<string, string>>, between = () => {}): Promise<void> {
  const key = await make(owner, 'ci')
  for (const name of ['one', 'two']) {
    const repository = `registry.example.com/team/${name}`
    await succeeds(owner, ['init', repository, '--no-passphrase', '--targets-key', key])
    between()
    await owner.sign(tags, { repository })
  }
}
