import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ensureFolder } from '../../keys/folder.ts'

const dir = t.testdir()
writeFileSync(join(dir, 'file'), '')

await t.test('makes what is missing, for its owner alone', async (t) => {
  ensureFolder(join(dir, 'a', 'b', 'c'))
  for (const name of ['a', 'a/b', 'a/b/c']) t.equal(statSync(join(dir, name)).mode & 0o777, 0o700, name)
  t.doesNotThrow(() => ensureFolder(join(dir, 'a', 'b')), 'and is content with what is there')
  t.doesNotThrow(() => ensureFolder('/'))
})

const CASES: Record<string, { path: string; code: string }> = {
  'below a file': { path: join(dir, 'file', 'x'), code: 'ENOTDIR' },
  'where a file is': { path: join(dir, 'file'), code: 'EEXIST' },
  'where the system takes none': { path: '/proc/tagseal', code: 'ENOENT' },
  'below what the system does not take': { path: '/proc/tagseal/x', code: 'ENOENT' },
}
for (const [name, { path, code }] of Object.entries(CASES)) {
  await t.test(`ends ${name}`, { skip: process.platform === 'linux' ? false : 'Linux only' }, async (t) => {
    t.throws(() => ensureFolder(path), { code })
  })
}
