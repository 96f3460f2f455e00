import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { tryDocument } from '../support/guide.ts'

const namesIn = (folder: string, suffix: string) =>
  readdirSync(fileURLToPath(new URL(folder, import.meta.url)))
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length))

await tryDocument(t, 'README.md')

await t.test('every guide is tried, each in a file of its own, for some take long', async (t) => {
  t.strictSame(namesIn('guides', '.test.ts'), namesIn('../../docs/guides', '.md'))
})
