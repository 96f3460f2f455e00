/** Webhook and agent while they are asked without a pause: what they run by is replaced, and nobody notices but by it. */
import { spawn } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import t from 'tap'
import { parseImage } from '../../client/registry/reference.ts'
import { askAgent } from '../../client/verifier/ask.ts'
import { startAdmission } from '../support/admission.ts'
import { readAnswer } from '../support/admission-lab.ts'
import { COMPILED, TAGSEAL } from '../support/programs.ts'
import { pod, reviewOf } from '../support/reviews.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'

const skip = (await whyNoOpenssl()) ?? false
const IMAGE = 'registry.example.com/open/app:1'
const OPEN = `version: 1
rules:
  - pattern: registry.example.com/open/**
    unsigned: true
`
const SHUT = `${OPEN}  - pattern: registry.example.com/open/app
    refuse: true
`
const BROKEN = 'version: 1\nrules: [\n'
const ASKERS = 6
/** Which certificate is shown is looked at here, and not whether somebody vouches for it. */
const ANYBODY = { rejectUnauthorized: false } as const

type Entry = Readonly<Record<string, unknown>>

/** Asks by so many at once until it is ended, and gives how each question ended. */
function under(ask: () => Promise<string>): { readonly end: () => Promise<ReadonlyMap<string, number>> } {
  const ends = new Map<string, number>()
  let going = true
  const asker = async () => {
    while (going) {
      const ended = await ask().catch((error: unknown) => `dropped: ${String(error)}`)
      ends.set(ended, (ends.get(ended) ?? 0) + 1)
    }
  }
  const askers = Array.from({ length: ASKERS }, asker)
  return {
    async end() {
      going = false
      await Promise.all(askers)
      return ends
    },
  }
}

type Sending = { readonly agent: Agent | false; readonly body?: string }

function send(url: string, { agent, body = '' }: Sending): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const method = body === '' ? 'GET' : 'POST'
    const sending = request(url, { method, headers, agent, ...ANYBODY }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
    sending.on('error', reject).end(body)
  })
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const began = Date.now()
  while (!(await isSo())) {
    if (Date.now() - began > 20_000) throw new Error(`it never was so that ${what}`)
    await delay(10)
  }
}

function countOf(log: () => readonly Entry[], event: string, outcome: string): number {
  return log().filter((line) => line['event'] === event && line['outcome'] === outcome).length
}

await t.test('a webhook', { skip }, async (t) => {
  const folder = t.testdir({ 'policy.yaml': OPEN })
  const [first, second] = await Promise.all([makeCertificate(join(folder, 'a')), makeCertificate(join(folder, 'b'))])
  const [policy, cert, key] = ['policy.yaml', 'tls.crt', 'tls.key'].map((name) => join(folder, name))
  if (policy === undefined || cert === undefined || key === undefined) throw new Error('no names')
  const show = async (one: typeof first) => {
    await copyFile(one.key, key)
    await copyFile(one.cert, cert)
  }
  await show(first)
  const webhook = await startAdmission({
    folder,
    ca: first.caText,
    args: ['--policy', policy, '--tls-cert', cert, '--tls-key', key],
  })
  t.teardown(() => webhook.stop('SIGKILL'))
  const kept = new Agent({ keepAlive: true, maxSockets: ASKERS, ...ANYBODY })
  t.teardown(() => kept.destroy())
  const body = JSON.stringify(reviewOf(pod(IMAGE)))
  /** Every second one over a new connection, as after a restart of an API server. */
  let turn = 0
  const ask = async () => {
    const agent = turn++ % 2 === 0 ? kept : false
    const { status, text } = await send(`${webhook.url}/mutate`, { agent, body })
    return status === 200 ? readAnswer(text).reason : text
  }
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: Number(new URL(webhook.url).port), ...ANYBODY }, () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      })
      socket.on('error', reject)
    })
  const metrics = async () => (await send(`${webhook.url}/metrics`, { agent: false })).text
  const before = await shown()
  const load = under(ask)

  await t.test('shows a new certificate at SIGHUP, and ends no connection', async (t) => {
    await show(second)
    webhook.hangUp()
    await until('the new one is shown', async () => (await shown()) !== before)
    t.ok(countOf(webhook.log, 'certificate', 'adopted') > 0)
  })

  await t.test('goes on with it where the next one is broken, and says so', async (t) => {
    const now = await shown()
    const broken = countOf(webhook.log, 'certificate', 'broken')
    await writeFile(cert, '-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n')
    webhook.hangUp()
    await until('it is told', () => countOf(webhook.log, 'certificate', 'broken') > broken)
    t.match(await metrics(), 'tagseal_admission_certificate_good 0')
    t.equal(await shown(), now)
    await show(second)
    webhook.hangUp()
    await until('it is good again', async () => /certificate_good 1/.test(await metrics()))
  })

  await t.test('goes on with its policy where the next one is broken, and says so', async (t) => {
    await writeFile(policy, BROKEN)
    webhook.hangUp()
    await until('it is told', () => countOf(webhook.log, 'policy', 'broken') > 0)
    t.match(await metrics(), 'tagseal_admission_policy_good 0')
    t.equal(await ask(), 'ADMITTED')
  })

  await t.test('goes by a new policy from one answer to the next', async (t) => {
    await writeFile(policy, SHUT)
    webhook.hangUp()
    await until('it refuses', async () => (await ask()) === 'REFUSED_BY_RULE')
    t.match(await metrics(), 'tagseal_admission_policy_good 1')
  })

  await t.test('reads everything again at SIGHUP, changed or not', async () => {
    const [policies, certificates] = ['policy', 'certificate'].map((event) => countOf(webhook.log, event, 'adopted'))
    webhook.hangUp()
    await until('both were read', () => {
      const now = ['policy', 'certificate'].map((event) => countOf(webhook.log, event, 'adopted'))
      return (now[0] ?? 0) > (policies ?? 0) && (now[1] ?? 0) > (certificates ?? 0)
    })
  })

  const ends = await load.end()
  t.same([...ends.keys()].toSorted(), ['ADMITTED', 'REFUSED_BY_RULE'], 'no request was dropped')
  t.equal(await webhook.stop(), 'SIGTERM')
})

