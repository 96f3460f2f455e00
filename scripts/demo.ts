/**
 * `npm run demo`: a release, and six ways to have somebody run something else.
 *
 * Everything is real: a tagseal-server on SQLite, a registry, an image of two platforms, and the `tagseal` program in its
 * own process at every step. What should be refused and is not ends the demo with exit code 1.
 *
 * `npm run demo -- --registry http://127.0.0.1:5000` pushes to a registry that is there already.
 */
import { copyFile, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { buildIndex } from '../test/support/images.ts'
import type { BuiltIndex } from '../test/support/images.ts'
import { TAGSEAL, TAGSEAL_SERVER } from '../test/support/programs.ts'
import { pushImage, putManifest, whyNoSkopeo } from '../test/support/registry.ts'
import { startMirror } from './demo/mirror.ts'
import { openRegistry } from './demo/registry.ts'
import type { DemoRegistry } from './demo/registry.ts'
import { openStage } from './demo/stage.ts'
import type { Ran, Stage } from './demo/stage.ts'
import { openTeller } from './demo/teller.ts'

/** So short that the demo can wait for the end of a timestamp. By default it is a day. */
const TIMESTAMP_LIFETIME = 8
let tokens = 1

const { values } = parseArgs({ options: { registry: { type: 'string' } } })
const tell = openTeller(process.stdout, process.env)
const stage = await openStage()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void leave(130))

try {
  await play(stage, values.registry)
} catch (error) {
  process.exitCode = 1
  console.error(`\ndemo failed: ${error instanceof Error ? error.message : String(error)}`)
} finally {
  await stage.close()
}

async function leave(code: number): Promise<void> {
  await stage.close()
  process.exit(code)
}

type Image = { readonly repository: string; readonly tag: string; readonly name: string }

async function play(stage: Stage, url: string | undefined): Promise<void> {
  const began = performance.now()
  tell.title('Set up')
  const registry = await openRegistry(url)
  if (registry === undefined) {
    throw new Error(
      'no registry: install docker-registry, or name one with `npm run demo -- --registry http://HOST:PORT`',
    )
  }
  stage.atEnd(registry.stop)
  tell.did('registry', `${registry.about} on ${registry.host}`)
  let server = await startServer(stage)
  tell.did(
    'server',
    `tagseal-server on ${server.url}, SQLite, timestamps that live ${TIMESTAMP_LIFETIME} s (default: a day)`,
  )

  const repository = `${registry.host}/team/app`
  const image: Image = { repository, tag: '1.0', name: `${repository}:1.0` }
  const owner = await actor(stage, 'owner', {
    TAGSEAL_SERVER: server.url,
    TAGSEAL_TOKEN: await token(stage, repository),
  })
  const old = buildIndex(release('1.0, with a hole'))
  const mended = buildIndex(release('1.0, mended'))
  const foreign = buildIndex(release('somebody else built this'))

  tell.title('Release')
  await push(registry, old)
  tell.did('push', `${image.name}  ${short(old.index.digest)}  2 platforms, 4 layers, ${old.index.size} bytes of index`)
  const founded = parsed(await passes(owner(['init', repository, '--json'])))
  const pin = textOf(member(founded, 'command'))
  const rootKey = textOf(member(member(member(founded, 'root'), 'keys'), '0'))
  tell.did('init', 'root and targets keys under a passphrase; consumers need:')
  tell.note(`           ${pin}`)
  tell.did('sign', await passes(owner(['sign', image.name])))

  const consumer = await machine(stage, 'consumer', pin)
  const reference = await passes(consumer(['verify', '--deep', image.name]))
  expect(reference.endsWith(old.index.digest), `verify printed ${reference}`)
  tell.did('verify', `${reference}  every manifest and layer fetched and hashed`)
  await pull(stage, consumer, image)

  // A mirror hears all of this, and a machine that later knows nothing but the pin asks it.
  const mirror = await startMirror(server.url)
  stage.atEnd(mirror.close)
  const listener = await machine(stage, 'listener', pin)
  await passes(listener(['verify', image.name, '--server', mirror.url]))
  mirror.playBack()
  const recorded = performance.now()

  await push(registry, mended)
  await passes(owner(['sign', image.name]))
  const now = await passes(consumer(['verify', image.name]))
  expect(now.endsWith(mended.index.digest), `verify printed ${now}`)
  tell.did('sign again', `${image.tag} now means ${short(mended.index.digest)}, and verify says so`)

  tell.title('Attacks')
  await pushDigests(registry, foreign)
  await putManifest(registry, 'team/app', '1.0', foreign.index)
  await refuses(
    'tag moved in the registry',
    consumer(['verify', `${image.name}@${foreign.index.digest}`, '--json']),
    'DIGEST_DIFFERS',
  )
  const still = await passes(consumer(['verify', image.name]))
  expect(still.endsWith(mended.index.digest), `verify followed the registry to ${still}`)
  await putManifest(registry, 'team/app', '1.0', mended.index)

  await refuses(
    'older signed tag replayed by a mirror',
    consumer(['verify', image.name, '--server', mirror.url, '--json']),
    'ROLLBACK',
  )

  const mend = await registry.spoil(layerOf(mended))
  await refuses(
    'layer bytes changed in the registry',
    consumer(['verify', '--deep', image.name, '--json']),
    'DIGEST_MISMATCH',
  )
  await mend()
  await passes(consumer(['verify', '--deep', image.name]))

  await server.stop()
  const restore = swapDigest(stage, mended.index.digest, foreign.index.digest)
  server = await startServer(stage, server.url)
  const fresh = await machine(stage, 'fresh', pin)
  await refuses(
    "metadata tampered on the server's disk",
    fresh(['verify', image.name, '--json']),
    'HASH_MISMATCH',
    'THRESHOLD',
  )
  await server.stop()
  restore()
  server = await startServer(stage, server.url)
  await passes(fresh(['verify', image.name]))

  await stolenKey(stage, registry, {
    owner,
    consumer,
    image,
    pin,
    rootKey,
    serverUrl: server.url,
    foreign,
    good: mended.index.digest,
  })

  const wait = recorded + (TIMESTAMP_LIFETIME + 1) * 1000 - performance.now()
  if (wait > 0) await sleep(wait)
  const late = await machine(stage, 'late', pin)
  await refuses(
    'server frozen past the expiry of its timestamp',
    late(['verify', image.name, '--server', mirror.url, '--json']),
    'EXPIRED',
  )
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  tell.title(
    `All refused, and ${image.tag} is still ${short(mended.index.digest)} for everybody. ${seconds} s, nothing left behind.`,
  )
}

