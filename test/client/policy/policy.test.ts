import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { PolicyError } from '../../../client/policy/errors.ts'
import { loadPolicy } from '../../../client/policy/policy.ts'
import { readDocument } from '../../../client/policy/reader.ts'
import { readPolicy } from '../../../client/policy/rules.ts'
import { parsePattern } from '../../../client/trust/pattern.ts'
import type { PinRule } from '../../../client/trust/pins.ts'
import { keyId } from '../../../tuf/index.ts'
import { madeAuthority } from '../../support/authority.ts'

const [KEY, OTHER] = ['a'.repeat(64), 'b'.repeat(64)]
const CA = await madeAuthority()
const CA_OF_PIN = await madeAuthority()
const CA_CUT = CA.slice(0, 200)
const PINNED = `pin: { keys: [${KEY}] }`

function load(t: Test, text: string, pins: readonly PinRule[] = []) {
  const path = join(
    t.testdir({ 'root.json': 'a root', 'trust-ca.pem': CA, words: 'none', two: CA + CA_CUT }),
    'policy.yaml',
  )
  writeFileSync(path, text)
  return loadPolicy(path, pins)
}

const FULL = `version: 1
defaultRegistry: docker.io
registries: [mirror.example.com]
rules:
  - pattern: registry.example.com/team/**
    pin: { keys: [${KEY}, ${OTHER}], threshold: 2 }
    server: https://trust.example.com
    ca: trust-ca.pem
    tokenFile: token
    roles: [releases, targets]
    require: { roles: [qa], threshold: 2 }
    maxAge: 10m
    signedOnce: true
    tags: all
    upstream: { registry: 10.0.0.5:5000, plainHttp: true, ca: ca.pem, login: { username: ci, passwordFile: pw } }
  - pattern: registry.example.com/team/app
    pin: { root: root.json }
  - pattern: "*.example.org/**"
    unsigned: true
  - pattern: docker.io/evil/*
    refuse: true
`

await t.test('a policy says of each repository what its most specific rule says', (t) => {
  const policy = load(t, FULL)
  const folder = policy.path.replace('/policy.yaml', '')
  t.match(policy.ruleFor('registry.example.com/team/web'), {
    kind: 'signed',
    pattern: 'registry.example.com/team/**',
    where: 'policy.yaml:5:5',
    pin: { kind: 'keys', keyids: [KEY, OTHER], threshold: 2 },
    sharedPin: true,
    server: 'https://trust.example.com/',
    serverCa: { pem: CA, yields: false },
    tokenFile: join(folder, 'token'),
    require: ['qa'],
    threshold: 2,
    maxAge: 600_000,
    signedOnce: true,
    allTags: true,
    upstream: {
      registry: '10.0.0.5:5000',
      plainHttp: true,
      ca: join(folder, 'ca.pem'),
      login: { kind: 'basic', username: 'ci', passwordFile: join(folder, 'pw') },
    },
  })
  t.match(policy.ruleFor('registry.example.com/team/app'), {
    pin: { kind: 'root', bytes: Buffer.from('a root') },
    sharedPin: false,
    serverCa: undefined,
    maxAge: 3_600_000,
    allTags: false,
    upstream: { registry: undefined, plainHttp: false, login: { kind: 'docker' } },
  })
  t.match(policy.ruleFor('a.example.org/x'), { kind: 'unsigned', allTags: true })
  t.match(policy.ruleFor('docker.io/evil/x'), { kind: 'refuse' })
  t.throws(() => policy.ruleFor('docker.io/library/alpine'), { code: 'NO_RULE' })
  t.same(
    policy.matching('registry.example.com/team/app').map(({ pattern }) => pattern),
    ['registry.example.com/team/app', 'registry.example.com/team/**'],
  )
  t.same([...policy.registries].toSorted(), ['docker.io', 'mirror.example.com', 'registry.example.com'])
  t.equal(policy.files.length, 3, 'its roots and authorities are followed as well')
  t.end()
})

