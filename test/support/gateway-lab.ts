import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGateway } from '../../client/gateway/gateway.ts'
import { listen } from '../../client/gateway/listen.ts'
import { openMetrics } from '../../client/gateway/metrics.ts'
import { openStore } from '../../client/gateway/store.ts'
import { monotonicNow } from '../../client/monotonic.ts'
import { loadPolicy } from '../../client/policy/policy.ts'
import { openRegistry } from '../../client/registry/registry.ts'
import { memoryCache } from '../../client/trust/memory-cache.ts'
import { openRepository } from '../../client/trust/repository.ts'
import { openVerdicts } from '../../client/verdict/engine.ts'
import type { Signer } from '../../keys/signer.ts'
import type { TargetFile } from '../../tuf/index.ts'
import { REPOSITORY_FIELD } from '../../tuf/model/repository.ts'
import { openLab } from './attack-lab.ts'
import type { Lab } from './attack-lab.ts'
import { startHostileRegistry } from './hostile-registry.ts'
import type { HostileRegistry } from './hostile-registry.ts'
import { buildImage, entry, json, stored } from './images.ts'
import type { Stored } from './images.ts'

export const NAME = 'registry.test/team/app'

/** A gateway in this process, between a trust server that a test signs with and a registry that may lie. */
export type GatewayLab = {
  readonly lab: Lab
  readonly registry: HostileRegistry
  readonly url: string
  readonly folder: string
  /** Both clocks of the gateway go on by so much. */
  readonly pass: (milliseconds: number) => void
  readonly time: { wall: number; monotonic: number }
  /** Signs tags for content, in one version of targets. */
  readonly sign: (tags: Readonly<Record<string, Stored>>) => void
  readonly get: (path: string, init?: RequestInit) => Promise<Got>
  /** The gateway again, over the same cache, as after a restart. */
  readonly restart: () => Promise<void>
  readonly log: readonly Readonly<Record<string, unknown>>[]
  readonly close: () => Promise<void>
}
export type Got = {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly reason: string | undefined
}
export type GatewayLabOptions = {
  readonly rule?: string
  readonly top?: string
  readonly cacheBytes?: number
  readonly bridge?: readonly Signer[]
  /** The repository that is signed, instead of the one named above. */
  readonly name?: string
  /** Where its content is, instead of at the registry that may lie. */
  readonly upstream?: string
  /** How long that one may take for anything, in milliseconds. */
  readonly patience?: number
}

export async function openGatewayLab(options: GatewayLabOptions = {}): Promise<GatewayLab> {
  const { name = NAME } = options
  const [host = ''] = name.split('/')
  const [lab, registry] = await Promise.all([
    openLab({ unknown: new Map([[REPOSITORY_FIELD, name]]) }, name),
    startHostileRegistry(),
  ])
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-gateway-'))
  await writeFile(join(folder, 'root.json'), lab.simulator.anchor())
  const path = join(folder, 'policy.yaml')
  await writeFile(
    path,
    `version: 1
defaultRegistry: ${host}
${options.top ?? ''}
rules:
  - pattern: ${host}/open/**
    unsigned: true
    upstream: { registry: "${options.upstream ?? registry.host}", plainHttp: true }
  - pattern: ${host}/**
    pin: { root: root.json }
    server: ${lab.url}
    upstream: { registry: "${options.upstream ?? registry.host}", plainHttp: true }
${options.rule ?? ''}
`,
  )
  const time = { wall: 0, monotonic: 0 }
  const log: Record<string, unknown>[] = []
  const caches = new Map<string, ReturnType<typeof memoryCache>>()
  let running = await start()

  async function start() {
    const end = new AbortController()
    const clock = () => Date.now() + time.wall
    const monotonic = () => monotonicNow() + time.monotonic
    const policy = loadPolicy(path, [])
    const verdicts = openVerdicts({
      policy,
      open: async (repository, { pin, sharedPin, server = '' }, steady) => {
        const cache = caches.get(repository) ?? memoryCache()
        caches.set(repository, cache)
        return openRepository({ repository, pin, sharedPin, server, cache, clock: steady })
      },
      background: false,
      clock,
      monotonic,
      signal: end.signal,
    })
    const limits = { backoffMs: 5, requestMs: options.patience ?? 3000, idleMs: options.patience ?? 1000, retries: 1 }
    const registries: { readonly close: () => Promise<void> }[] = []
    const upstream = async () => {
      const opened = openRegistry({ plainHttp: true, limits })
      registries.push(opened)
      return opened
    }
    const store = await openStore(join(folder, 'cache'), options.cacheBytes ?? 64 * 1024 * 1024)
    const metrics = openMetrics(store.bytes)
    const gateway = openGateway({
      policy,
      verdicts,
      upstream,
      store,
      metrics,
      clients: undefined,
      bridge: options.bridge ?? [],
      monotonic,
      log: (entry) => log.push({ ...entry }),
    })
    const handle = (...exchange: Parameters<typeof gateway.handle>) => void gateway.handle(...exchange)
    const listening = await listen({ host: '127.0.0.1', port: 0, tls: undefined, handle })
    return {
      url: listening.url,
      async close() {
        end.abort()
        verdicts.close()
        await listening.close(0)
        await Promise.all(registries.map((one) => one.close()))
      },
    }
  }

  return {
    lab,
    registry,
    folder,
    time,
    log,
    get url() {
      return running.url
    },
    pass(milliseconds) {
      time.wall += milliseconds
      time.monotonic += milliseconds
    },
    sign(tags) {
      const targets: Record<string, TargetFile> = {}
      for (const [tag, { digest, size }] of Object.entries(tags)) {
        const [algorithm = '', hex = ''] = digest.split(':')
        targets[tag] = { length: size, hashes: new Map([[algorithm, hex]]), unknown: new Map() }
      }
      lab.simulator.sign(targets)
    },
    async get(path, init) {
      const response = await fetch(running.url + path, { redirect: 'manual', ...init })
      const bytes = Buffer.from(await response.arrayBuffer())
      return { status: response.status, headers: response.headers, bytes, reason: reasonIn(bytes) }
    },
    async restart() {
      await running.close()
      running = await start()
    },
    async close() {
      await running.close()
      await Promise.all([lab.close(), registry.close()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Our own code in the body of a refusal. */
function reasonIn(bytes: Buffer): string | undefined {
  return /"detail":\{"reason":"([A-Z_]+)"\}/.exec(bytes.toString('latin1'))?.[1]
}

/** An image with one layer of so many bytes, signed and known to the gateway; `path` is where the layer is. */
export async function signLarge(
  lab: GatewayLab,
  size: number,
): Promise<{ readonly layer: Stored; readonly path: string }> {
  const layer = stored('application/vnd.oci.image.layer.v1.tar', randomBytes(size))
  const { config, manifest } = buildImage()
  const { mediaType } = manifest
  const image = json(mediaType, { schemaVersion: 2, mediaType, config: entry(config), layers: [entry(layer)] })
  lab.registry.put(image, config, layer)
  lab.sign({ large: image })
  await lab.get(`/v2/${NAME}/manifests/large`)
  return { layer, path: `/v2/${NAME}/blobs/${layer.digest}` }
}
