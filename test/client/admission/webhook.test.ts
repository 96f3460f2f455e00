import t from 'tap'
import { digestOf, openAdmissionLab, REPOSITORY } from '../../support/admission-lab.ts'
import type { AdmissionLabOptions } from '../../support/admission-lab.ts'
import { pod, reviewOf, UID } from '../../support/reviews.ts'
import type { Test } from 'tap'

const SIGNED = `${REPOSITORY}:1.0`
const PINNED = `${SIGNED}@${digestOf('one')}`

async function openSigned(t: Test, options: AdmissionLabOptions = {}) {
  const lab = await openAdmissionLab(options)
  t.teardown(lab.close)
  lab.sign({ '1.0': 'one' })
  return lab
}

await t.test('whether it is alive, and whether it wants to be asked', async (t) => {
  const lab = await openSigned(t)
  t.same(await lab.get('/healthz'), { status: 200, text: 'ok\n' })
  t.same(await lab.get('/readyz'), { status: 200, text: 'ok\n' })
  lab.drain()
  t.equal((await lab.get('/readyz')).status, 503)
  t.equal((await lab.get('/healthz')).status, 200)
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED))), { allowed: true }, 'what still comes is answered')
  t.equal((await lab.get('/mutate')).status, 400)
  t.equal((await lab.get('/')).status, 400)
  t.equal((await lab.post('/healthz', '')).status, 400)
})

await t.test('a verdict is one line, and a figure', async (t) => {
  const lab = await openSigned(t)
  await lab.ask('mutate', reviewOf(pod(SIGNED), { name: 'x', dryRun: true }))
  await lab.ask('validate', reviewOf(pod('nginx\n{"event":"forged"}')))
  t.equal(lab.log.length, 2)
  const [first, second] = lab.log
  t.match(first, {
    event: 'verdict',
    webhook: 'mutate',
    outcome: 'admitted',
    reason: 'ADMITTED',
    operation: 'CREATE',
    resource: 'pods',
    namespace: 'team',
    name: 'x',
    user: 'admin',
    images: [PINNED],
    patched: 1,
    dryRun: true,
    ms: Number,
  })
  t.match(second, { outcome: 'refused', reason: 'REFERENCE_INVALID', message: /no image reference/ })
  const { text } = await lab.get('/metrics')
  t.match(text, 'tagseal_admission_verdicts_total{webhook="mutate",outcome="admitted",reason="ADMITTED"} 1')
  t.match(text, 'tagseal_admission_requests_total{webhook="validate",status="200"} 1')
  t.match(text, 'tagseal_admission_policy_good 1')
})

await t.test('an answer that would be late is a no, in time, and the next one is there', async (t) => {
  const { promise: opening, resolve } = Promise.withResolvers<void>()
  const lab = await openSigned(t, { opening, patience: 60 })
  const late = await lab.ask('mutate', reviewOf(pod(SIGNED)))
  t.match(late, { allowed: false, code: 503, reason: 'TOO_SLOW', uid: UID })
  const patient = await openSigned(t, { opening, patience: 60_000 })
  const asked = await patient.ask('mutate', reviewOf(pod(SIGNED)), '?timeout=0s')
  t.match(asked, { allowed: false, reason: 'TOO_SLOW' }, 'nor later than the API server waits')
  resolve()
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED))), { allowed: true })
})

await t.test('a burst of reviews waits for one refresh', async (t) => {
  const lab = await openSigned(t)
  const before = lab.simulator.requests.length
  const all = await Promise.all(Array.from({ length: 200 }, () => lab.ask('mutate', reviewOf(pod(SIGNED)))))
  t.ok(all.every(({ allowed, patches }) => allowed && patches['/spec/containers/0/image'] === PINNED))
  t.equal(lab.simulator.requests.length - before, 4, 'root, timestamp, snapshot and targets, once')
})

