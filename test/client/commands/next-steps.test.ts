/** What somebody is told who has other keys, another token or another name than it takes: the next step must be theirs. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { codeOf } from '../../support/cli.ts'
import { founded, openIncidentLab, REPOSITORY, succeeds } from '../../support/incident-lab.ts'
import type { Person } from '../../support/incident-lab.ts'

const lab = await founded(t)
const { owner } = lab
const team = await lab.consumer()
const generated = (person: Person) => succeeds(person, ['key', 'generate', '--no-passphrase'])
const file = join(team.home, 'team.pem')
await writeFile(file, await succeeds(team, ['key', 'export', (await generated(team)).trim()]))
const add = ['delegation', 'add', REPOSITORY, 'releases', '--key', file, '--path', '1.*', '--path', 'stable']
await succeeds(owner, add)
await team.sign({ '1.1': 'good' })

await t.test('a team that signs a tag of the owner hears which ones are its own', async (t) => {
  await t.rejects(team.sign({ unsigned: 'good' }), {
    code: 'NO_SIGNING_KEY',
    message: 'the keys here may sign 1.* and stable (releases), not unsigned',
    hint: /^ask whoever holds targets to sign it, or to delegate it(?!.*rotate)/,
  })
})

await t.test('a machine with no key of the repository hears which are needed', async (t) => {
  const stranger = await lab.consumer()
  await t.rejects(stranger.sign({ unsigned: 'good' }), { code: 'NO_SIGNING_KEY', message: /^targets needs 1/ })
})

await t.test('a team that rotates its own role is sent to whoever delegates to it', async (t) => {
  const ran = await team.run(['rotate', REPOSITORY, 'releases', '--compromised', '--no-passphrase'])
  t.equal(codeOf(ran), 'NO_SIGNING_KEY')
  t.match(ran.stderr, `ask whoever has it to run: tagseal rotate ${REPOSITORY} releases\n`)
  t.notMatch(ran.stderr, `rotate ${REPOSITORY} targets`)
})

await t.test(
  'a team that rotates what is not its own is sent to the holders of the keys before it hears of lost ones',
  async (t) => {
    for (const rest of [
      ['rotate', REPOSITORY, 'targets'],
      ['delegation', 'remove', REPOSITORY, 'releases'],
    ]) {
      const ran = await team.run(rest)
      t.equal(codeOf(ran), 'NO_SIGNING_KEY')
      t.match(ran.stderr, /hint: tagseal key list; one of these is needed: [0-9a-f]{12}; ask whoever holds it; /)
    }
  },
)

await t.test('a delegated role that got a new key ends with how its pipeline gets it', async (t) => {
  const ran = await owner.run(['rotate', REPOSITORY, 'releases', '--compromised', '--no-passphrase'])
  t.equal(ran.code, 0, ran.stderr)
  const id = ran.stdout.trim().split(' ').at(-1)?.slice(0, 12)
  t.match(ran.stderr, `\ntagseal key export ${id} --private --new-passphrase-file FILE > ${id}.pem\n`)
  t.match(
    ran.stderr,
    new RegExp(`\\ntagseal key import ${id}\\.pem --old-passphrase-file FILE --passphrase-file \\S+\\n$`),
  )
  t.match(ran.stderr, 'could have changed the one tag that matches 1.*, stable')
  t.match(
    ran.stderr,
    /may still believe the old key, until they ask the server again: 127\.0\.0\.0\/24 \(was last given /,
  )
  t.match(ran.stderr, /nobody has asked again and got the new state \(timestamp \d+ or later\)\n/)
})

await t.test('a repository that is mistyped is compared with the pins before a server is missed', async (t) => {
  const ran = await owner.run(['revoke', `${REPOSITORY}s:1.0`], { TAGSEAL_SERVER: '' })
  t.equal(codeOf(ran), 'NOT_PINNED')
  t.match(ran.stderr, /hint: compare the name with "tagseal trust list"/)
})

await t.test('an init that is refused says which keys it made, and the next one takes them', async (t) => {
  const closed = await openIncidentLab(t, { open: false })
  const person = await closed.person()
  const token = join(person.home, 'token')
  await writeFile(token, `tst_${'A'.repeat(43)}`, { mode: 0o600 })
  const init = ['init', REPOSITORY, '--no-passphrase']
  const first = await person.run(init, { TAGSEAL_TOKEN_FILE: token })
  t.equal(codeOf(first), 'UNAUTHORIZED')
  t.match(first.stderr, `does not take the token in ${token}`)
  t.match(first.stderr, /hint: [^\n]*tagseal-server token list/)
  const kept = /kept for the next tagseal init of it: key ([0-9a-f]{12}) and ([0-9a-f]{12})\n/.exec(first.stderr)
  t.same(
    (await succeeds(person, ['key', 'list'])).match(/^[0-9a-f]{12}/gm)?.toSorted(),
    kept?.slice(1).toSorted(),
    first.stderr,
  )
  const second = await person.run(init)
  t.match(second.stderr, /asks for a token[^]*hint: give a token with --token-file FILE/)
  t.notMatch(second.stderr, /kept for the next/)
})
