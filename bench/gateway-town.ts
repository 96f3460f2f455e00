/** What a gateway stands between: a registry with large layers, a trust server that says what its tags mean, and itself. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { openSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildImage, entry } from '../test/support/images.ts'
import { startRegistry } from '../test/support/registry.ts'
import type { TestRegistry } from '../test/support/registry.ts'
import type { Certificate } from './certificate.ts'
import { run } from './measure.ts'
import { DIST, readyAddress, startOurs } from './ours.ts'
import type { Ours } from './ours.ts'

export type Layer = { readonly digest: string; readonly size: number }

/** Everything that is asked for is of one repository, `bench/app`, whose tags are `image-0`, `image-1` and so on. */
export type Town = {
  readonly folder: string
  readonly registry: TestRegistry
  /** One in each image. */
  readonly layers: readonly Layer[]
  readonly startGateway: () => Promise<Gateway>
  readonly close: () => Promise<void>
}

export type Gateway = {
  readonly url: string
  readonly process: ChildProcess
  /** Milliseconds from each request for a manifest to its verdict, as the gateway says in its log. */
  readonly verdicts: () => Promise<readonly number[]>
  /** As if nothing had been pulled through it: what it keeps may be thrown away at any time. */
  readonly forget: () => Promise<void>
  readonly close: () => Promise<void>
}

export type TownOptions = { readonly tls: Certificate | undefined; readonly sizes: readonly number[] }

export async function openTown(dir: string, { tls, sizes }: TownOptions): Promise<Town> {
  await mkdir(dir, { recursive: true })
  const ours = await startOurs(join(dir, 'ours'), tls)
  const registry = await startRegistry(tls === undefined ? {} : { tls })
  const close = async () => {
    await ours.close()
    await registry.stop()
  }
  try {
    const layers: Layer[] = []
    for (const [at, size] of sizes.entries()) layers.push(await putImage(registry, { dir, at, size, tls }))
    const key = await sign(ours, registry, layers.length, tls)
    const policy = join(dir, 'policy.yaml')
    await writeFile(policy, policyFor({ host: registry.host, key, server: ours.url, tls }))
    return { folder: dir, registry, layers, startGateway: () => startGateway(dir, policy, tls), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** An image with a layer of that many bytes that nobody can pack. By way of files: a layer may be larger than the memory. */
async function putImage(
  registry: TestRegistry,
  { dir, at, size, tls }: { dir: string; at: number; size: number; tls: Certificate | undefined },
): Promise<Layer> {
  const file = join(dir, 'content')
  const curl = curlFor(tls)
  const digest = await writeNoise(file, size, at)
  await upload(curl, registry, file, digest)
  const { config, manifest } = buildImage({ layers: [{ number: String(at) }] })
  await writeFile(file, config.bytes)
  await upload(curl, registry, file, config.digest)
  const { mediaType } = manifest
  const layers = [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size }]
  await writeFile(file, JSON.stringify({ schemaVersion: 2, mediaType, config: entry(config), layers }))
  await curl('-T', file, '-H', `content-type: ${mediaType}`, `${registry.url}/v2/${REPOSITORY}/manifests/${tagOf(at)}`)
  await rm(file)
  return { digest, size }
}

export const REPOSITORY = 'bench/app'
export const tagOf = (at: number): string => `image-${at}`

const PIECE = 4 * 1024 * 1024

async function writeNoise(file: string, size: number, seed: number): Promise<string> {
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  const hash = createHash('sha256')
  const handle = await open(file, 'w')
  try {
    for (let left = size; left > 0; left -= PIECE) {
      const piece = noise.update(Buffer.alloc(Math.min(PIECE, left)))
      hash.update(piece)
      await handle.write(piece)
    }
  } finally {
    await handle.close()
  }
  return `sha256:${hash.digest('hex')}`
}

type Curl = (...args: string[]) => Promise<string>

function curlFor(tls: Certificate | undefined): Curl {
  return (...args) => run({ command: 'curl', args: ['--silent', '--show-error', '--fail', ...trusted(tls), ...args] })
}

async function upload(curl: Curl, { url }: TestRegistry, file: string, digest: string): Promise<void> {
  const opened = await curl('-X', 'POST', '-D', '-', '-o', '/dev/null', `${url}/v2/${REPOSITORY}/blobs/uploads/`)
  const location = new URL(/^location: (\S+)/im.exec(opened)?.[1] ?? '', url)
  location.searchParams.set('digest', digest)
  await curl('-T', file, '-H', 'content-type: application/octet-stream', location.href)
}

export function trusted(tls: Certificate | undefined): readonly string[] {
  return tls === undefined ? [] : ['--cacert', tls.ca]
}

/** Gives the id of the root key, which the policy pins. */
async function sign(ours: Ours, { host }: TestRegistry, images: number, tls: Certificate | undefined): Promise<string> {
  const repository = `${host}/${REPOSITORY}`
  const pin = await run(ours.tagseal('init', repository))
  const [, key] = /--key ([0-9a-f]+)/.exec(pin) ?? []
  if (key === undefined) throw new Error(`tagseal init printed no pin: ${pin}`)
  const tags = Array.from({ length: images }, (_, at) => `${repository}:${tagOf(at)}`)
  const reach = tls === undefined ? ['--plain-http'] : ['--registry-ca', tls.ca]
  await run(ours.tagseal('sign', ...reach, ...tags))
  return key
}

type Named = {
  readonly host: string
  readonly key: string
  readonly server: string
  readonly tls: Certificate | undefined
}

function policyFor({ host, key, server, tls }: Named): string {
  const upstream = tls === undefined ? '{ plainHttp: true }' : `{ ca: ${tls.ca} }`
  return `version: 1
defaultRegistry: ${host}
rules:
  - pattern: ${host}/**
    pin: { keys: [${key}] }
    server: ${server}
    upstream: ${upstream}
`
}

let started = 0

async function startGateway(dir: string, policy: string, tls: Certificate | undefined): Promise<Gateway> {
  started += 1
  const own = join(dir, `gateway-${started}`)
  const cache = join(own, 'cache')
  await mkdir(own)
  const log = join(own, 'log')
  const certificate = tls === undefined ? [] : ['--tls-cert', tls.cert, '--tls-key', tls.key, '--ca', tls.ca]
  const listen = ['--home', join(own, 'home'), '--policy', policy, '--listen', '127.0.0.1:0', ...certificate]
  const args = [join(DIST, 'tagseal.cjs'), 'gateway', ...listen, '--cache', cache, '--cache-size', '40G']
  const child = spawn(process.execPath, [...nodeOptions(), ...args], { stdio: ['ignore', 'pipe', openSync(log, 'w')] })
  const ended = new Promise((resolve) => child.on('close', resolve))
  if (child.stdout === null) throw new Error('the gateway has no output')
  return {
    url: await readyAddress(child.stdout),
    process: child,
    async verdicts() {
      const lines = (await readFile(log, 'utf8')).split('\n')
      return lines.flatMap((line) =>
        line.includes('"event":"verdict"') ? [(JSON.parse(line) as { ms: number }).ms] : [],
      )
    },
    async forget() {
      for (const kind of await readdir(cache)) {
        if (kind !== 'incoming') await rm(join(cache, kind), { recursive: true, force: true })
      }
    },
    async close() {
      child.kill('SIGTERM')
      await ended
      await rm(cache, { recursive: true, force: true })
    },
  }
}

/** For whoever looks for where the time goes: `BENCH_NODE_OPTIONS=--cpu-prof`. */
function nodeOptions(): readonly string[] {
  return (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter((option) => option !== '')
}
