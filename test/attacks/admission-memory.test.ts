/** Many large reviews at once, over real connections: what they take together has an end, and what is over it is a no. */
import { request } from 'node:http'
import type { ClientRequest } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { digestOf, openAdmissionLab, REPOSITORY } from '../support/admission-lab.ts'
import type { AdmissionLab, AdmissionLabOptions } from '../support/admission-lab.ts'
import { pod, reviewOf } from '../support/reviews.ts'

const KIB = 1024
const SIGNED = `${REPOSITORY}:1.0`
const HEADERS = { 'content-type': 'application/json' }

async function openSigned(t: Test, options: AdmissionLabOptions): Promise<AdmissionLab> {
  const lab = await openAdmissionLab(options)
  t.teardown(lab.close)
  lab.sign({ '1.0': 'one' })
  return lab
}

/** Sends so much of a body, and then neither more nor its end. */
function hold(url: string, bytes: number): { readonly sender: ClientRequest; readonly status: Promise<number> } {
  const sender = request(`${url}/mutate`, { method: 'POST', headers: HEADERS })
  const status = new Promise<number>((resolve) => {
    sender.on('response', (answer) => resolve(answer.statusCode ?? 0))
    sender.on('error', () => resolve(0))
  })
  sender.write(Buffer.alloc(bytes, ' '))
  return { sender, status }
}

const honest = JSON.stringify(reviewOf(padded(200 * KIB)))

function padded(bytes: number) {
  return { ...pod(SIGNED), metadata: { name: 'app', annotations: { padding: 'x'.repeat(bytes) } } }
}

async function statusOf(lab: AdmissionLab): Promise<number> {
  return (await lab.post('/mutate', honest)).status
}

await t.test('what is over the memory for all reviews is refused in words, until there is room again', async (t) => {
  const lab = await openSigned(t, { memory: 1024 * KIB })
  const held = Array.from({ length: 7 }, () => hold(lab.url, 128 * KIB))
  t.teardown(() => held.forEach(({ sender }) => sender.destroy()))
  while ((await statusOf(lab)) === 200) await wait(5)
  const answer = await fetch(`${lab.url}/mutate`, { method: 'POST', headers: HEADERS, body: honest })
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('retry-after'), '1', 'an API server asks again by itself')
  const message = /TOO_BUSY.*ask whoever runs this webhook/
  t.match(await answer.json(), { kind: 'Status', code: 503, reason: 'TOO_BUSY', message })
  t.match(
    lab.log.at(-1),
    { reason: 'TOO_BUSY', message: /--review-memory/ },
    'and whoever runs it is told of the option',
  )
  t.equal((await lab.get('/healthz')).status, 200, 'it is alive all the while')
  const [one] = held
  one?.sender.destroy()
  while ((await statusOf(lab)) === 503) await wait(5)
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED))), {
    allowed: true,
    patches: { '/spec/containers/0/image': `${SIGNED}@${digestOf('one')}` },
  })
})

await t.test('of a hundred connections with a quarter of it each, the memory for all keeps a few', async (t) => {
  const lab = await openSigned(t, { memory: 1024 * KIB })
  const held = Array.from({ length: 100 }, () => hold(lab.url, 256 * KIB))
  t.teardown(() => held.forEach(({ sender }) => sender.destroy()))
  let refused = 0
  for (const { status } of held) void status.then(() => refused++)
  while (refused < 96) await wait(10)
  t.ok(lab.log.every(({ reason }) => reason === 'TOO_BUSY' || reason === 'NOT_A_REVIEW'))
  for (const { sender } of held) sender.destroy()
  while ((await statusOf(lab)) === 503) await wait(5)
  t.equal(await statusOf(lab), 200, 'and whoever comes later is answered')
})

await t.test('a body in parts of one byte counts for what they take', async (t) => {
  const lab = await openSigned(t, { memory: 256 * KIB })
  const { sender, status } = hold(lab.url, 1)
  t.teardown(() => sender.destroy())
  for (let i = 0; i < 2000; i++) sender.write(' ')
  t.equal(await status, 503)
})

await t.test('whoever sends slowly keeps no room for longer than an answer takes', async (t) => {
  const lab = await openSigned(t, { memory: 1024 * KIB, patience: 300 })
  const held = Array.from({ length: 7 }, () => hold(lab.url, 128 * KIB))
  t.teardown(() => held.forEach(({ sender }) => sender.destroy()))
  while ((await statusOf(lab)) === 200) await wait(5)
  t.same(new Set(await Promise.all(held.map(({ status }) => status))), new Set([503]))
  t.equal(await statusOf(lab), 200, 'and whoever comes later is answered')
  t.equal(lab.log.filter(({ reason }) => reason === 'TOO_SLOW').length, 7)
})

await t.test('a body counts for what reading makes of it', async (t) => {
  const lab = await openSigned(t, { memory: 1024 * KIB })
  for (const [part, status] of [
    ['{}', 503],
    ['[]', 503],
    ['{"a":"b"}', 503],
    [`"${'x'.repeat(100)}"`, 200],
  ] as const) {
    const many = Array.from({ length: (150 * KIB) / (part.length + 1) }, () => part).join(',')
    const review = JSON.stringify({ ...reviewOf(pod(SIGNED)), more: 0 }).replace('"more":0', `"more":[${many}]`)
    t.equal((await lab.post('/mutate', review)).status, status, part.slice(0, 9))
  }
  t.equal(await statusOf(lab), 200, 'and whoever comes later is answered')
})

await t.test('a review whose answer was late keeps its room until what it waits for has ended', async (t) => {
  const { promise: silence, resolve } = Promise.withResolvers<void>()
  const lab = await openSigned(t, { memory: 1024 * KIB, patience: 100 })
  lab.setSilence(silence)
  const large = reviewOf(padded(600 * KIB))
  t.match(await lab.ask('mutate', large), { allowed: false, reason: 'TOO_SLOW' })
  t.equal((await lab.post('/mutate', JSON.stringify(large))).status, 503)
  resolve()
  lab.setSilence(Promise.resolve())
  while ((await lab.post('/mutate', JSON.stringify(large))).status === 503) await wait(5)
  t.match(await lab.ask('mutate', large), { allowed: true })
})