type Tagseal = (args: readonly string[]) => Promise<Ran>

type Theft = {
  readonly owner: Tagseal
  readonly consumer: Tagseal
  readonly image: Image
  readonly pin: string
  readonly rootKey: string
  readonly serverUrl: string
  readonly foreign: BuiltIndex
  /** What the tag means before, and must mean after. */
  readonly good: string
}

/** The thief has the targets key, its passphrase and a token: everything that a pipeline has. */
async function stolenKey(stage: Stage, registry: DemoRegistry, theft: Theft): Promise<void> {
  const { owner, consumer, image, serverUrl, foreign, good } = theft
  const env = { TAGSEAL_SERVER: serverUrl, TAGSEAL_TOKEN: await token(stage, image.repository) }
  const thief = await actor(stage, 'thief', env)
  await mkdir(stage.path('thief', 'keys'), { mode: 0o700 })
  await cp(stage.path('owner', 'keys'), stage.path('thief', 'keys'), { recursive: true })
  await copyFile(stage.path('owner', 'trust.json'), stage.path('thief', 'trust.json'))
  await rm(stage.path('thief', 'keys', `${theft.rootKey}.pem`)) // that one was offline
  await putManifest(registry, 'team/app', 'evil', foreign.index)
  const evil = `${image.repository}:evil`
  await passes(thief(['sign', evil]))
  const mirror = await startMirror(serverUrl)
  stage.atEnd(mirror.close)
  await passes(consumer(['verify', evil, '--server', mirror.url]))
  tell.did('stolen', 'whoever has the targets key signs a tag of his own, and it counts, until')

  await passes(owner(['rotate', image.repository, 'targets', '--compromised']))
  await passes(owner(['revoke', evil]))
  tell.did(
    'rotate',
    'targets has a new key, its tags are signed again, the foreign one is revoked; consumers do nothing',
  )
  await refuses('what the stolen key had signed', consumer(['verify', evil, '--json']), 'TAG_NOT_SIGNED')
  await refuses('the stolen key signing again', thief(['sign', evil, '--json']), 'NO_SIGNING_KEY', 'UPDATE_REFUSED')
  mirror.keepGiving(/\.targets\.json$/)
  const fresh = await machine(stage, 'after', theft.pin)
  const asked = fresh(['verify', evil, '--server', mirror.url, '--json'])
  await refuses('its old signature under the new keys', asked, 'THRESHOLD')
  const still = await passes(consumer(['verify', image.name]))
  expect(still.endsWith(good), `after the rotation verify printed ${still}`)
  tell.did('verify', `${image.tag} lives on as ${short(good)}, signed by the new key`)
}

async function startServer(stage: Stage, url = 'http://127.0.0.1:0') {
  const args = ['--data', stage.path('data'), '--listen', new URL(url).host.replace(/^([^:]+)$/, '$1:0')]
  return await stage.serve(TAGSEAL_SERVER, args, { TAGSEAL_SERVER_TIMESTAMP_LIFETIME: String(TIMESTAMP_LIFETIME) })
}

