import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openJudge as openAdmissionJudge } from '../../../client/admission/judge.ts'
import { loadPolicy } from '../../../client/policy/policy.ts'
import { parseImage } from '../../../client/registry/reference.ts'
import { openDeciding } from '../../../client/verifier/decide.ts'
import { openLab, REPOSITORY } from '../../support/attack-lab.ts'
import { codeOf, documentOf, tagseal } from '../../support/cli.ts'
import { targetOf } from '../../support/simulator.ts'
import { openVerdictLab } from '../../support/verdict-lab.ts'

const lab = await openLab()
t.teardown(lab.close)
const home = join(lab.folder, 'home')
const env = { TAGSEAL_HOME: home, HOME: lab.folder }
const run = (args: readonly string[]) => tagseal(args, { env })
const image = `${REPOSITORY}:1.0`
const digest = `sha256:${targetOf('one').hashes.get('sha256')}`

await mkdir(home, { recursive: true })
await writeFile(join(lab.folder, 'root.json'), lab.simulator.anchor())
const policy = join(lab.folder, 'policy.yaml')
const write = async (more = '', path = policy) =>
  await writeFile(
    path,
    `version: 1
rules:
  - pattern: registry.example.com/**
    refuse: true
  - pattern: ${REPOSITORY}
    pin: { root: ${join(lab.folder, 'root.json')} }
    server: ${lab.url}
${more}  - pattern: docker.io/library/*
    unsigned: true
`,
  )
await write()

await t.test('policy test says which rule decides, and what it decides', async (t) => {
  const ran = await run(['policy', 'test', '--policy', policy, image])
  t.equal(ran.code, 0, ran.stderr)
  const [first, second, third, fourth] = ran.stdout.split('\n')
  t.equal(first, `${image}: admitted as ${REPOSITORY}@${digest}, signed by targets`)
  t.equal(second, `  policy.yaml:5:5 decides: ${REPOSITORY} is the most specific pattern that matches`)
  t.match(third, /^ {2}trusts a pinned root at http:.*; every role counts; no older than 3600 s$/)
  t.equal(fourth, '  policy.yaml:3:5 matches as well and is less specific: registry.example.com/**')
})

await t.test('policy test exits with 1 where one of the images is refused', async (t) => {
  const images = ['alpine:3', 'registry.example.com/other:1', 'quay.io/x/y:1']
  const ran = await run(['policy', 'test', '--policy', policy, '--json', ...images])
  t.equal(ran.code, 1)
  t.match(documentOf(ran), {
    images: [
      { image: 'alpine:3', admitted: true, kind: 'unsigned' },
      { admitted: false, error: { code: 'REFUSED_BY_RULE' } },
      { admitted: false, error: { code: 'NO_RULE' }, rules: [] },
    ],
  })
})

await t.test('policy test --rules asks no trust server', async (t) => {
  const ran = await run(['policy', 'test', '--policy', policy, '--rules', `${REPOSITORY}:none`])
  t.same([ran.code, ran.stdout.split('\n')[0]], [0, `${REPOSITORY}:none: has to be signed`])
})

await t.test('policy test --namespace says what counts there', async (t) => {
  await write(`  - pattern: ${REPOSITORY}\n    namespaces: [lab]\n    unsigned: true\n`)
  const ask = async (...more: readonly string[]) =>
    await run(['policy', 'test', '--policy', policy, ...more, `${REPOSITORY}:none`])
  const there = await ask('--namespace', 'lab')
  t.same([there.code, there.stdout.split('\n')[0]?.includes('admitted unsigned')], [0, true], there.stdout)
  t.match(there.stdout, /^ {2}policy\.yaml:5:5 matches as well and is for every namespace/m)
  const other = await ask('--namespace', 'other')
  t.equal(other.code, 1)
  t.match(other.stdout, /: refused: .* \(TAG_NOT_SIGNED\)\n {2}.*\n {2}hint: tagseal list /)
  t.equal((await ask()).code, 1)
  await write()
})

