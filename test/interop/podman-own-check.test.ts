/**
 * podman and skopeo as their distribution ships them, with nothing of ours but a public key in `policy.json`: whether a
 * digest may be used under a tag they find out themselves, also where somebody stands between them and the gateway.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import type { TestGateway } from '../support/gateway.ts'
import { buildImage, buildIndex, stored } from '../support/images.ts'
import type { BuiltImage } from '../support/images.ts'
import { checksNothing, openSkopeo, OWN_CHECKS, pathOf } from '../support/own-check.ts'
import type { OwnCheck } from '../support/own-check.ts'
import { whyNoBusybox } from '../support/docker-town.ts'
import { runProgram } from '../support/program.ts'
import { tagsealHere } from '../support/in-process.ts'
import { pushImage, putBlob, putManifest, whyNoRegistry } from '../support/registry.ts'
import { runInside } from '../support/run-inside.ts'
import { openTown, pinFrom } from '../support/town.ts'
import type { Person, Town } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false
/** How old an answer may be here, in milliseconds: what is signed or revoked is seen soon. */
const MAX_AGE = 1000

type Lab = {
  readonly town: Town
  readonly owner: Person
  readonly gateway: TestGateway
  /** Between the engines and the gateway: it can send them elsewhere than they asked. */
  readonly middle: Middle
  /** What an administrator wrote for the engines. */
  readonly folder: string
}
type Middle = {
  readonly host: string
  /** From the path that was asked for to the URL whose answer is given. */
  route: (path: string) => string
  readonly close: () => Promise<void>
}
type Wish = { readonly through?: 'gateway' | 'middle' | 'registry'; readonly key?: 'bridge' | 'other' }