await t.test('a rule without a pin goes by the pins of this machine, and refuses where there is none', (t) => {
  const pattern = parsePattern('a.io/x')
  if (pattern === undefined) throw new Error('no pattern')
  const pin = { kind: 'keys', keyids: [keyId(KEY)], threshold: 1 } as const
  const policy = load(t, 'version: 1\nrules: [{ pattern: a.io/** }]\n', [{ pattern, pin, server: 'https://t.io/' }])
  t.match(policy.ruleFor('a.io/x'), { pin, sharedPin: false, server: 'https://t.io/' })
  t.throws(() => policy.ruleFor('a.io/y'), { code: 'NOT_PINNED' })
  t.end()
})

await t.test('the authority that a pin of this machine keeps goes with its server alone', async (t) => {
  const pattern = parsePattern('a.io/x')
  if (pattern === undefined) throw new Error('no pattern')
  const pin = { kind: 'keys', keyids: [keyId(KEY)], threshold: 1 } as const
  const kept = [{ pattern, pin, server: 'https://t.io/', serverCa: CA_OF_PIN }]
  const RULES: Record<string, { more: string; serverCa: object | undefined }> = {
    'a rule that names no server': { more: '', serverCa: { pem: CA_OF_PIN, yields: true } },
    'a rule that names that server': { more: ', server: "https://t.io"', serverCa: { pem: CA_OF_PIN, yields: true } },
    'a rule that names another': { more: ', server: "https://u.io"', serverCa: undefined },
    'a rule that names an authority': {
      more: ', server: "https://t.io", ca: trust-ca.pem',
      serverCa: { pem: CA, yields: false },
    },
    'a rule with a pin of its own': { more: `, server: "https://t.io", ${PINNED}`, serverCa: undefined },
  }
  for (const [name, { more, serverCa }] of Object.entries(RULES)) {
    await t.test(name, async (t) => {
      const rule = load(t, `version: 1\nrules: [{ pattern: a.io/**${more} }]\n`, kept).ruleFor('a.io/x')
      const found = rule.kind === 'signed' ? rule.serverCa : { pem: 'none', yields: false }
      t.same(found && { pem: found.pem, yields: found.yields }, serverCa)
    })
  }
})

await t.test('a JSON file is a policy too', (t) => {
  const json = JSON.stringify({ version: 1, rules: [{ pattern: 'a.io/**', pin: { keys: [KEY] } }] }, null, '\t')
  t.match(load(t, json).ruleFor('a.io/x'), { pin: { keyids: [KEY] } })
  t.end()
})

const rule = (more: string) => `version: 1\nrules:\n  - pattern: a.io/**\n    ${PINNED}\n    ${more}\n`
const ruleWithCa = (file: string) => rule(`server: https://t.io\n    ca: ${file}`)
const NAMESPACED = `version: 1
workloads: [rollouts.argoproj.io]
rules:
  - pattern: a.io/team/**
    refuse: true
  - pattern: a.io/**
    namespaces: [lab]
    unsigned: true
  - pattern: a.io/team/**
    namespaces: [lab, play]
    ${PINNED}
`

await t.test('rules of a namespace', async (t) => {
  const policy = load(t, NAMESPACED)
  const decides = (repository: string, namespace?: string) => {
    const counted = namespace === undefined ? policy : policy.inNamespace(namespace)
    return counted.ruleFor(repository).where
  }
  await t.test('count there, before those of everywhere for one pattern', async (t) => {
    t.equal(decides('a.io/team/x', 'lab'), 'policy.yaml:9:5')
    t.equal(decides('a.io/team/x', 'play'), 'policy.yaml:9:5')
    t.equal(decides('a.io/other/x', 'lab'), 'policy.yaml:6:5')
  })
  await t.test('count nowhere else', async (t) => {
    t.equal(decides('a.io/team/x'), 'policy.yaml:4:5')
    t.equal(decides('a.io/team/x', 'prod'), 'policy.yaml:4:5')
    t.throws(() => decides('a.io/other/x'), { code: 'NO_RULE' })
    t.throws(() => decides('a.io/other/x', 'play'), { code: 'NO_RULE' })
  })
  await t.test('do not outweigh a more specific pattern', async (t) => {
    const wide = `${rule('maxAge: 1m')}  - pattern: "**"\n    namespaces: [lab]\n    unsigned: true\n`
    t.equal(load(t, wide).inNamespace('lab').ruleFor('a.io/x').kind, 'signed')
  })
  await t.test('are known by name, and so are the kinds that have pods in them', async (t) => {
    t.same([...policy.namespaces], ['lab', 'play'])
    t.same(policy.workloads, ['rollouts.argoproj.io'])
  })
})

