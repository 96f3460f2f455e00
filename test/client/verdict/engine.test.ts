import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { TARGETS } from '../../../tuf/index.ts'
import { DAY, Simulator, targetOf } from '../../support/simulator.ts'
import type { Policy } from '../../../client/verdict/rule.ts'
import { VerdictError } from '../../../client/verdict/errors.ts'
import { NAME, openVerdictLab, policyOf } from '../../support/verdict-lab.ts'
import type { VerdictLab } from '../../support/verdict-lab.ts'

const MINUTE = 60_000
const asked = { name: NAME, tag: '1.0' }
const signed = () => {
  const simulator = new Simulator()
  simulator.sign({ '1.0': targetOf('one') })
  return simulator
}
const digest = (content: string) => `sha256:${targetOf(content).hashes.get('sha256')}`

await t.test('a signed tag is its digest, with what stands behind it', async (t) => {
  const lab = openVerdictLab({ simulator: signed() })
  t.teardown(lab.close)
  t.match(await lab.verdicts.judge(asked), {
    kind: 'signed',
    digest: digest('one'),
    length: 3,
    role: TARGETS,
    versions: { root: 1, snapshot: 2, timestamp: 2 },
    rule: { pattern: NAME },
    goodUntil: lab.time.wall + MINUTE,
  })
  await t.rejects(lab.verdicts.judge({ ...asked, tag: '2.0' }), { code: 'TAG_NOT_SIGNED' })
  await t.resolves(lab.verdicts.judge({ ...asked, digest: digest('one') }))
  await t.rejects(lab.verdicts.judge({ ...asked, digest: digest('two') }), { code: 'DIGEST_DIFFERS' })
})

await t.test('what is warm is answered without a request, and within the bound of its rule alone', async (t) => {
  const lab = openVerdictLab({ simulator: signed() })
  t.teardown(lab.close)
  await Promise.all(Array.from({ length: 50 }, () => lab.verdicts.judge(asked)))
  const once = lab.requests()
  t.equal(once, 4, 'one refresh for all who ask at once')
  lab.pass(MINUTE - 1)
  await lab.verdicts.judge(asked)
  t.equal(lab.requests(), once)
  lab.simulator.sign({ '1.0': targetOf('two') })
  lab.pass(1)
  t.match(await lab.verdicts.judge(asked), { digest: digest('two') }, 'then what was signed meanwhile counts')
})

const OLD: Record<string, (time: { wall: number; monotonic: number }) => void> = {
  'both clocks say so': (time) => Object.assign(time, { wall: time.wall + MINUTE, monotonic: time.monotonic + MINUTE }),
  'only the wall clock went on, as over the sleep of a machine': (time) => (time.wall += MINUTE),
  'the wall clock was put back by a minute meanwhile': (time) =>
    Object.assign(time, { wall: time.wall - MINUTE, monotonic: time.monotonic + MINUTE }),
}
for (const [name, turn] of Object.entries(OLD)) {
  await t.test(`an answer is too old where ${name}`, async (t) => {
    const lab = openVerdictLab({ simulator: signed() })
    t.teardown(lab.close)
    await lab.verdicts.judge(asked)
    lab.down = true
    turn(lab.time)
    await t.rejects(lab.verdicts.judge(asked), { code: 'NETWORK' })
    await t.rejects(lab.verdicts.judge(asked), { code: 'NETWORK' }, 'also where the failure is remembered')
    lab.down = false
    lab.pass(1000)
    await t.resolves(lab.verdicts.judge(asked), 'and is had again once the server is back')
  })
}

await t.test('an expired timestamp ends every answer, however long the rule would wait', async (t) => {
  const lab = openVerdictLab({ simulator: signed(), rule: { maxAge: 365 * DAY } })
  t.teardown(lab.close)
  await lab.verdicts.judge(asked)
  const left = lab.simulator.timestamp.expires - lab.time.wall
  lab.pass(left - 1)
  await t.resolves(lab.verdicts.judge(asked))
  lab.pass(1)
  await t.rejects(lab.verdicts.judge(asked), { code: 'EXPIRED' })
  lab.time.wall -= left
  await t.rejects(lab.verdicts.judge(asked), 'nor does a clock that is put back bring it to life')
})