await t.test('an agent', async (t) => {
  const folder = t.testdir({ 'policy.yaml': OPEN })
  const socket = join(folder, 'run', 'agent.sock')
  await mkdir(join(folder, 'run'), { mode: 0o700 })
  const policy = join(folder, 'policy.yaml')
  const args = [TAGSEAL, 'verifier', '--serve', socket, '--policy', policy]
  const env = { ...COMPILED, PATH: process.env['PATH'], HOME: folder, TAGSEAL_HOME: join(folder, 'home') }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_code, signal) => resolve(signal)))
  t.teardown(() => child.kill('SIGKILL'))
  const written: string[] = []
  child.stderr.on('data', (part: Buffer) => written.push(part.toString('utf8')))
  const log = () =>
    written
      .join('')
      .split('\n')
      .slice(0, -1) // the last one may be still coming
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Entry] : []))
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('listening on')) break
  const question = { image: parseImage(IMAGE), digest: `sha256:${'a'.repeat(64)}`, size: 1 }
  const ask = async () => (await askAgent(socket, question))?.code ?? 'dropped: nobody there'
  const load = under(ask)

  await t.test('goes on with its policy where the next one is broken, and says so', async (t) => {
    await writeFile(policy, BROKEN)
    child.kill('SIGHUP')
    await until('it is told', () => countOf(log, 'policy', 'broken') > 0)
    t.match(
      log().findLast(({ event }) => event === 'policy'),
      { reason: 'POLICY_MALFORMED', consequence: 'the old one stays in force' },
    )
    t.equal(await ask(), 'ADMITTED')
  })

  await t.test('goes by a new policy from one answer to the next', async () => {
    await writeFile(policy, SHUT)
    child.kill('SIGHUP')
    await until('it refuses', async () => (await ask()) === 'REFUSED_BY_RULE')
  })

  await t.test('reads it again at SIGHUP, changed or not', async (t) => {
    const before = countOf(log, 'policy', 'adopted')
    child.kill('SIGHUP')
    await until('it was read', () => countOf(log, 'policy', 'adopted') > before)
    t.equal(await readFile(policy, 'utf8'), SHUT)
  })

  t.same([...(await load.end()).keys()].toSorted(), ['ADMITTED', 'REFUSED_BY_RULE'], 'no question was dropped')
  child.kill('SIGTERM')
  t.equal(await ended, 'SIGTERM')
})
