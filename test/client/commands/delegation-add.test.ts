/** Delegations that nobody can mean are refused, and nothing is published. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openIncidentLab, REPOSITORY, succeeds } from '../../support/incident-lab.ts'

const NOTARY = 'registry.example.com/team/notary'
const lab = await openIncidentLab(t)
const owner = await lab.person()
await succeeds(owner, ['init', REPOSITORY, '--no-passphrase'])
await succeeds(owner, ['init', NOTARY, '--no-passphrase', '--dialect', 'notary'])
await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', 'ci'])
await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', 'other', '--algorithm', 'ecdsa-p256'])
const add = (role: string, ...more: readonly string[]) => {
  const repository = role.startsWith('targets/') ? NOTARY : REPOSITORY
  return ['delegation', 'add', repository, role, ...more]
}
await succeeds(owner, add('nightly', '--key', 'ci', '--path', 'nightly-*'))
await succeeds(owner, add('releases', '--key', 'ci', '--path', 'r-*', '--path', 's-*'))
await succeeds(owner, add('targets/qa', '--key', 'other', '--path', 'qa-'))

const listed = async () => {
  const each = [REPOSITORY, NOTARY].map((repository) => succeeds(owner, ['delegation', 'list', repository, '--json']))
  return await Promise.all(each)
}

type Refused = { readonly role: string; readonly args: readonly string[]; readonly hint?: RegExp }
const REFUSED: Readonly<Record<string, Refused>> = {
  'a misspelt role, as it would be handed over': {
    role: 'nigthly',
    args: ['--key', 'ci'],
    hint: /^hint: did you mean nightly\? for a new role give --path/m,
  },
  'a new role like no other, without what it may sign': {
    role: 'team',
    args: ['--key', 'ci'],
    hint: /^hint: for a new role give --path PATTERN, or --path "\*"/m,
  },
  'a misspelt role of a repository of Notary': {
    role: 'targets/qs',
    args: ['--key', 'other'],
    hint: /^hint: did you mean targets\/qa\?/m,
  },
  'two signatures of one key': {
    role: 'team',
    args: ['--key', 'ci', '--path', 't-*', '--threshold', '2'],
    hint: /^hint: give it more with --key FILE/m,
  },
  'two signatures of a role that has one key': { role: 'nightly', args: ['--threshold', '2'] },
  'two signatures where the dialect knows one': { role: 'targets/qa', args: ['--key', 'ci', '--threshold', '2'] },
  'tags that the role above it may not sign': {
    role: 'releases/team-b',
    args: ['--key', 'ci', '--path', 'r-b-*', '--path', 'b-*'],
    hint: /^hint: let releases sign them first/m,
  },
  'prefixes that the role above it may not sign': {
    role: 'targets/qa/team',
    args: ['--key', 'other', '--path', 'stage-'],
    hint: /^hint: let targets\/qa sign them first/m,
  },
}
for (const [name, { role, args, hint }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const before = await listed()
    const ran = await owner.run(add(role, ...args))
    t.match([ran.code, ran.stdout, ran.stderr], [2, '', /^error: .*\(USAGE\)$/m])
    if (hint !== undefined) t.match(ran.stderr, hint)
    t.same(await listed(), before)
  })
}

await t.test('a new role may sign every tag where that is said', async (t) => {
  t.match(await succeeds(owner, add('every', '--key', 'ci', '--path', '*')), /^every may sign every tag of /)
  t.match(await succeeds(owner, add('targets/every', '--key', 'other', '--path', '*')), / may sign every tag of /)
})

await t.test('a role that is there needs nothing but the key', async (t) => {
  t.match(await succeeds(owner, add('nightly', '--key', 'other')), /^nightly may sign nightly-\* of .* 1 of 2: /)
})

await t.test('a role below another is said to be within what that may sign', async (t) => {
  const said = await succeeds(owner, add('releases/team-a', '--key', 'other', '--path', '*'))
  t.match(said, /^releases\/team-a may sign every tag of .*; only of what releases may sign: r-\* s-\*$/m)
})

await t.test('a line that "init" printed is no root, and nothing of a server', async (t) => {
  const pin = join(owner.home, 'pin.sh')
  await writeFile(pin, `tagseal trust add ${REPOSITORY} --key 00\n`)
  const ran = await owner.run(['trust', 'add', REPOSITORY, '--root', pin])
  t.match([ran.code, ran.stderr], [2, /^error: .*pin\.sh is no root: .*\(USAGE\)\nhint: .*sh FILE$/m])
})
