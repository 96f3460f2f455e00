import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readRecord, writeRecord } from '../../../client/publish/kept-record.ts'

const folder = await mkdtemp(join(tmpdir(), 'tagseal-record-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

await t.test('a record is written into a folder that is made for it, and read again', async (t) => {
  const path = join(folder, 'made', 'record')
  t.equal(readRecord(path, 100), undefined)
  await writeRecord(path, 'first')
  await writeRecord(path, 'second')
  t.equal(Buffer.from(readRecord(path, 100) ?? []).toString(), 'second')
  t.throws(() => readRecord(path, 5), { code: 'CONFIG_MALFORMED' })
})

/** What stands in the way, and is told with the name of the file. */
const WAYS: Record<string, (path: string) => Promise<unknown>> = {
  'a folder in its place': (path) => mkdir(join(path, 'full'), { recursive: true }),
  'a file in the place of its folder': (path) => writeFile(join(path, '..'), 'mine'),
}
for (const [name, block] of Object.entries(WAYS)) {
  await t.test(`names ${name}`, async (t) => {
    const own = await mkdtemp(join(folder, 'own-'))
    const path = join(own, 'state', 'record')
    if (name === 'a folder in its place') await mkdir(join(own, 'state'))
    await block(path)
    await t.rejects(writeRecord(path, 'text'), { code: 'CONFIG_UNUSABLE', detail: { path } })
    const left = await readdir(join(own, 'state')).catch(async () => [await readFile(join(own, 'state'), 'utf8')])
    t.strictSame(left, name === 'a folder in its place' ? ['record'] : ['mine'], 'nothing is left behind')
  })
}
