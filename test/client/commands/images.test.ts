import t from 'tap'
import { VerdictError } from '../../../client/verdict/errors.ts'
import { tagsealHere } from '../../support/in-process.ts'
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

await t.test('verify and pull say which tag is meant where none is named, unless they are to be quiet', async (t) => {
  const said = /^registry\.example\.com\/team\/app names no tag: registry\.example\.com\/team\/app:latest is meant$/m
  const home = t.testdir()
  const stderrOf = async (...args: readonly string[]) => (await tagsealHere(['--home', home, ...args])).stderr
  t.match(await stderrOf('verify', 'registry.example.com/team/app'), said)
  t.match(await stderrOf('pull', 'registry.example.com/team/app', '--engine', 'skopeo', '--output', home), said)
  t.notMatch(await stderrOf('verify', '--quiet', 'registry.example.com/team/app'), said)
  t.notMatch(await stderrOf('verify', 'registry.example.com/team/app:latest'), said)
})

await t.test('a hint names the repository and the role that it is about', async (t) => {
  const image = 'registry.example.com:5000/team/app:1.0'
  t.equal(
    new VerdictError('THRESHOLD_REQUIRED', { image, role: 'releases', need: 2, have: 1 }).hint,
    'have its threshold raised: tagseal delegation add registry.example.com:5000/team/app releases --threshold 2',
  )
  t.equal(
    new VerdictError('ROLE_REQUIRED', { image, role: 'qa', found: undefined }).hint,
    `have that role sign the same image: tagseal sign ${image} --role qa`,
  )
})
