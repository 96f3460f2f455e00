import t from 'tap'
import { covers, isPattern } from '../../../server/auth/pattern.ts'

const CASES: readonly [pattern: string, name: string, covered: boolean][] = [
  ['registry.example.com/team/app', 'registry.example.com/team/app', true],
  ['registry.example.com/team/app', 'registry.example.com/team/app2', false],
  ['registry.example.com/team/*', 'registry.example.com/team/app', true],
  ['registry.example.com/team/*', 'registry.example.com/team/app/tools', false],
  ['registry.example.com/team/*', 'registry.example.com/team', false],
  ['registry.example.com/team/**', 'registry.example.com/team/app/tools', true],
  ['registry.example.com/team-*/app', 'registry.example.com/team-a/app', true],
  ['registry.example.com/team-*/app', 'registry.example.com/team-a/b/app', false],
  ['*/app', 'registry.example.com/app', true],
  ['**/app', 'registry.example.com/team/app', true],
  ['**', 'registry.example.com:5000/team/app', true],
  ['*', 'registry.example.com', true],
  ['*', 'registry.example.com/a', false],
  ['registry.example.com', 'registryXexample.com', false],
  ['registry.example.com/*', 'evil.example/registry.example.com/a', false],
  ['a*b*c', 'aXbYc', true],
  ['a*b*c', 'aXbY', false],
]
for (const [pattern, name, covered] of CASES) {
  await t.test(`${pattern} ${covered ? 'covers' : 'does not cover'} ${name}`, async (t) => {
    t.equal(covers(pattern, name), covered)
  })
}

await t.test('a pattern made to be slow is not', async (t) => {
  const started = performance.now()
  t.equal(covers('*a'.repeat(120), `${'a'.repeat(250)}b`), false)
  t.ok(performance.now() - started < 500)
})

for (const text of ['', 'a b', '***', 'a//b', '/a', 'a/', 'a?b', 'ä', 'x'.repeat(256)]) {
  await t.test(`${JSON.stringify(text.slice(0, 20))} is no pattern`, async (t) => t.notOk(isPattern(text)))
}