/** What `tagseal doctor` wrote, for another way or another key where that is wished for. */
async function configure({ town, gateway, middle, folder }: Lab, { through = 'gateway', key = 'bridge' }: Wish = {}) {
  const written = (file: string) => readFile(join(folder, 'root/etc/containers', file), 'utf8')
  const { host } = town.registry
  const location = { gateway: gateway.host, middle: middle.host, registry: host }[through]
  const policy = await written('policy.json')
  const attachments = await written('registries.d/tagseal.yaml')
  const registries = await written('registries.conf.d/999-tagseal.conf')
  const own = `[[registry]]\nprefix = "${gateway.host}"\nlocation = "${gateway.host}"\ninsecure = true\n`
  const files = {
    'policy.json': policy.replaceAll('/etc/containers/tagseal-bridge.pub', join(folder, `${key}.pub`)),
    'registries.conf': registries.replace(`location = "${gateway.host}"`, `location = "${location}"`) + own,
    // Looked up by where it is fetched.
    'registries.d/tagseal.yaml': through === 'middle' ? attachments.replace(gateway.host, middle.host) : attachments,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
}

const [plain, own] = [imageWith('plain'), process.arch === 'arm64' ? 'arm64' : 'amd64']
const SIGNED = {
  plain,
  also: plain,
  multi: buildIndex([{ architecture: own }, { architecture: 's390x' }]),
  moved: imageWith('moved'),
  weak: imageWith('a hole in it'),
}

type Journey = (t: Test, lab: Lab, engine: OwnCheck) => Promise<void>

const JOURNEYS: Record<string, Journey> = {
  'a signed image is pulled': async (t, lab, engine) => {
    await pulled(t, engine, `${lab.town.repository}:plain`, SIGNED.plain.manifest.digest)
  },
  'an image of an index, for this machine': async (t, lab, engine) => {
    await pulled(t, engine, `${lab.town.repository}:multi`, SIGNED.multi.images[0]?.manifest.digest)
  },
  'one image under several tags, and by its digest': async (t, lab, engine) => {
    const { digest } = SIGNED.plain.manifest
    for (const name of [':also', `@${digest}`]) await pulled(t, engine, lab.town.repository + name, digest)
  },
  'under the name of the gateway, where the policy says what is signed in its place': async (t, lab, engine) => {
    await pulled(t, engine, `${lab.gateway.host}/team/app:plain`, SIGNED.plain.manifest.digest)
  },
  'a tag that moved in the registry is pulled as it was signed': async (t, lab, engine) => {
    await lab.town.push('moved', imageWith('evil'))
    await pulled(t, engine, `${lab.town.repository}:moved`, SIGNED.moved.manifest.digest)
  },
  'a tag that was signed anew is the new image, and the old one is nothing any more': async (t, lab, engine) => {
    const old = await release(lab, 'anew', imageWith('before'))
    const image = `${lab.town.repository}:anew`
    await pulled(t, engine, image, old)
    await pulled(t, engine, image, await release(lab, 'anew', imageWith('new')))
    await refused(t, engine, `${lab.town.repository}@${old}`, /denied: tagseal: no signed tag of \S+ leads to sha256:/)
  },
  'a tag that nobody signed is refused in words': async (t, lab, engine) => {
    await lab.town.push('unsigned', imageWith('unsigned'))
    await refused(t, engine, `${lab.town.repository}:unsigned`, /denied: tagseal: \S+ has no signed tag unsigned/)
  },
  'whoever stands between gives another signed tag in its place': async (t, lab, engine) => {
    await configure(lab, { through: 'middle' })
    await pulled(t, engine, `${lab.town.repository}:plain`)
    lab.middle.route = (path) => lab.gateway.url + path.replace('/manifests/plain', '/manifests/weak')
    await refused(t, engine, `${lab.town.repository}:plain`, NOT_THIS_NAME)
  },
  'whoever stands between gives what another repository signed': async (t, lab, engine) => {
    await pulled(t, engine, `${lab.town.registry.host}/team/other:plain`)
    await configure(lab, { through: 'middle' })
    lab.middle.route = (path) => lab.gateway.url + path.replace('/v2/team/app/', '/v2/team/other/')
    await refused(t, engine, `${lab.town.repository}:plain`, NOT_THIS_NAME)
  },
  'whoever stands between gives an unsigned image with the signatures of a signed one': async (t, lab, engine) => {
    const signed = nameOf(SIGNED.plain.manifest.digest)
    const { digest } = await lab.town.push('evil', imageWith('evil'))
    await configure(lab, { through: 'middle' })
    lab.middle.route = (path) =>
      path.includes(nameOf(digest))
        ? lab.gateway.url + path.replace(nameOf(digest), signed)
        : (path.endsWith('/manifests/plain') ? lab.town.registry.url : lab.gateway.url) +
          path.replace('/manifests/plain', '/manifests/evil')
    await refused(t, engine, `${lab.town.repository}:plain`, NOT_THIS_DIGEST)
  },
  'signatures of another key': async (t, lab, engine) => {
    await configure(lab, { key: 'other' })
    await refused(t, engine, `${lab.town.repository}:plain`, /signature|Signature/)
  },
  'what is not here is pulled by the same check before it is run': async (t, lab, engine) => {
    const { start } = engine
    if (start === undefined) return void t.pass('this engine runs nothing here')
    const why = await whyNoBusybox()
    if (why !== undefined) return void t.pass(why)
    const runnable = buildImage({ layers: [{ 'bin/busybox': await readFile('/bin/busybox') }] })
    await release(lab, 'runs', runnable)
    await lab.town.push('unsigned', runnable)
    const command = ['/bin/busybox', 'echo', 'it runs'] as const
    const ran = await start(`${lab.town.repository}:runs`, ...command)
    t.same([ran.code, ran.stdout], [0, 'it runs\n'], ran.stderr)
    const other = await start(`${lab.town.repository}:unsigned`, ...command)
    t.same([other.code, other.stdout], [125, ''])
    t.match(other.stderr, /denied: tagseal: \S+ has no signed tag unsigned/)
  },
  'past the gateway, to the registry itself': async (t, lab, engine) => {
    await configure(lab, { through: 'registry' })
    await refused(t, engine, `${lab.town.repository}:plain`, /A signature was required, but no signature exists/)
  }, // There is no time in them, and no engine of this kind looks for one. Hence the way past the gateway has to be closed.
  'a copy of a signature is believed past the gateway, also when its tag has moved on': async (t, lab, engine) => {
    const image = `${lab.town.repository}:copied`
    const built = imageWith('last year')
    const digest = await release(lab, 'copied', built)
    await copySignatures(lab, digest)
    await pulled(t, engine, image, await release(lab, 'copied', imageWith('today')))
    await lab.town.push('copied', built)
    await configure(lab, { through: 'registry' })
    await pulled(t, engine, image, digest)
  },
}

const NOT_THIS_NAME = /Signature for identity \S+ is not accepted/
const NOT_THIS_DIGEST = /Signature for (?:docker )?digest \S+ does not match/

async function pulled(t: Test, engine: OwnCheck, image: string, digest?: string): Promise<void> {
  const ran = await engine.pull(image)
  t.equal(ran.code, 0, `${image}: ${ran.stderr}`)
  if (digest !== undefined) t.equal(await engine.has(image), digest)
}

async function refused(t: Test, engine: OwnCheck, image: string, words: RegExp): Promise<void> {
  const ran = await engine.pull(image)
  t.not(ran.code, 0)
  t.match(ran.stderr, words)
  t.equal(await engine.has(image), '', 'and nothing of it is here')
}

function imageWith(text: string): BuiltImage {
  return buildImage({ layers: [{ 'etc/motd': text }] })
}

async function release(lab: Lab, tag: string, built: BuiltImage): Promise<string> {
  const { digest } = await lab.town.push(tag, built)
  await sign(lab.owner, `${lab.town.repository}:${tag}`)
  await delay(MAX_AGE)
  return digest
}

async function sign(owner: Person, ...images: readonly string[]): Promise<void> {
  const { code, stderr } = await owner.run(['sign', ...images])
  if (code !== 0) throw new Error(stderr)
}

function nameOf(digest: string): string {
  return `${digest.replace(':', '-')}.sig`
}

/** What anybody may do who once pulled through the gateway and may write to the registry. */
async function copySignatures({ town: { registry }, gateway }: Lab, digest: string): Promise<void> {
  const get = async (path: string) => {
    const answer = await fetch(`${gateway.url}/v2/team/app/${path}`)
    return stored(answer.headers.get('content-type') ?? '', new Uint8Array(await answer.arrayBuffer()))
  }
  const manifest = await get(`manifests/${nameOf(digest)}`)
  const { config, layers } = JSON.parse(Buffer.from(manifest.bytes).toString()) as {
    config: { digest: string }
    layers: readonly { digest: string }[]
  }
  for (const one of [config, ...layers]) await putBlob(registry, 'team/app', await get(`blobs/${one.digest}`))
  await putManifest(registry, 'team/app', nameOf(digest), manifest)
}

async function startMiddle(target: string): Promise<Middle> {
  const server = createServer((request, response) => {
    const forward = async () => {
      const accept = request.headers.accept ?? '*/*'
      const answer = await fetch(middle.route(request.url ?? ''), {
        method: request.method ?? 'GET',
        headers: { accept },
      })
      const type = answer.headers.get('content-type') ?? 'application/json'
      response.writeHead(answer.status, { 'content-type': type }).end(Buffer.from(await answer.arrayBuffer()))
    }
    forward().catch(() => request.socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const middle: Middle = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    route: (path) => target + path,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return middle
}

/** A private key as OpenSSL makes it, and what the gateway says is its public half. */
async function makeKey(folder: string, name: string): Promise<void> {
  const file = join(folder, `${name}.pem`)
  const args = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file]
  const { code, stderr } = await runProgram('openssl', args)
  if (code !== 0) throw new Error(stderr)
  const { stdout } = await runInside(['gateway', '--bridge-key', file, '--print-bridge-key'])
  await writeFile(join(folder, `${name}.pub`), stdout)
}

async function openLab(t: Test): Promise<Lab> {
  const town = await openTown({}, tagsealHere)
  t.teardown(town.close)
  const owner = await town.person()
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  const key = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const other = await owner.run(['init', `${town.registry.host}/team/other`, '--no-passphrase', '--root-key', key])
  if (other.code !== 0) throw new Error(other.stderr)
  for (const [tag, built] of Object.entries(SIGNED)) await town.push(tag, built)
  await pushImage(town.registry, 'team/other', 'plain', imageWith('of the other'))
  await sign(owner, ...Object.keys(SIGNED).map((tag) => `${town.repository}:${tag}`))
  await sign(owner, `${town.registry.host}/team/other:plain`)
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-gateway-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['bridge', 'other']) await makeKey(folder, name)
  await mkdir(join(folder, 'registries.d'))
  const policy = `version: 1
defaultRegistry: ${town.registry.host}
rules:
  - pattern: ${town.registry.host}/**
    pin: { keys: [${key}] }
    server: ${town.server.url}
    maxAge: ${MAX_AGE / 1000}s
    signedOnce: true
    upstream: { plainHttp: true }
`
  const gateway = await startGateway({ folder, policy, args: ['--bridge-key', join(folder, 'bridge.pem')] })
  t.teardown(() => gateway.stop())
  const middle = await startMiddle(gateway.url)
  t.teardown(middle.close)
  const wish = ['--registry', town.registry.host, '--bridge-key', join(folder, 'bridge.pub')]
  const args = [
    'doctor',
    '--write',
    'podman',
    '--gateway',
    gateway.url,
    '--root',
    join(folder, 'root'),
    '--yes',
    ...wish,
  ]
  const wrote = await runInside(args)
  if (wrote.exit !== 0) throw new Error(wrote.stderr)
  return { town, owner, gateway, middle, folder }
}

await t.test('engines that check by themselves, through the gateway', { skip }, async (t) => {
  const lab = await openLab(t)
  for (const [name, open] of Object.entries(OWN_CHECKS)) {
    const engine = await open(lab.folder)
    await t.test(name, { skip: typeof engine === 'string' && engine }, async (t) => {
      if (typeof engine === 'string') return
      t.teardown(engine.stop)
      for (const [sentence, journey] of Object.entries(JOURNEYS)) {
        await t.test(sentence, async (t) => {
          lab.middle.route = (path) => lab.gateway.url + path
          await configure(lab)
          await journey(t, lab, engine)
        })
      }
    })
  }
  const path = await pathOf('skopeo')
  const whole =
    path === undefined || !(await checksNothing(path)) ? 'SKIPPED: no skopeo here was built without it' : false
  await t.test('one that was built without this check refuses everything, and says so', { skip: whole }, async (t) => {
    const engine = await openSkopeo(path ?? '', lab.folder)
    t.teardown(engine.stop)
    await configure(lab)
    await refused(t, engine, `${lab.town.repository}:plain`, /sigstore disabled/)
  })
})
