/** A webhook beside a real trust server, asked over TLS as an API server asks. */
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { startAdmission } from '../support/admission.ts'
import { buildImage } from '../support/images.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { pod, reviewOf, workload } from '../support/reviews.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? (await whyNoOpenssl()) ?? false
/** The webhook looks at its files once a second. */
const LOOK_MS = 1500

await t.test('a cluster runs what is signed, and follows it', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const owner = await town.person()
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  const key = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const first = await town.push('1.0', buildImage())
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  const folder = t.testdir()
  const [server, renewed, client] = await Promise.all(
    ['a', 'b', 'c'].map((name) => makeCertificate(join(folder, name))),
  )
  if (server === undefined || renewed === undefined || client === undefined) throw new Error('no certificates')
  const policy = join(folder, 'policy.yaml')
  const policyText = (more = '') => `version: 1
rules:
  - pattern: ${town.registry.host}/**
    pin: { keys: [${key}] }
    server: ${town.server.url}
    maxAge: 1s
${more}`
  await writeFile(policy, policyText())
  const [cert, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  await Promise.all([copyFile(server.cert, cert), copyFile(server.key, keyFile)])
  const [clientCert, clientKey] = [await readFile(client.cert, 'utf8'), await readFile(client.key, 'utf8')]
  const api = { ca: server.caText, cert: clientCert, key: clientKey }
  const args = ['--policy', policy, '--tls-cert', cert, '--tls-key', keyFile, '--client-ca', client.ca]
  const webhook = await startAdmission({ folder, args, ca: server.caText })
  t.teardown(() => webhook.stop('SIGKILL'))

  const image = `${town.repository}:1.0`
  const pinned = `${image}@${first.digest}`
  const lastOf = (event: string) => webhook.log().findLast((line) => line['event'] === event)

  await t.test('a hundred pods at once, from cold', async (t) => {
    const began = performance.now()
    const all = await Promise.all(Array.from({ length: 100 }, () => webhook.ask('mutate', reviewOf(pod(image)), api)))
    for (const { allowed, patches } of all) t.same([allowed, patches], [true, { '/spec/containers/0/image': pinned }])
    t.ok(performance.now() - began < 8000)
  })

  await t.test('the second webhook admits what the first one made of it, and nothing else', async (t) => {
    t.match(await webhook.ask('validate', reviewOf(pod(pinned)), api), { allowed: true })
    t.match(await webhook.ask('validate', reviewOf(pod(image)), api), { reason: 'DIGEST_MISSING' })
    await town.push('unsigned', buildImage({ layers: [{ a: 'evil' }] }))
    const refused = await webhook.ask('validate', reviewOf(pod(`${town.repository}:unsigned`)), api)
    t.match(refused, { allowed: false, code: 403, reason: 'TAG_NOT_SIGNED' })
    t.match(refused.message, /^tagseal: spec\.containers\.0: .*\(TAG_NOT_SIGNED\); hint: ask its owner to sign it/)
    for (let i = 0; i < 100 && lastOf('verdict')?.['reason'] !== 'TAG_NOT_SIGNED'; i++) await delay(20)
    t.match(lastOf('verdict'), { webhook: 'validate', outcome: 'refused', reason: 'TAG_NOT_SIGNED', user: 'admin' })
  })

  await t.test('who has no certificate is not heard', async (t) => {
    await t.rejects(webhook.ask('mutate', reviewOf(pod(image)), { ca: server.caText }))
  })

  await t.test('a tag that moves is followed by what is new, and by nothing that runs', async (t) => {
    const second = await town.push('1.0', buildImage({ layers: [{ a: 'next' }] }))
    t.equal((await owner.run(['sign', image])).code, 0)
    await delay(1100)
    const { patches } = await webhook.ask('mutate', reviewOf(pod(image)), api)
    t.same(Object.values(patches), [`${image}@${second.digest}`])
    const before = workload('apps/v1', 'Deployment', pinned)
    const after = workload('apps/v1', 'Deployment', pinned, { labels: { a: 'b' } })
    const update = { operation: 'UPDATE', before } as const
    t.match(await webhook.ask('validate', reviewOf(after, update), api), { reason: 'UNCHANGED' })
    t.match(await webhook.ask('validate', reviewOf(pod(pinned)), api), { reason: 'DIGEST_DIFFERS' })
  })

  await t.test('a policy that changes counts at once, and a broken one changes nothing', async (t) => {
    await writeFile(policy, policyText('    signedOnce: true\n'))
    await delay(LOOK_MS)
    t.match(lastOf('policy'), { outcome: 'adopted' })
    const earlier = await webhook.ask('validate', reviewOf(pod(pinned)), api)
    t.match(earlier, { allowed: true, warnings: [/means another digest by now/] })
    await writeFile(policy, 'version: 1\nrules: [\n')
    await delay(LOOK_MS)
    t.match(lastOf('policy'), { outcome: 'broken', reason: 'POLICY_MALFORMED' })
    t.match(await webhook.get('/metrics', api), /tagseal_admission_policy_good 0/)
    t.match(await webhook.ask('validate', reviewOf(pod(pinned)), api), { allowed: true })
  })

  await t.test('a certificate that changes is shown, and half of one changes nothing', async (t) => {
    await copyFile(renewed.cert, cert)
    await delay(LOOK_MS)
    t.match(lastOf('certificate'), { outcome: 'broken', reason: 'FILE_MALFORMED' })
    t.match(await webhook.get('/metrics', api), /tagseal_admission_certificate_good 0/)
    await copyFile(renewed.key, keyFile)
    await delay(LOOK_MS)
    t.match(lastOf('certificate'), { outcome: 'adopted' })
    await t.rejects(webhook.get('/healthz', api), 'the old one is gone')
    const next = { ...api, ca: renewed.caText }
    t.match(await webhook.get('/metrics', next), /tagseal_admission_certificate_good 1/)
    await t.rejects(webhook.get('/healthz', { ca: renewed.caText }), 'and clients still need theirs')
  })

  await t.test('SIGTERM lets what is under way end', async (t) => {
    const agent = new Agent({ keepAlive: true })
    const body = JSON.stringify(reviewOf(pod(image)))
    const options = { method: 'POST', ...api, ca: renewed.caText, agent }
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sending = request(`${webhook.url}/mutate`, { ...options, headers })
    const answered = new Promise<number | undefined>((resolve, reject) => {
      sending.on('response', (answer) => resolve(answer.resume().statusCode)).on('error', reject)
    })
    await new Promise((resolve) => sending.write(body.slice(0, 10), resolve))
    await delay(100)
    const stopped = webhook.stop()
    await delay(100)
    sending.end(body.slice(10))
    t.equal(await answered, 200)
    t.equal(await stopped, 'SIGTERM')
    agent.destroy()
  })
})
