/** A rule that names the authority of its trust server, for every program that goes by policies, and while one runs. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { monotonicNow } from '../../client/monotonic.ts'
import { run } from '../../client/run.ts'
import { startAdmission } from '../support/admission.ts'
import { codeOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { serverHere, tagsealHere } from '../support/in-process.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { pod, reviewOf } from '../support/reviews.ts'
import { runInside } from '../support/run-inside.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? (await whyNoOpenssl()) ?? false

/** A signed image, and a policy beside the authority that its rule names. */
async function openSigned(t: Test) {
  const folder = t.testdir()
  const { cert, key, caText } = await makeCertificate(join(folder, 'tls'))
  const other = await makeCertificate(join(folder, 'other'))
  const town = await openTown({}, tagsealHere, async () => await serverHere({ tlsCert: cert, tlsKey: key }))
  t.teardown(town.close)
  const owner = await town.person()
  const made = await owner.run(['init', town.repository, '--ca', cert, '--no-passphrase'])
  t.equal(made.code, 0, made.stderr)
  const pinned = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const image = await town.push('1.0', buildImage())
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  await copyFile(cert, join(folder, 'trust-ca.pem'))
  const policy = join(folder, 'policy.yaml')
  const rule = `pattern: "${town.registry.host}/**", pin: { keys: [${pinned}] }, server: ${town.server.url}, maxAge: 1s`
  const write = async (more: string) =>
    await writeFile(
      policy,
      `version: 1\ndefaultRegistry: ${town.registry.host}\nrules:\n  - { ${rule}, ca: trust-ca.pem }\n${more}`,
    )
  await write('')
  const env = (home: string) => ({ TAGSEAL_HOME: join(folder, home), HOME: folder })
  return { folder, town, image, policy, write, env, caText, other, name: `${town.repository}:1.0` }
}

await t.test('a rule that names the authority of its server', { skip }, async (t) => {
  const { folder, town, image, policy, env, other, name } = await openSigned(t)
  const verify = async (home: string, more: Record<string, string> = {}, ...args: readonly string[]) =>
    await tagsealHere(['verify', name, '--policy', policy, ...args], { env: { ...env(home), ...more } })

  await t.test('serves verify, whatever the run names for rules that say nothing', async (t) => {
    t.match(await verify('a'), { code: 0, stdout: image.digest })
    t.match(await verify('b', { TAGSEAL_CA: other.cert }), { code: 0, stdout: image.digest })
  })
  await t.test('is of no use to another server that the run names', async (t) => {
    const ran = await verify('c', {}, '--server', town.server.url.replace('127.0.0.1', 'localhost'))
    t.same([ran.code, codeOf(ran)], [3, 'NETWORK'])
  })
  await t.test('goes before the authority that a pin of this machine keeps', async (t) => {
    const pin = ['trust', 'add', `${town.registry.host}/**`, '--tofu', '--server', town.server.url, '--ca', other.cert]
    t.equal((await tagsealHere(pin, { env: env('d') })).code, 0)
    t.equal((await verify('d')).code, 0)
    const alone = await tagsealHere(['verify', name], { env: env('d') })
    t.same([alone.code, codeOf(alone)], [3, 'NETWORK'], 'by which alone that server is refused')
  })
  await t.test('serves policy test, which shows it', async (t) => {
    const test = async (...args: readonly string[]) =>
      await tagsealHere(['policy', 'test', '--policy', policy, ...args], { env: env('e') })
    t.match(await test(name), { code: 0, stdout: image.digest })
    const said = `whose certificate the authority in the rule of ${town.registry.host}/** has to vouch for`
    t.match((await test(name, '--rules')).stdout, said)
  })
  await t.test('serves a verifier of containerd, alone and by an agent', async (t) => {
    const descriptor = { mediaType: image.mediaType, digest: image.digest, size: image.size }
    const question = ['-name', name, '-digest', image.digest]
    const type = ['-stdin-media-type', 'application/vnd.oci.descriptor.v1+json']
    const ask = async (...by: readonly string[]) =>
      await runInside(['verifier', ...question, ...type, ...by], { input: JSON.stringify(descriptor), env: env('f') })
    t.match(await ask('--policy', policy), { exit: 0 })
    const end = new AbortController()
    const listening = Promise.withResolvers<string>()
    const near = await mkdtemp(join(tmpdir(), 'tagseal-agent-')) // a longer path is none of a socket
    t.teardown(() => rm(near, { recursive: true, force: true }))
    const socket = join(near, 'agent.sock')
    const serving = run(['verifier', '--serve', socket, '--policy', policy], {
      ...surroundings(env('agent'), end.signal),
      stdout: { write: listening.resolve },
    })
    t.match(await Promise.race([listening.promise, serving]), /^listening on /)
    t.match(await ask('--agent', socket), { exit: 0 })
    end.abort()
    await serving
  })
  await t.test('serves a webhook', async (t) => {
    const tls = await makeCertificate(join(folder, 'webhook'))
    const args = ['--policy', policy, '--tls-cert', tls.cert, '--tls-key', tls.key]
    const webhook = await startAdmission({ folder, args, ca: tls.caText })
    t.teardown(() => webhook.stop('SIGKILL'))
    t.match(await webhook.ask('mutate', reviewOf(pod(name))), { allowed: true })
  })
})