await t.test('policy test judges as the gateway does', async (t) => {
  const other = `sha256:${'0'.repeat(64)}`
  const ask = async (...more: readonly string[]) => {
    const ran = await run(['policy', 'test', '--policy', policy, '--json', ...more])
    return { code: ran.code, said: documentOf(ran) }
  }
  t.match(await ask(`${REPOSITORY}@${digest}`), {
    code: 0,
    said: { images: [{ admitted: true, kind: 'digest', digest }] },
  })
  t.match(await ask(`${REPOSITORY}@${other}`), {
    code: 1,
    said: { images: [{ error: { code: 'DIGEST_NOT_SIGNED' } }] },
  })
  t.match(await ask(`${image}@${other}`), { code: 1, said: { images: [{ error: { code: 'DIGEST_DIFFERS' } }] } })
  await t.test('and says which plug reads a tag beside the digest of another one', async (t) => {
    lab.simulator.sign({ '1.0': targetOf('one'), '2.0': targetOf('two') })
    const [two, both] = [`sha256:${targetOf('two').hashes.get('sha256')}`, `${REPOSITORY}:1.0`]
    t.match(await ask(`${both}@${two}`), {
      code: 0,
      said: {
        images: [
          {
            admitted: true,
            kind: 'digest',
            digest: two,
            elsewhere: { plugs: ['webhook'], admitted: false, error: { code: 'DIGEST_DIFFERS' } },
          },
        ],
      },
    })
    t.match(await ask('--namespace', 'team', `${both}@${two}`), {
      code: 1,
      said: {
        images: [{ error: { code: 'DIGEST_DIFFERS' }, elsewhere: { plugs: ['gateway', 'verifier'], admitted: true } }],
      },
    })
    const plain = await run(['policy', 'test', '--policy', policy, `${both}@${two}`])
    t.match(plain.stdout, /^ {2}a webhook looks at the tag as well, and refuses: .* \(DIGEST_DIFFERS\)$/m)
    const { verdicts, close } = openVerdictLab({ simulator: lab.simulator })
    t.teardown(close)
    verdicts.adopt(loadPolicy(policy, []))
    await t.test('as they do', async (t) => {
      const name = parseImage(`${both}@${two}`)
      t.match(await openDeciding(verdicts)({ image: name, digest: two, size: 0 }), { exit: 0 })
      await t.rejects(openAdmissionJudge(verdicts)(`${both}@${two}`), { code: 'DIGEST_DIFFERS' })
    })
    lab.simulator.sign({ '1.0': targetOf('one') })
  })
  await write('    signedOnce: true\n')
  lab.simulator.sign({ '1.0': targetOf('two') })
  t.match(await ask(`${image}@${digest}`), { code: 0, said: { images: [{ admitted: true, kind: 'earlier', digest }] } })
  lab.simulator.sign({ '1.0': targetOf('one') })
  await writeFile(policy, `defaultRegistry: ${REPOSITORY.split('/')[0]}\n${await readFile(policy, 'utf8')}`)
  const short = image.split('/').slice(1).join('/')
  t.match(await ask(short), { code: 0, said: { images: [{ repository: REPOSITORY, admitted: true }] } })
  await write()
})

await t.test('policy test warns of a rule that has nobody to ask, and of no rules', async (t) => {
  const file = join(lab.folder, 'other.yaml')
  const check = async (text: string) => {
    await writeFile(file, text)
    return await run(['policy', 'test', '--policy', file])
  }
  const pinned = await check(`version: 1\nrules: [{ pattern: a.io/x, pin: { keys: [${'a'.repeat(64)}] } }]\n`)
  t.same([pinned.code, /other\.yaml:2:9: this rule has a pin and no "server: URL"/.test(pinned.stderr)], [0, true])
  t.match((await check('version: 1\nrules: []\n')).stdout, /every image is refused/)
  const asked = await run(['policy', 'test', '--policy', file, '--json', 'a.io/x:1'])
  t.match(documentOf(asked), { images: [{ error: { code: 'NO_RULE', hint: /other\.yaml/ } }] })
})

await t.test('policy test without an image checks the file', async (t) => {
  t.equal((await run(['policy', 'test', '--policy', policy])).code, 0)
  const none = await run(['policy', 'test'])
  t.same([none.code, codeOf(none)], [2, 'USAGE'])
  await write('    colour: red\n')
  const ran = await run(['policy', 'test', '--policy', policy])
  t.same([ran.code, codeOf(ran)], [2, 'POLICY_MALFORMED'])
  t.match(ran.stderr, /policy\.yaml:8:5: rules\[1\]: "colour" means nothing here/)
  t.notMatch(ran.stderr, /\n\s+at /)
  await write()
})

await t.test(
  'verify goes by the policy that is named, by none where there is none, and by the one beside the pins',
  async (t) => {
    t.equal(codeOf(await run(['verify', image])), 'NOT_PINNED')
    const named = await run(['verify', '--policy', policy, image])
    t.same([named.code, named.stdout], [0, `${REPOSITORY}@${digest}\n`])
    await write('    roles: [releases]\n')
    t.equal(codeOf(await run(['verify', '--policy', policy, image])), 'ROLE_NOT_COUNTED')
    await write('', join(home, 'policy.yaml'))
    t.same((await run(['verify', image])).code, 0)
    const unsigned = await run(['verify', 'alpine:3'])
    t.same(
      [unsigned.code, codeOf(unsigned), unsigned.stdout],
      [1, 'UNSIGNED_BY_RULE', ''],
      'what needs no signature has none',
    )
  },
)
