import t from 'tap'
import { parseSpelledOut, parseTagged } from '../../../client/commands/images.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const APP = 'registry.example.com/team/app'

const CASES: Record<string, { text: string; tag?: string }> = {
  'a tag': { text: `${APP}:1.4`, tag: '1.4' },
  'latest by its name': { text: `${APP}:latest`, tag: 'latest' },
  'latest by its name with a digest': { text: `${APP}:latest@${DIGEST}`, tag: 'latest' },
  'a short name with its tag': { text: 'alpine:latest', tag: 'latest' },
  'a repository and nothing else': { text: APP },
  'a repository at a registry with a port': { text: '127.0.0.1:5000/latest' },
  'a digest and no tag': { text: `${APP}@${DIGEST}` },
}
for (const [name, { text, tag }] of Object.entries(CASES)) {
  await t.test(`${tag === undefined ? 'refuses' : 'takes'} ${name} for what is spelled out`, async (t) => {
    if (tag === undefined) t.throws(() => parseSpelledOut(text), { code: 'USAGE' })
    else t.equal(parseSpelledOut(text).tag, tag)
  })
}

await t.test('elsewhere a repository alone is its latest, as docker reads it', async (t) => {
  t.equal(parseTagged(APP).tag, 'latest')
})