await t.test(
  'two hundred reviews of cold repositories while the trust server says nothing are all a no in time',
  async (t) => {
    const { promise: silence, resolve } = Promise.withResolvers<void>()
    const rules = `  - pattern: registry.example.com/cold/**
    pin: { root: root.json }
    server: https://trust.example.com
`
    const lab = await openSigned(t, { rules, patience: 1000 })
    lab.setSilence(silence)
    const ask = async (i: number) =>
      await lab.ask(i % 2 === 0 ? 'mutate' : 'validate', reviewOf(pod(`${imageOf(i)}:1.0`)))
    const imageOf = (i: number) => (i < 100 ? `registry.example.com/cold/${i}` : REPOSITORY)
    const all = await Promise.all(Array.from({ length: 200 }, async (_, i) => await ask(i)))
    t.same(new Set(all.map(({ reason }) => reason)), new Set(['TOO_SLOW']))
    t.ok(all.every(({ allowed, code }) => !allowed && code === 503))
    const took = Math.max(...lab.log.map(({ ms }) => Number(ms)))
    t.ok(took < 9500, `${took} ms, of the ten seconds that the manifests ask for`)
    resolve()
    t.match(await lab.ask('mutate', reviewOf(pod(SIGNED))), { allowed: true }, 'and the next one is answered')
  },
)

const LAB_ONLY = `  - pattern: registry.example.com/lab/**
    namespaces: [lab]
    unsigned: true
  - pattern: ${REPOSITORY}
    namespaces: [lab]
    unsigned: true
`
await t.test('rules of a namespace', async (t) => {
  const lab = await openSigned(t, { rules: LAB_ONLY })
  const ask = async (image: string, namespace: string) => {
    const object = { ...pod(image), metadata: {} }
    return (await lab.ask('validate', reviewOf(object, { namespace }))).reason
  }
  await t.test('count there and nowhere else, side by side', async (t) => {
    const image = 'registry.example.com/lab/x:1'
    t.same(await Promise.all(['lab', 'team', ''].map((name) => ask(image, name))), ['ADMITTED', 'NO_RULE', 'NO_RULE'])
    const unsigned = `${REPOSITORY}:unsigned`
    t.same(await Promise.all(['lab', 'team'].map((name) => ask(unsigned, name))), ['ADMITTED', 'TAG_NOT_SIGNED'])
  })
  await t.test('count no more once the policy leaves them out, nor does what they had open', async (t) => {
    await lab.adopt('')
    t.equal(await ask('registry.example.com/lab/x:1', 'lab'), 'NO_RULE')
    t.equal(await ask(`${REPOSITORY}:unsigned`, 'lab'), 'TAG_NOT_SIGNED')
    await lab.adopt('  - pattern: registry.example.com/lab/**\n    unsigned: true\n')
    t.equal(await ask('registry.example.com/lab/x:1', 'team'), 'ADMITTED')
  })
})

const NAMES: Record<string, { metadata: object; name?: string; logged: string }> = {
  'what is not stored yet by its own name': { metadata: { name: 'app' }, logged: 'app' },
  'what gets its name later by how it begins': { metadata: { generateName: 'app-' }, logged: 'app-*' },
  'what has both by its name': { metadata: { name: 'app', generateName: 'b-' }, name: 'app', logged: 'app' },
  'what has no name by none': { metadata: {}, logged: '' },
  'what has an endless name by its beginning': { metadata: { name: 'a'.repeat(9999) }, logged: 'a'.repeat(253) },
}
for (const [sentence, { metadata, name = '', logged }] of Object.entries(NAMES)) {
  await t.test(`the log names ${sentence}`, async (t) => {
    const lab = await openSigned(t)
    const { spec } = pod(SIGNED)
    await lab.ask('mutate', reviewOf({ apiVersion: 'v1', kind: 'Pod', metadata, spec }, { name }))
    t.match(lab.log.at(-1), { name: logged })
  })
}