async function token(stage: Stage, repository: string): Promise<string> {
  const name = `demo-${tokens++}`
  const args = [
    'token',
    'create',
    '--data',
    stage.path('data'),
    '--name',
    name,
    '--repo',
    repository,
    '--allow',
    'pull,push',
  ]
  return await passes(stage.run(TAGSEAL_SERVER, args))
}
/** A machine of its own: a home, and nothing in it but a passphrase. */
async function actor(stage: Stage, name: string, env: Readonly<Record<string, string>>): Promise<Tagseal> {
  await mkdir(stage.path(name), { mode: 0o700 })
  const passphrase = stage.path(name, 'passphrase')
  await writeFile(passphrase, 'a passphrase for the demo\n', { mode: 0o600 })
  const all = { TAGSEAL_HOME: stage.path(name), TAGSEAL_PASSPHRASE_FILE: passphrase, ...env }
  return (args) => stage.run(TAGSEAL, args, all)
}

/** A consumer that knows the pin and nothing else. */
async function machine(stage: Stage, name: string, pin: string): Promise<Tagseal> {
  const tagseal = await actor(stage, name, {})
  await passes(tagseal(words(pin)))
  return tagseal
}

/** The pin as `init` prints it, without the program's name. */
function words(command: string): readonly string[] {
  return command.split(' ').slice(1)
}

function release(what: string) {
  return (['amd64', 'arm64'] as const).map((architecture) => ({
    architecture,
    layers: [
      { 'etc/os-release': 'NAME="demo"\n', 'etc/motd': `${'welcome '.repeat(200)}\n` },
      { 'app/version': `${what}\n`, 'app/run': `#!/bin/sh\n# for ${architecture}\ncat /app/version\n` },
    ],
  }))
}

async function push(registry: DemoRegistry, built: BuiltIndex): Promise<void> {
  await pushImage(registry, 'team/app', '1.0', built)
}

async function pushDigests(registry: DemoRegistry, built: BuiltIndex): Promise<void> {
  await pushImage(registry, 'team/app', 'unsigned', built)
}

function layerOf({ images }: BuiltIndex): string {
  const digest = images[0]?.layers[1]?.digest
  if (digest === undefined) throw new Error('an image without layers')
  return digest
}

/** By skopeo where it is: an engine gets the digest that verify found, and never the tag. */
async function pull(stage: Stage, consumer: Tagseal, image: Image): Promise<void> {
  if ((await whyNoSkopeo()) !== undefined) {
    return tell.note('pull       skopeo is not installed; verify --deep has fetched it all')
  }
  const folder = stage.path('consumer', 'pulled')
  const pulled = await passes(consumer(['pull', image.name, '--engine', 'skopeo', '--output', folder]))
  const files = await readdir(join(folder, 'blobs', 'sha256'))
  tell.did('pull', `skopeo copied ${short(digestOf(pulled))} and the ${files.length - 1} blobs below it`)
}

/** Writes another digest into the stored targets, as somebody with the disk in his hands would. */
function swapDigest(stage: Stage, from: string, to: string): () => void {
  const change = (before: string, after: string) => {
    const db = new Database(stage.path('data', 'tagseal.db'))
    const rows = db.prepare<[], { id: number; bytes: Buffer }>('SELECT id, bytes FROM content').all()
    const hit = rows.filter(({ bytes }) => bytes.includes(before))
    for (const { id, bytes } of hit) {
      const text = bytes.toString('latin1').replaceAll(before, after)
      db.prepare('UPDATE content SET bytes = ? WHERE id = ?').run(Buffer.from(text, 'latin1'), id)
    }
    db.close()
    expect(hit.length > 0, 'the server stores no targets with the signed digest')
  }
  const hex = (digest: string) => digest.replace('sha256:', '')
  change(hex(from), hex(to))
  return () => change(hex(to), hex(from))
}

async function passes(running: Promise<Ran>): Promise<string> {
  const { status, stdout, stderr } = await running
  expect(status === 0, `a step that should work ended with ${status}:\n${stdout}\n${stderr}`)
  return stdout
}

async function refuses(what: string, running: Promise<Ran>, ...codes: readonly string[]): Promise<void> {
  const { status, stdout, stderr } = await running
  const { code, message } = errorOf(stdout)
  const told = `ended with ${status} and ${code || 'no code'}\n${stdout}\n${stderr}`
  expect(status === 1 && codes.includes(code), `NOT REFUSED AS IT SHOULD: ${what} ${told}`)
  tell.refused(what, code, message.replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1'))
}

function errorOf(json: string): { readonly code: string; readonly message: string } {
  const error = member(parsed(json), 'error')
  return { code: textOf(member(error, 'code')), message: textOf(member(error, 'message')) }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(name) : undefined
}

function digestOf(reference: string): string {
  return reference.slice(reference.indexOf('@') + 1)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function short(digest: string): string {
  return digest.slice(0, 19)
}

function expect(held: boolean, otherwise: string): asserts held {
  if (!held) throw new Error(otherwise)
}
