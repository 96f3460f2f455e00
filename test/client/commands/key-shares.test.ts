/** `tagseal key export --split` and `tagseal key import SHARE...`, by the real program. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf, tagseal } from '../../support/cli.ts'

function place(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-shares-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
  const env = { HOME: dir, TAGSEAL_PASSPHRASE_FILE: join(dir, 'passphrase') }
  const run = (home: string, ...args: string[]) =>
    tagseal(args, { cwd: dir, env: { ...env, TAGSEAL_HOME: join(dir, home) } })
  return { dir, run }
}

await t.test('a key goes into five shares, and any three of them bring it back under its name', async (t) => {
  const { dir, run } = place(t)
  const id = (await run('alice', 'key', 'generate', '--name', 'root of Alice')).stdout.trim()
  const split = await run('alice', 'key', 'export', 'root of Alice', '--split', '3/5')
  t.equal(split.code, 0, split.stderr)
  const files = split.stdout.trim().split('\n')
  t.equal(files.length, 5)
  t.equal(statSync(join(dir, files[0] ?? '', '..')).mode & 0o777, 0o700)
  for (const file of files) t.equal(statSync(join(dir, file)).mode & 0o777, 0o400)
  await t.test('no file is overwritten, and none of a new set is left beside them', async (t) => {
    const again = await run('alice', 'key', 'export', id, '--split', '2/9', '--out', join(dir, files[0] ?? '', '..'))
    t.equal(again.code, 0, 'shares of another count have other names')
    const before = readFileSync(join(dir, files[4] ?? ''))
    const same = await run('alice', 'key', 'export', id, '--split', '2/5')
    t.equal(codeOf(same), 'FILE_EXISTS')
    t.equal(same.code, 1)
    t.strictSame(readFileSync(join(dir, files[4] ?? '')), before)
  })
  const back = await run('bob', 'key', 'import', files[4] ?? '', files[0] ?? '', files[2] ?? '')
  t.equal(back.code, 0, back.stderr)
  t.equal(back.stdout.trim(), id)
  t.match((await run('bob', 'key', 'list')).stdout, /root of Alice/)
  await t.test('too few are refused, with how many there should be', async (t) => {
    const few = await run('carol', '--json', 'key', 'import', files[4] ?? '', files[0] ?? '')
    t.equal(few.code, 1)
    t.match(documentOf(few), { error: { code: 'SHARES_TOO_FEW', detail: { id, need: 3, have: 2 } } })
    t.match((await run('carol', '--json', 'key', 'list')).stdout, /"keys": \[\]/)
  })
  await t.test('a share among other keys is a mistake', async (t) => {
    writeFileSync(join(dir, 'other.pem'), (await run('alice', 'key', 'export', id)).stdout)
    t.equal(codeOf(await run('carol', 'key', 'import', files[0] ?? '', 'other.pem')), 'USAGE')
  })
})

const WRONG: Record<string, readonly string[]> = {
  'one of five, which would be a copy of the key': ['--split', '1/5'],
  'more than there are': ['--split', '6/5'],
  'no number of shares': ['--split', 'three of five'],
  'more shares than a field has points': ['--split', '3/256'],
  'a passphrase, which shares have none of': ['--split', '3/5', '--new-passphrase-file', 'passphrase'],
  'a private key and shares at once': ['--split', '3/5', '--private'],
  'a folder for what goes to the output': ['--out', 'shares'],
}
for (const [name, options] of Object.entries(WRONG)) {
  await t.test(`refuses ${name}`, async (t) => {
    const { dir, run } = place(t)
    const ran = await run('alice', 'key', 'export', 'any', ...options)
    t.equal(ran.code, 2)
    t.equal(codeOf(ran), 'USAGE')
    t.strictSame(readdirSync(dir), ['passphrase'])
  })
}

await t.test('a private key that leaves without a passphrase of its own is told which option names one', async (t) => {
  const { run } = place(t)
  await run('alice', 'key', 'generate', '--name', 'root')
  for (const command of [
    ['export', 'root', '--private'],
    ['passwd', 'root'],
  ]) {
    const ran = await run('alice', 'key', ...command)
    t.match([ran.code, codeOf(ran)], [2, 'USAGE'])
    t.match(ran.stderr, /^hint: give --new-passphrase-file FILE, or --no-passphrase$/m)
  }
})
