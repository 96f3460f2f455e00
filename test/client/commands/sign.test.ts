/** What `tagseal sign` says before it signs, and of what it does not sign. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf } from '../../support/cli.ts'
import { buildImage } from '../../support/images.ts'
import { tagsealHere } from '../../support/in-process.ts'
import { pushImage, whyNoRegistry } from '../../support/registry.ts'
import { openTown, pinFrom } from '../../support/town.ts'
import type { Person } from '../../support/town.ts'

const skip = (await whyNoRegistry()) ?? false
const town = skip ? undefined : await openTown({}, tagsealHere)
t.teardown(() => town?.close())

async function repositoryOf(t: Test, owner: Person, path: string) {
  if (town === undefined) throw new Error('it is skipped')
  const name = `${town.registry.host}/${path}`
  for (const tag of ['1', 'latest', 'team-1']) await pushImage(town.registry, path, tag, buildImage())
  const made = await owner.run(['init', name, '--no-passphrase'])
  t.equal(made.code, 0, made.stderr)
  return { name, pin: pinFrom(made) }
}

await t.test('of two repositories, one that is refused keeps the other from being signed', { skip }, async (t) => {
  const [owner, other] = await Promise.all([town?.person(), town?.person()])
  if (owner === undefined || other === undefined) return
  const [own, foreign] = [await repositoryOf(t, owner, 'one/own'), await repositoryOf(t, other, 'one/foreign')]
  const sign = () => owner.run(['sign', `${own.name}:1`, `${foreign.name}:1`])
  const signed = async () => documentOf(await owner.run(['--json', 'list', own.name])) as { tags: object[] }
  for (const code of ['NOT_PINNED', 'NO_SIGNING_KEY']) {
    await t.test(code, async (t) => {
      t.equal(codeOf(await sign()), code)
      t.same((await signed()).tags, [])
      await owner.run(foreign.pin)
    })
  }
  await t.test('and where both can be signed, both are', async (t) => {
    const mine = await repositoryOf(t, owner, 'one/more')
    const ran = await owner.run(['sign', `${own.name}:1`, `${mine.name}:1`])
    t.equal(ran.code, 0, ran.stderr)
    t.equal(ran.stdout.trim().split('\n').length, 2)
  })
})

await t.test('a repository alone is signed as its latest, and that is said', { skip }, async (t) => {
  const owner = await town?.person()
  if (owner === undefined) return
  const { name } = await repositoryOf(t, owner, 'two/app')
  for (const [command, says] of [
    ['sign', 'to be signed'],
    ['history', 'shown'],
  ] as const) {
    const ran = await owner.run([command, name])
    t.equal(ran.code, 0, ran.stderr)
    t.match(ran.stderr, `names no tag: ${name}:latest is ${says}`)
  }
  const spelled = await owner.run(['sign', `${name}:latest`])
  t.notMatch(spelled.stderr, /names no tag/)
})

await t.test('what was not pushed is named as it was looked for', { skip }, async (t) => {
  const owner = await town?.person()
  if (owner === undefined) return
  const { name } = await repositoryOf(t, owner, 'six/app')
  const unpushed = name.replace('six', 'seven')
  t.equal((await owner.run(['init', unpushed, '--no-passphrase'])).code, 0)
  const digest = `sha256:${'0'.repeat(64)}`
  const named = await owner.run(['sign', `${name}:1`, '--digest', digest])
  t.match(named.stderr, `the registry has no ${name}@${digest} (UNKNOWN_MANIFEST)`)
  const untagged = await owner.run(['sign', unpushed])
  t.match(untagged.stderr, `the registry has no ${unpushed}:latest (UNKNOWN_MANIFEST)`)
})

await t.test('a team hears why it does not sign, in words that fit a team', { skip }, async (t) => {
  const [owner, team] = await Promise.all([town?.person(), town?.person()])
  if (owner === undefined || team === undefined) return
  const { name, pin } = await repositoryOf(t, owner, 'three/app')
  const key = (await team.run(['key', 'generate', '--no-passphrase', '--name', 'team'])).stdout.trim()
  const file = join(team.home, 'team.pem')
  await writeFile(file, (await team.run(['key', 'export', key])).stdout)
  await team.run(pin)
  const add = ['delegation', 'add', name, 'team', '--key', file, '--path', 'team-*']
  t.equal((await owner.run(add)).code, 0)

  await t.test('the owner signed the same digest, so that nothing needs to be signed', async (t) => {
    t.equal((await owner.run(['sign', `${name}:team-1`, '--role', 'targets'])).code, 0)
    const ran = await team.run(['sign', `${name}:team-1`])
    t.equal(codeOf(ran), 'TAG_SHADOWED')
    t.match(ran.stderr, /signs the same digest[^]*hint: nothing needs to be signed/)
    t.equal((await owner.run(['revoke', `${name}:team-1`])).code, 0)
  })
  await t.test('its key is one of the role no more', async (t) => {
    const next = (await owner.run(['key', 'generate', '--no-passphrase'])).stdout.trim()
    t.equal((await owner.run(['rotate', name, 'team', '--key', next])).code, 0)
    const ran = await team.run(['sign', `${name}:team-1`])
    t.equal(codeOf(ran), 'NO_SIGNING_KEY')
    t.match(ran.stderr, /no key here counts for a role that may sign team-1: targets, team/)
    t.match(ran.stderr, /hint: [^\n]*ask whoever delegates/)
    t.notMatch(ran.stderr, /tagseal rotate/)
  })
})

await t.test('a proposal that cannot be written says so in a sentence', { skip }, async (t) => {
  const owner = await town?.person()
  if (owner === undefined) return
  const { name } = await repositoryOf(t, owner, 'four/app')
  const ran = await owner.run(['root', 'propose', name, '--renew', '--out', '/nonexistent/x.json'])
  t.same([ran.code, codeOf(ran)], [3, 'IO'])
  t.match(ran.stderr, '/nonexistent/x.json: it cannot be written: there is no such folder')
  t.match(ran.stderr, 'hint: check /nonexistent/x.json, and who may use it')
})

await t.test('a root that is published asks nobody for a signature any more', { skip }, async (t) => {
  const owner = await town?.person()
  if (owner === undefined) return
  const { name } = await repositoryOf(t, owner, 'five/app')
  const file = join(owner.home, 'root.json')
  t.equal((await owner.run(['root', 'propose', name, '--renew', '--out', file])).code, 0)
  const early = await owner.run(['root', 'status', file])
  t.match(early.stdout, /needs 1 more/)
  t.notMatch(early.stdout, /published/)
  const unsigned = await readFile(file)
  t.match((await owner.run(['root', 'sign', file, '--yes'])).stdout, /is signed by/)
  t.equal((await owner.run(['root', 'publish', file])).code, 0)

  await writeFile(file, unsigned)
  const signed = await owner.run(['root', 'sign', file, '--yes'])
  t.same([signed.code, signed.stdout], [0, `root 2 of ${name} is published already\n`])
  t.same(await readFile(file), unsigned, 'nothing was signed')
  t.match((await owner.run(['root', 'status', file])).stdout, /it is published already/)
  t.notMatch((await owner.run(['root', 'status', file, '--offline'])).stdout, /published/)
})
