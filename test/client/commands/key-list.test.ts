/** `tagseal key list` and `tagseal key remove` over keys of every kind, some of them damaged. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf } from '../../support/cli.ts'
import { tagsealHere } from '../../support/in-process.ts'
import { privateFolder } from '../../support/secrets.ts'
import { exampleSigner } from '../../support/signers.ts'

/** A machine with two keys in files, and one that a program keeps. */
async function machineWithKeys(t: Test) {
  const home = privateFolder(t)
  const run = (...args: string[]) => tagsealHere(args, { env: { TAGSEAL_HOME: home } })
  const generate = async (name: string) =>
    (await run('key', 'generate', '--name', name, '--no-passphrase')).stdout.trim()
  const [first, second] = [await generate('first'), await generate('second')]
  const kept = (await run('key', 'import', exampleSigner(t, 'ed25519'), '--name', 'kept')).stdout.trim()
  const dir = join(home, 'keys')
  t.same(readdirSync(dir).toSorted(), [`${first}.pem`, `${kept}.ref`, `${second}.pem`].toSorted())
  return { run, first, second, kept, dir }
}

const BAD: Record<string, { file: 'first' | 'kept'; harm: (path: string) => void; code: string; hint: RegExp }> = {
  'a key file that others can read': {
    file: 'first',
    harm: (path) => chmodSync(path, 0o644),
    code: 'KEY_PERMISSIONS',
    hint: /hint: chmod 400 .*\.pem/,
  },
  'a key file that was damaged': {
    file: 'first',
    harm: (path) => damage(path),
    code: 'KEY_MALFORMED',
    hint: /hint: .*original/,
  },
  'a reference that was damaged': {
    file: 'kept',
    harm: (path) => damage(path),
    code: 'KEY_MALFORMED',
    hint: /hint: .*original/,
  },
}

function damage(path: string): void {
  chmodSync(path, 0o600)
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, 60))
  chmodSync(path, 0o400)
}

for (const [name, { file, harm, code, hint }] of Object.entries(BAD)) {
  await t.test(`${name} is named with what mends it, and hides no other`, async (t) => {
    const { run, dir, ...ids } = await machineWithKeys(t)
    const { [file]: bad } = ids
    const path = readdirSync(dir).find((entry) => entry.startsWith(bad)) ?? ''
    harm(join(dir, path))
    const others = Object.values(ids).filter((id) => id !== bad)
    const ran = await run('key', 'list')
    t.equal(ran.code, 1)
    for (const id of others) t.match(ran.stdout, id)
    t.notMatch(ran.stdout, bad)
    t.equal(codeOf(ran), code)
    t.match(ran.stderr, path)
    t.match(ran.stderr, hint)
    const listed = documentOf(await run('--json', 'key', 'list')) as { keys: { id: string }[]; failed: object[] }
    t.same(listed.keys.map(({ id }) => id).toSorted(), others.toSorted())
    t.match(listed.failed, [{ code }])
  })
}

await t.test(
  'removing a key says what is lost: a key in a file for good, and of one kept elsewhere where it is',
  async (t) => {
    const { run, first, kept, dir } = await machineWithKeys(t)
    const inFile = await run('key', 'remove', 'first')
    t.equal(inFile.code, 2)
    t.match(inFile.stderr, /gone for good[^]*--private/)
    const elsewhere = await run('key', 'remove', 'kept')
    t.equal(elsewhere.code, 2)
    t.match(elsewhere.stderr, /would forget that key [0-9a-f]{12} is in exec:[^]*stays there/)
    t.notMatch(elsewhere.stderr, /--private|for good/)
    t.match((await run('key', 'remove', 'kept', '--yes')).stdout, `forgot key ${kept}, which stays in exec:`)
    t.match((await run('key', 'remove', 'first', '--yes')).stdout, `removed key ${first}`)
    t.equal(readdirSync(dir).length, 1)
  },
)

const UNUSABLE: Record<string, { make: (path: string) => void; why: RegExp }> = {
  'is not there': { make: () => undefined, why: /there is no such file/ },
  'is empty': { make: (path) => writeFileSync(path, '', { mode: 0o600 }), why: /it is empty/ },
  'is a folder': { make: (path) => mkdirSync(path), why: /it is a folder/ },
}
for (const [name, { make, why }] of Object.entries(UNUSABLE)) {
  await t.test(`a passphrase file that ${name} is called that`, async (t) => {
    const home = privateFolder(t)
    const path = join(home, 'passphrase')
    make(path)
    const ran = await tagsealHere(['--passphrase-file', path, 'key', 'generate'], { env: { TAGSEAL_HOME: home } })
    t.equal(ran.code, 2)
    t.equal(codeOf(ran), 'PASSPHRASE_UNUSABLE')
    t.match(ran.stderr, why)
    t.match(ran.stderr, /hint: .*--passphrase-file/)
  })
}

await t.test(
  'a key that is only named by where it is cannot be forgotten, and one in a file stays there',
  async (t) => {
    const home = privateFolder(t)
    const run = (...args: string[]) => tagsealHere(args, { env: { TAGSEAL_HOME: home } })
    const reference = exampleSigner(t, 'ed25519')
    for (const more of [[], ['--yes']]) {
      const ran = await run('key', 'remove', reference, ...more)
      t.same([ran.code, codeOf(ran)], [2, 'KEY_NOT_FOUND'])
      t.match(ran.stderr, 'hint: tagseal key list')
    }
    t.equal((await run('key', 'import', reference)).code, 0)
    t.match((await run('key', 'remove', reference, '--yes')).stdout, /^forgot key/)
  },
)

await t.test('a key beside a damaged one', async (t) => {
  const { run, first, second, dir } = await machineWithKeys(t)
  damage(join(dir, `${first}.pem`))
  await t.test('is found by the beginning of its id, and by its name', async (t) => {
    for (const wanted of [second.slice(0, 8), 'second']) {
      const ran = await run('key', 'export', wanted)
      t.match(ran, { code: 0, stdout: /BEGIN PUBLIC KEY/ })
    }
  })
  await t.test('is not taken for the damaged one', async (t) => {
    for (const wanted of [first, first.slice(0, 8), 'first']) {
      const ran = await run('key', 'remove', wanted, '--yes')
      t.equal(codeOf(ran), 'KEY_MALFORMED', wanted)
      t.match(ran.stderr, `${first}.pem`)
    }
    t.equal(readdirSync(dir).length, 3, 'and nothing is removed')
  })
  await t.test('is not found by a beginning that both have', async (t) => {
    const twin = `${second.slice(0, 10)}${'0'.repeat(54)}`
    writeFileSync(join(dir, `${twin}.pem`), 'damaged', { mode: 0o400 })
    const ran = await run('key', 'remove', second.slice(0, 8), '--yes')
    t.equal(codeOf(ran), 'KEY_AMBIGUOUS')
    t.match(ran.stderr, twin)
    t.match((await run('key', 'export', second)).stdout, /BEGIN PUBLIC KEY/)
  })
})
