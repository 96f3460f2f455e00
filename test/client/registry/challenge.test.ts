import * as fc from 'fast-check'
import t from 'tap'
import { type Challenge, parseChallenges } from '../../../client/registry/challenge.ts'

type Plain = readonly [scheme: string, parameters: Record<string, string>, token68?: string]

const CASES: Record<string, { readonly headers: readonly string[]; readonly read: readonly Plain[] }> = {
  'what Docker Hub sends': {
    headers: [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    ],
    read: [
      [
        'bearer',
        { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
      ],
    ],
  },
  'several headers': {
    headers: ['Basic realm=a', 'Bearer realm=b'],
    read: [
      ['basic', { realm: 'a' }],
      ['bearer', { realm: 'b' }],
    ],
  },
  'several challenges in one header': {
    headers: ['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],
    read: [
      ['newauth', { realm: 'apps', type: '1', title: 'Login to "apps"' }],
      ['basic', { realm: 'simple' }],
    ],
  },
  'commas and equals signs in quotes': {
    headers: ['Basic realm="a, Bearer b=c"'],
    read: [['basic', { realm: 'a, Bearer b=c' }]],
  },
  'any case of scheme and names, keeping values': { headers: ['bEARER REALM=Ab'], read: [['bearer', { realm: 'Ab' }]] },
  'blanks around the equals sign': { headers: ['Basic realm \t=  "a"'], read: [['basic', { realm: 'a' }]] },
  'empty list elements': {
    headers: [', ,Basic realm=a,, ,charset=x,'],
    read: [['basic', { realm: 'a', charset: 'x' }]],
  },
  'a scheme without anything': { headers: ['Negotiate'], read: [['negotiate', {}]] },
  'schemes without anything, listed': {
    headers: ['Negotiate, Basic realm=a'],
    read: [
      ['negotiate', {}],
      ['basic', { realm: 'a' }],
    ],
  },
  'a token68': {
    headers: ['Negotiate YWJj/+==, Basic realm=a'],
    read: [
      ['negotiate', {}, 'YWJj/+=='],
      ['basic', { realm: 'a' }],
    ],
  },
  'an escape of an ordinary letter': { headers: ['Basic realm="\\a\\\\b"'], read: [['basic', { realm: 'a\\b' }]] },
  'an empty quoted string': { headers: ['Basic realm=""'], read: [['basic', { realm: '' }]] },
  'a challenge before a syntax error': {
    headers: ['Basic realm=a, Bearer realm="b'],
    read: [
      ['basic', { realm: 'a' }],
      ['bearer', {}],
    ],
  },
  'nothing after a missing comma': { headers: ['Basic realm=a Bearer realm=b'], read: [['basic', { realm: 'a' }]] },
  'nothing of a challenge that names a parameter twice': {
    headers: ['Bearer realm="https://good", realm="https://evil"'],
    read: [],
  },
  'the same, in another case': { headers: ['Bearer realm="https://good", REALM="https://evil"'], read: [] },
  'nothing of garbage': { headers: ['="', '', ',,,', '"Basic"', '\u0000'], read: [] },
  'names that objects have': {
    headers: ['Basic __proto__=a, constructor=b'],
    read: [['basic', JSON.parse('{"__proto__":"a","constructor":"b"}')]],
  },
}

await t.test('reads', async (t) => {
  for (const [name, { headers, read }] of Object.entries(CASES)) {
    await t.test(name, async (t) =>
      t.same(
        parseChallenges(headers).map(plain),
        read.map((one) => [one[0], Object.entries(one[1]), one[2]]),
      ),
    )
  }
})

await t.test('a header cannot bring more than a handful of challenges', async (t) => {
  t.equal(parseChallenges([Array.from({ length: 500 }, (_, at) => `S${at} a=b`).join(', ')]).length, 16)
  t.equal(parseChallenges([`S ${Array.from({ length: 500 }, (_, at) => `p${at}=b`).join(', ')}`]).length, 0)
})

await t.test('any challenges that are written are read back', async (t) => {
  const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
  const parameters = fc.uniqueArray(fc.tuple(token, fc.string()), {
    minLength: 1,
    maxLength: 4,
    selector: ([name]) => name,
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(token, parameters), { minLength: 1, maxLength: 4 }), (challenges) => {
      const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`
      const text = challenges.map(
        ([scheme, all]) => `${scheme} ${all.map(([n, v]) => `${n}=${quoted(v)}`).join(' , ')}`,
      )
      const read = parseChallenges([text.join(',')]).map(({ scheme, parameters }) => [scheme, [...parameters]])
      return JSON.stringify(read) === JSON.stringify(challenges)
    }),
  )
  t.pass()
})

await t.test('nothing makes it throw, or take long', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 200 }),
      (text) => parseChallenges([text, `Basic ${text}`]).length >= 0,
    ),
  )
  t.same(parseChallenges([`Bearer realm="${'\\'.repeat(100_000)}`]).map(plain), [['bearer', [], undefined]])
})

function plain({ scheme, parameters, token68 }: Challenge): unknown {
  return [scheme, [...parameters], token68]
}