await t.test('a gateway follows the authority that a rule names', { skip }, async (t) => {
  const { folder, image, policy, write, env, caText, other } = await openSigned(t)
  const end = new AbortController()
  const address = Promise.withResolvers<string>()
  const says: string[] = []
  const running = run(['gateway', '--policy', policy, '--listen', '127.0.0.1:0', '--cache', join(folder, 'cache')], {
    ...surroundings(env('gateway'), end.signal),
    stdout: { write: (text) => address.resolve(/http:\S+/.exec(text)?.[0] ?? '') },
    stderr: { write: (text) => says.push(text) },
  })
  const gateway = await address.promise
  const pull = async () => {
    const response = await fetch(`${gateway}/v2/team/app/manifests/1.0`)
    const reason = /"reason":"([A-Z_]+)"/.exec(await response.text())?.[1]
    return reason ?? response.headers.get('docker-content-digest')
  }
  const becomes = async (meant: string) => {
    let got = await pull()
    for (let tries = 0; got !== meant && tries < 500; tries++) got = await delay(20).then(pull)
    t.equal(got, meant)
  }
  const told = async (text: RegExp) => {
    for (let tries = 0; !text.test(says.join('')) && tries < 500; tries++) await delay(20)
    t.match(says.join(''), text)
  }
  const ca = join(folder, 'trust-ca.pem')
  await becomes(image.digest)
  await writeFile(ca, other.caText)
  await becomes('NETWORK')
  t.match(says.join(''), /that the authority in the rule of \S+ does not vouch for/)
  await writeFile(ca, caText + other.caText)
  await becomes(image.digest)
  await writeFile(ca, caText.slice(0, -40))
  await told(/"outcome":"broken".*"message":"policy\.yaml:4:\d+: rules\[0\]\.ca: .*trust-ca\.pem cannot be used/)
  await becomes(image.digest)
  await write('  - { pattern: example.com/x, unsigned: true }\n')
  await delay(1100)
  t.equal((says.join('').match(/"outcome":"adopted"/g) ?? []).length, 2, 'nothing is adopted that names what is broken')
  await writeFile(ca, caText)
  await told(/(?:"outcome":"adopted"[^]*){3}/)
  await becomes(image.digest)
  end.abort()
  await running
})

function surroundings(env: Record<string, string>, signal: AbortSignal) {
  return {
    env,
    homeDirectory: env['HOME'],
    stdout: { write: () => undefined },
    stderr: { write: () => undefined },
    clock: Date.now,
    monotonic: monotonicNow,
    signal,
    version: '0',
  }
}