const MISTAKES: Record<string, { text: string; at: string; why: RegExp }> = {
  'an empty file': { text: '', at: '1:1', why: /should be an object/ },
  'a file without a version': { text: 'rules: []\n', at: '1:1', why: /version/ },
  'another version': { text: 'version: 2\nrules: []\n', at: '1:10', why: /only 1 is known/ },
  'a file without rules': { text: 'version: 1\n', at: '1:1', why: /no rules/ },
  'a misspelt member': { text: rule('max-age: 1m'), at: '5:5', why: /did you mean maxAge/ },
  'a member that means nothing': { text: rule('colour: red'), at: '5:5', why: /"colour" means nothing here/ },
  'a member that is there twice': { text: rule('maxAge: 1m\n    maxAge: 2m'), at: '6:5', why: /there twice/ },
  'an age without a unit': { text: rule('maxAge: 60'), at: '5:13', why: /rules\[0\]\.maxAge: a duration/ },
  'an age of nothing': { text: rule('maxAge: 0s'), at: '5:13', why: /a duration/ },
  'a flag in words': { text: rule('signedOnce: "yes"'), at: '5:17', why: /true or false/ },
  'a threshold of nothing': { text: rule('require: { threshold: 0 }'), at: '5:27', why: /at least 1/ },
  'a list of no roles': { text: rule('roles: []'), at: '5:12', why: /names no role/ },
  'a server that is no URL': { text: rule('server: trust'), at: '5:13', why: /no URL/ },
  'an authority of no server': { text: rule('ca: trust-ca.pem'), at: '5:9', why: /goes with the server of its rule/ },
  'an authority of a server in plain http': {
    text: rule('server: http://127.0.0.1:4480\n    ca: trust-ca.pem'),
    at: '6:9',
    why: /shows no certificate/,
  },
  'an authority that is not there': { text: ruleWithCa('none.pem'), at: '6:9', why: /none\.pem.*no such file/ },
  'an authority that is no certificate': { text: ruleWithCa('words'), at: '6:9', why: /words.*no certificate in it/ },
  'an authority that is cut off': { text: ruleWithCa('two'), at: '6:9', why: /two.*does not end/ },
  'authorities in a list': { text: ruleWithCa('[trust-ca.pem]'), at: '6:9', why: /should be a text/ },
  'an authority of what need not be signed': {
    text: 'version: 1\nrules:\n  - { pattern: a.io/x, unsigned: true, ca: trust-ca.pem }\n',
    at: '3:44',
    why: /means nothing in a rule/,
  },
  'an upstream that is a URL': { text: rule('upstream: { registry: "https://x" }'), at: '5:27', why: /no host/ },
  'an upstream with a path': { text: rule('upstream: { registry: x.io/a }'), at: '5:27', why: /no host/ },
  'a login in the clear': {
    text: rule('upstream: { login: { username: a, password: b } }'),
    at: '5:39',
    why: /"password" means nothing/,
  },
  'tags of another kind': { text: rule('tags: some'), at: '5:11', why: /one of signed, all/ },
  'a rule that is both': {
    text: 'version: 1\nrules:\n  - { pattern: a.io/x, unsigned: true, refuse: true }\n',
    at: '3:5',
    why: /either/,
  },
  'a pin in an unsigned rule': { text: rule('unsigned: true'), at: '4:10', why: /means nothing in a rule/ },
  'a pattern without a registry': {
    text: 'version: 1\nrules:\n  - pattern: library/alpine\n',
    at: '3:14',
    why: /docker\.io\/library\/alpine/,
  },
  'a pattern that is none': { text: 'version: 1\nrules:\n  - pattern: a.io/**/b\n', at: '3:14', why: /no pattern/ },
  'a pattern with a tag': {
    text: 'version: 1\nrules:\n  - { pattern: "a.io/team/app:unsigned", refuse: true }\n',
    at: '3:16',
    why: /not tags: leave :unsigned out/,
  },
  'a pattern with some tags': {
    text: 'version: 1\nrules:\n  - { pattern: "a.io/team/*:v1", refuse: true }\n',
    at: '3:16',
    why: /not tags: leave :v1 out/,
  },
  'a pattern with a digest': {
    text: `version: 1\nrules:\n  - { pattern: "a.io/app@sha256:${KEY}", refuse: true }\n`,
    at: '3:16',
    why: /not digests: leave @sha256/,
  },
  'a pattern in upper case': {
    text: 'version: 1\nrules:\n  - { pattern: a.io/Team/**, refuse: true }\n',
    at: '3:16',
    why: /write a\.io\/team\/\*\*/,
  },
  'a repository that docker calls otherwise': {
    text: 'version: 1\nrules:\n  - { pattern: docker.io/alpine, refuse: true }\n',
    at: '3:16',
    why: /called docker\.io\/library\/alpine/,
  },
  'Docker Hub by its other name': {
    text: 'version: 1\nrules:\n  - { pattern: index.docker.io/library/*, refuse: true }\n',
    at: '3:16',
    why: /write docker\.io\/library\/\*/,
  },
  'a pattern that only a registry has': {
    text: 'version: 1\nrules:\n  - { pattern: a.io, refuse: true }\n',
    at: '3:16',
    why: /write a\.io\/\*\*/,
  },
  'a port that is written as no name has it': {
    text: 'version: 1\nrules:\n  - { pattern: "a.io:080/x", refuse: true }\n',
    at: '3:16',
    why: /no port/,
  },
  'the same pattern twice': {
    text: 'version: 1\nrules:\n  - { pattern: a.io/x, unsigned: true }\n  - { pattern: a.io/x, refuse: true }\n',
    at: '4:5',
    why: /a rule at policy\.yaml:3:5 already/,
  },
  'a short key id': {
    text: 'version: 1\nrules:\n  - pattern: a.io/x\n    pin: { keys: [abc] }\n',
    at: '4:19',
    why: /64 digits/,
  },
  'a key that is named twice': {
    text: `version: 1\nrules:\n  - pattern: a.io/x\n    pin: { keys: [${KEY}, ${KEY}] }\n`,
    at: '4:18',
    why: /twice/,
  },
  'more signatures than keys': {
    text: `version: 1\nrules:\n  - pattern: a.io/x\n    pin: { keys: [${KEY}], threshold: 2 }\n`,
    at: '4:97',
    why: /more than/,
  },
  'a root that is not there': {
    text: 'version: 1\nrules:\n  - pattern: a.io/x\n    pin: { root: none.json }\n',
    at: '4:18',
    why: /no such file/,
  },
  'a rule for no namespace': { text: rule('namespaces: []'), at: '5:17', why: /names nothing/ },
  'a namespace that is none': { text: rule('namespaces: [Team]'), at: '5:18', why: /no name of a namespace/ },
  'a namespace with a wildcard': { text: rule('namespaces: ["team-*"]'), at: '5:18', why: /no name of a namespace/ },
  'a namespace that is there twice': { text: rule('namespaces: [a, a]'), at: '5:17', why: /twice/ },
  'two rules for one pattern in one namespace': {
    text: `${rule('namespaces: [a, b]')}  - pattern: a.io/**\n    namespaces: [b]\n    refuse: true\n`,
    at: '6:5',
    why: /rule in b at policy\.yaml:3:5 already/,
  },
  'a workload without a group': { text: 'version: 1\nrules: []\nworkloads: [pods]\n', at: '3:13', why: /custom/ },
  'a workload as an object says it': {
    text: 'version: 1\nrules: []\nworkloads: [argoproj.io/v1]\n',
    at: '3:13',
    why: /custom/,
  },
  'a misspelt member of a rule': { text: rule('sever: https://t.io'), at: '5:5', why: /did you mean server\?/ },
  'a member that is like none, in letters of two units each': {
    text: rule('🔑🔒🔓🔏: 1m'),
    at: '5:5',
    why: /known are/,
  },
  'a misspelt member of the file': { text: 'version: 1\nruls: []\n', at: '2:1', why: /did you mean rules\?/ },
  'a line that is indented too far': {
    text: 'version: 1\nrules:\n  - pattern: a.io/x\n      unsigned: true\n',
    at: '3:14',
    why: /indented too far/,
  },
  'a colon without a blank': { text: 'version:1\nrules: []\n', at: '1:1', why: /blank after the colon/ },
  'text that is no YAML': { text: 'version: 1\nrules: [\n', at: '3:1', why: /./ },
  'an alias': { text: 'version: 1\nrules: &all []\nregistries: *all\n', at: '2:13', why: /anchors and aliases/ },
  'a type of somebody': { text: 'version: !!js/function 1\nrules: []\n', at: '1:10', why: /./ },
  'a deep nest': { text: `version: 1\nrules: ${'['.repeat(60)}${']'.repeat(60)}\n`, at: '2:22', why: /too deeply/ },
  'a nest that is deeper than the stack': { text: '['.repeat(5000), at: '1:[0-9]+', why: /too deeply/ },
  'two documents in one': {
    text: 'version: 1\nrules: []\n---\nversion: 1\nrules: []\n',
    at: '3:1',
    why: /second document/,
  },
}