await t.test('in the background', async (t) => {
  await t.test('what is asked is refreshed ahead of need, with its tags looked up', async (t) => {
    const lab = openVerdictLab({ simulator: signed(), background: true, rule: { maxAge: 400 } })
    t.teardown(lab.close)
    await lab.verdicts.judge(asked)
    lab.simulator.sign({ '1.0': targetOf('two') })
    await delay(500)
    lab.down = true
    t.match(await lab.verdicts.judge(asked), { digest: digest('two') })
  })
  await t.test('a server that is gone is told, and what is good stays until it is too old', async (t) => {
    const lab = openVerdictLab({ simulator: signed(), background: true, rule: { maxAge: 400 } })
    t.teardown(lab.close)
    await lab.verdicts.judge(asked)
    lab.down = true
    await delay(500)
    t.match(lab.failures[0], { code: 'NETWORK' })
    await t.resolves(lab.verdicts.judge(asked))
  })
  await t.test('an older state that a server shows later is not taken', async (t) => {
    const simulator = signed()
    const before = new Map(simulator.files)
    simulator.sign({ '1.0': targetOf('two') })
    const lab = openVerdictLab({ simulator, background: true, rule: { maxAge: 400 } })
    t.teardown(lab.close)
    await lab.verdicts.judge(asked)
    for (const [name, bytes] of before) simulator.files.set(name, bytes)
    await delay(500)
    t.match(lab.failures[0], { code: 'ROLLBACK' })
    t.match(await lab.verdicts.judge(asked), { digest: digest('two') })
    lab.pass(400)
    await t.rejects(lab.verdicts.judge(asked), { code: 'ROLLBACK' })
  })
})

await t.test('a policy that changes', async (t) => {
  const lab = openVerdictLab({ simulator: signed() })
  t.teardown(lab.close)
  await lab.verdicts.judge(asked)
  const once = lab.requests()
  lab.verdicts.adopt(policyOf({ ...lab.rule(), where: 'elsewhere' }))
  await lab.verdicts.judge(asked)
  t.equal(lab.requests(), once, 'keeps warm what it says the same of')
  lab.verdicts.adopt(policyOf(lab.rule({ roles: new Set(['releases']) })))
  await t.rejects(lab.verdicts.judge(asked), { code: 'ROLE_NOT_COUNTED' }, 'and counts at once')
  lab.verdicts.adopt(policyOf(lab.rule({ pin: { kind: 'root', bytes: new Simulator().anchor() } })))
  await t.rejects(lab.verdicts.judge(asked), { code: 'THRESHOLD' }, 'under another pin nothing of before is believed')
  lab.verdicts.adopt({ ruleFor: () => ({ kind: 'unsigned', pattern: '**', where: 'test' }) })
  t.match(await lab.verdicts.judge(asked), { kind: 'unsigned', rule: { pattern: '**' } })
  lab.verdicts.adopt({ ruleFor: () => ({ kind: 'refuse', pattern: '**', where: 'test' }) })
  await t.rejects(lab.verdicts.judge(asked), { code: 'REFUSED_BY_RULE' })
})

const REPLACED: Record<string, (lab: VerdictLab) => Policy> = {
  'another authority': ({ rule }) => policyOf(rule({ serverCa: { pem: 'other', from: 'the rule', yields: false } })),
  'another file of a token': ({ rule }) => policyOf(rule({ tokenFile: '/other' })),
  'another pin': ({ rule }) => policyOf(rule({ pin: { kind: 'root', bytes: new Simulator().anchor() } })),
  'another server': ({ rule }) => policyOf(rule({ server: 'https://other.example.com' })),
  'nothing to sign': () => ({ ruleFor: () => ({ kind: 'unsigned', pattern: '**', where: 'test' }) }),
  'a refusal': () => ({ ruleFor: () => ({ kind: 'refuse', pattern: '**', where: 'test' }) }),
  'no rule': () => ({
    ruleFor(repository) {
      throw new VerdictError('NO_RULE', { repository, policy: 'test' })
    },
  }),
}
for (const [name, next] of Object.entries(REPLACED)) {
  await t.test(`a repository whose rule became ${name} is refreshed by the old one no more`, async (t) => {
    const lab = openVerdictLab({ simulator: signed(), background: true, rule: { maxAge: 400 } })
    t.teardown(lab.close)
    await lab.verdicts.judge(asked)
    lab.verdicts.adopt(next(lab))
    const before = lab.requests()
    lab.down = true
    await delay(300)
    t.same([lab.requests(), lab.failures], [before, []])
  })
}

await t.test('a rule that is replaced during a refresh is heard of no more when that fails', async (t) => {
  const lab = openVerdictLab({ simulator: signed(), background: true, rule: { maxAge: 400 } })
  t.teardown(lab.close)
  await lab.verdicts.judge(asked)
  const { promise, resolve } = Promise.withResolvers<void>()
  lab.silence = promise
  await delay(250) // the next refresh is under way
  lab.verdicts.adopt(policyOf(lab.rule({ tokenFile: '/other' })))
  lab.down = true
  resolve()
  await delay(50)
  lab.down = false
  const before = lab.requests()
  await delay(1100) // it would be tried again by now
  t.same([lab.requests(), lab.failures], [before, []])
})

await t.test('a warm verdict takes well under a millisecond', async (t) => {
  const lab = openVerdictLab({ simulator: signed() })
  t.teardown(lab.close)
  await lab.verdicts.judge(asked)
  const before = process.cpuUsage() // and not the clock, which others on this machine keep waiting
  for (let i = 0; i < 2000; i++) await lab.verdicts.judge(asked)
  const { user, system } = process.cpuUsage(before)
  const each = (user + system) / 1000 / 2000
  t.ok(each < 0.25, `${each.toFixed(4)} ms`)
})