for (const [name, { text, at, why }] of Object.entries(MISTAKES)) {
  await t.test(`refuses ${name}, and says where`, (t) => {
    let error: unknown
    try {
      load(t, text)
    } catch (thrown) {
      error = thrown
    }
    t.match(error, { name: 'PolicyError', code: 'POLICY_MALFORMED' })
    t.match(String(error), new RegExp(`policy\\.yaml:${at}: `))
    t.match(String(error), why)
    t.end()
  })
}

/** What a hand does to a file that was good. */
const SLIPS: readonly ((lines: readonly string[], at: number, column: number) => readonly string[])[] = [
  (lines, at) => lines.toSpliced(at, 1),
  (lines, at) => lines.toSpliced(at, 0, lines[at] ?? ''),
  (lines, at) => lines.toSpliced(at, 1, ` ${lines[at]}`),
  (lines, at) => lines.toSpliced(at, 1, (lines[at] ?? '').replace(/^ {2}/, '')),
  (lines, at, column) => lines.toSpliced(at, 1, (lines[at] ?? '').slice(0, column)),
  (lines, at, column) =>
    lines.toSpliced(at, 1, `${(lines[at] ?? '').slice(0, column)}${(lines[at] ?? '').slice(column + 1)}`),
  ...[':', '"', '[', '}', '*', '&', '-1', '\t', '#', '%', '\u0000', 'ü', '!!x ', '? ', '{a: 1}', '9e99', 'null '].map(
    (text) => (lines: readonly string[], at: number, column: number) =>
      lines.toSpliced(at, 1, `${(lines[at] ?? '').slice(0, column)}${text}${(lines[at] ?? '').slice(column)}`),
  ),
]

await t.test('whatever slip is made, the file is good or the place of the mistake is told', (t) => {
  const lines = `${FULL}workloads: [rollouts.argoproj.io]\n`
    .replace('- pattern: "*.e', '- namespaces: [lab]\n    pattern: "*.e')
    .split('\n')
  let refused = 0
  for (const [at, line] of lines.entries()) {
    for (const column of new Set([4, line.indexOf(':') + 2])) {
      for (const slip of SLIPS) {
        const text = slip(lines, at, Math.max(column, 0)).join('\n')
        const place = mistakeIn(text)
        if (place === undefined) continue
        refused += 1
        const there = text.split('\n')[place.line - 1]
        if (there === undefined || place.column < 1 || place.column > there.length + 1) {
          t.fail(`${place.line}:${place.column} is not in ${JSON.stringify(text)}`)
        }
      }
    }
  }
  t.ok(refused > 500, `${refused} mistakes`)
  t.end()
})

/** undefined where the file is a policy. */
function mistakeIn(text: string): { readonly line: number; readonly column: number } | undefined {
  try {
    readPolicy(readDocument(text, 'policy.yaml'))
    return undefined
  } catch (error) {
    const told = error as PolicyError<'POLICY_MALFORMED'>
    if (told.code === 'POLICY_MALFORMED') return told.detail
    throw error
  }
}

const UNUSABLE: Record<string, (path: string) => void> = {
  'a file that is not there': () => {},
  'a file of more than a megabyte': (path) => writeFileSync(path, ' '.repeat(1024 * 1024 + 1)),
  'a file that is no text': (path) => writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00])),
}
for (const [name, write] of Object.entries(UNUSABLE)) {
  await t.test(`refuses ${name}`, (t) => {
    const path = join(t.testdir(), 'policy.yaml')
    write(path)
    t.throws(() => loadPolicy(path, []), { code: 'POLICY_UNUSABLE' })
    t.end()
  })
}
