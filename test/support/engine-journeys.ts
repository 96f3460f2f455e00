/** What every engine must do that was told to pull through a gateway: the signed image, or words and nothing else. */
import type { Test } from 'tap'
import { until } from './attack-lab.ts'
import { openGatewayLab } from './gateway-lab.ts'
import type { GatewayLab } from './gateway-lab.ts'
import { buildImage, buildIndex, entry, everythingOf, json, programSaying, stored } from './images.ts'
import type { BuiltImage, BuiltIndex, Stored } from './images.ts'
import type { Ran } from './program.ts'
import { startProxy } from './proxy.ts'
import type { Proxy } from './proxy.ts'
import { pushImage, startRegistry } from './registry.ts'
import type { TestRegistry } from './registry.ts'
import type { Route, StockEngine } from './stock-engine.ts'

/** How old an answer may be, in milliseconds: so much passes at once when something new is to be seen. */
const MAX_AGE = 10_000

export type EngineLab = {
  readonly engine: StockEngine
  readonly gateway: GatewayLab
  readonly registry: TestRegistry
  /** Between the gateway and the registry. */
  readonly upstream: Proxy
  /** The repository by its own name. */
  readonly name: string
}

type Journeys = Readonly<Record<string, (t: Test, lab: EngineLab, tag: string) => Promise<void>>>

/** An engine by what doctor wrote, a gateway, and a real registry behind somebody hostile, for each of these journeys. */
export async function enforces(
  t: Test,
  open: (route: Route) => Promise<StockEngine | string>,
  own: Journeys = {},
): Promise<void> {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const upstream = await startProxy(registry.url)
  t.teardown(upstream.close)
  const name = `${registry.host}/team/app`
  const rule = `    maxAge: ${MAX_AGE / 1000}s`
  const gateway = await openGatewayLab({ name, upstream: upstream.host, patience: 60_000, rule })
  t.teardown(gateway.close)
  const engine = await open({ registry: registry.host, gateway: new URL(gateway.url).host })
  if (typeof engine === 'string') return void t.pass(engine, { skip: engine })
  t.teardown(engine.stop)
  const lab: EngineLab = { engine, gateway, registry, upstream, name }
  for (const [sentence, journey] of Object.entries({ ...ADMITTED, ...own })) {
    await t.test(sentence, async (t) => await journey(t, lab, `t${sentence.length}`))
  }
  for (const [sentence, plot] of Object.entries(REFUSED)) {
    await t.test(`refuses ${sentence}`, async (t) => await refuses(t, lab, await plot(lab, `r${sentence.length}`)))
  }
}

const ADMITTED: Journeys = {
  'a signed image is pulled, and runs': async (t, lab, tag) => {
    await release(lab, tag, imageSaying(`signed as ${tag}`))
    await pulled(t, lab, tag, `signed as ${tag}`)
  },
  'an index of several architectures is pulled for this machine': async (t, lab, tag) => {
    const [own, other] = process.arch === 'arm64' ? ['arm64', 'amd64'] : ['amd64', 'arm64']
    const layers = (text: string) => [{ 'app/run': programSaying(text) }]
    const plans = [
      { architecture: other, layers: layers('for another machine') },
      { architecture: own, layers: layers('for this machine') },
    ]
    await release(lab, tag, buildIndex(plans))
    await pulled(t, lab, tag, 'for this machine')
  },
  'a tag that the registry moved is pulled as it was signed': async (t, lab, tag) => {
    const { digest } = await release(lab, tag, imageSaying(`signed as ${tag}`))
    await push(lab, tag, imageSaying('evil'))
    await pulled(t, lab, tag, `signed as ${tag}`)
    t.match(await lab.engine.store(), digest)
  },
  'a tag that the registry put back is pulled as it was signed last': async (t, lab, tag) => {
    const old = imageSaying(`signed first as ${tag}`)
    const { digest } = await release(lab, tag, old)
    await release(lab, tag, imageSaying(`signed last as ${tag}`))
    await push(lab, tag, old)
    await pulled(t, lab, tag, `signed last as ${tag}`)
    t.notMatch(await lab.engine.store(), digest)
  },
  'a tag that the registry moves between resolve and fetch is pulled as it was signed': async (t, lab, tag) => {
    await release(lab, tag, imageSaying(`signed as ${tag}`))
    let moved = 0
    lab.upstream.before = async () => {
      if (++moved === 1) await push(lab, tag, imageSaying('evil meanwhile'))
    }
    await pulled(t, lab, tag, `signed as ${tag}`)
    lab.upstream.before = () => {}
    t.ok(moved > 1, 'and the layer was fetched after that')
  },
  'a tag that is signed anew between resolve and fetch is never pulled as it was': async (t, lab, tag) => {
    const [old, next] = [imageSaying(`signed until then as ${tag}`), imageSaying(`signed from then on as ${tag}`)]
    await push(lab, `${tag}-next`, next)
    await release(lab, tag, old)
    lab.upstream.before = ({ url }) => {
      if (url?.endsWith(old.manifest.digest) !== true) return
      lab.gateway.sign({ [tag]: next.manifest })
      lab.gateway.pass(MAX_AGE)
    }
    await lab.engine.pull(lab.engine.imageOf(`:${tag}`)) // docker tries again by itself
    lab.upstream.before = () => {}
    for (const { digest } of old.layers) t.notMatch(await lab.engine.store(), digest)
    await pulled(t, lab, tag, `signed from then on as ${tag}`)
  },
  'with the registry gone, what the gateway keeps is pulled again': async (t, lab, tag) => {
    await release(lab, tag, imageSaying(`kept as ${tag}`))
    await pulled(t, lab, tag, `kept as ${tag}`)
    await lab.engine.remove(lab.engine.imageOf(`:${tag}`))
    lab.upstream.drop = () => true
    await pulled(t, lab, tag, `kept as ${tag}`)
    lab.upstream.drop = () => false
  },
  'fifty pulls at once': async (t, lab, tag) => {
    const image = imageSaying(`for fifty as ${tag}`)
    await release(lab, tag, image)
    const before = lab.upstream.seen.length
    const pull = (_: unknown, i: number) => lab.engine.pull(lab.engine.imageOf(`:${tag}`), `one-${i}`)
    const rans = await Promise.all(Array.from({ length: 50 }, pull))
    t.same(
      rans.map(({ code }) => code),
      rans.map(() => 0),
      saidBy(rans.find(({ code }) => code !== 0)),
    )
    const asked = lab.upstream.seen.slice(before).filter((line) => !line.endsWith('/v2/'))
    t.equal(asked.length, everythingOf(image).length, 'and each part of it was fetched from the registry once')
  },
}

async function pulled(t: Test, { engine }: EngineLab, tag: string, says: string): Promise<void> {
  const image = engine.imageOf(`:${tag}`)
  const ran = await engine.pull(image)
  t.equal(ran.code, 0, saidBy(ran))
  if (engine.start === undefined || process.arch !== 'x64') return
  const started = await engine.start(image)
  t.same([started.code, started.stdout], [0, `${says}\n`], saidBy(started))
}

type Plot = {
  /** `:tag` or `@digest` */
  readonly what: string
  /** Our code. */
  readonly reason: string
  /** Ours as well, as the user of the engine reads them. */
  readonly words: RegExp
  /** What nobody upstream may be asked for, and what must not be in the engine's store afterwards. */
  readonly never: readonly string[]
  /** The manifest was right: it is a layer that is refused, and what came before may be there. */
  readonly layer?: true
  readonly after?: () => void
}

const REFUSED: Record<string, (lab: EngineLab, tag: string) => Promise<Plot>> = {
  'an image that nobody signed': async (lab, tag) => {
    const image = imageSaying('unsigned')
    await push(lab, tag, image)
    return { what: `:${tag}`, reason: 'TAG_NOT_SIGNED', words: /has no signed tag/, never: [tag, ...digestsOf(image)] }
  },
  'the image that the registry moved a tag to, by its digest': async (lab, tag) => {
    await release(lab, tag, imageSaying('signed'))
    const evil = imageSaying('evil')
    const { digest } = await push(lab, tag, evil)
    return { ...byDigest(digest), never: digestsOf(evil) }
  },
  'an image that was signed before another one, by its digest': async (lab, tag) => {
    const old = imageSaying('signed first')
    const { digest } = await release(lab, tag, old)
    await release(lab, tag, imageSaying('signed last'))
    return { ...byDigest(digest), never: digestsOf(old) }
  },
  'a tag that the trust server shows as it was earlier': async (lab, tag) => {
    const { files } = lab.gateway.lab.simulator
    const old = imageSaying('signed first')
    await release(lab, tag, old)
    await seen(lab, tag)
    const earlier = new Map(files)
    await release(lab, tag, imageSaying('signed last'))
    await seen(lab, tag)
    const newest = new Map(files)
    fill(files, earlier)
    lab.gateway.pass(MAX_AGE)
    const after = () => fill(files, newest)
    return { what: `:${tag}`, reason: 'ROLLBACK', words: /went back from version/, never: digestsOf(old), after }
  },
  'a tag of a trust server that stood still until its word expired': async (lab, tag) => {
    const image = imageSaying('expired')
    await release(lab, tag, image)
    const { simulator } = lab.gateway.lab
    simulator.publishTimestamp((body) => until(body, Date.now() + lab.gateway.time.wall - 1000))
    lab.gateway.pass(MAX_AGE)
    const after = () => void simulator.publishTimestamp()
    return { what: `:${tag}`, reason: 'EXPIRED', words: /timestamp expired at/, never: digestsOf(image), after }
  },
  'a tag of a trust server that is gone for longer than an answer may be old': async (lab, tag) => {
    const image = imageSaying('long ago')
    await release(lab, tag, image)
    await seen(lab, tag)
    lab.gateway.lab.interfere = (_file, response) => {
      response.writeHead(503).end()
      return true
    }
    lab.gateway.pass(MAX_AGE)
    const after = () => void (lab.gateway.lab.interfere = () => false)
    return {
      what: `:${tag}`,
      reason: 'SERVER_ERROR',
      words: /answered with status 503/,
      never: digestsOf(image).slice(1),
      after,
    }
  },
  'a tag that was revoked': async (lab, tag) => {
    const image = imageSaying('revoked')
    await release(lab, tag, image)
    revoke(lab, tag)
    return { what: `:${tag}`, reason: 'TAG_NOT_SIGNED', words: /has no signed tag/, never: digestsOf(image) }
  },
  'the image of a tag that was revoked, by its digest': async (lab, tag) => {
    const image = imageSaying('revoked too')
    const { digest } = await release(lab, tag, image)
    revoke(lab, tag)
    return { ...byDigest(digest), never: digestsOf(image) }
  },
  'a signed image with a layer that is to be fetched from elsewhere': async (lab, tag) => {
    const image = imageSaying('foreign')
    const layers = image.layers.map((layer) => ({ ...entry(layer), urls: ['http://169.254.169.254/layer'] }))
    const { mediaType } = image.manifest
    const manifest = json(mediaType, { schemaVersion: 2, mediaType, config: entry(image.config), layers })
    await push(lab, `${tag}-parts`, image)
    lab.upstream.forge = ({ url }) => (url?.endsWith(manifest.digest) === true ? manifest : undefined)
    lab.gateway.sign({ [tag]: manifest })
    lab.gateway.pass(MAX_AGE)
    return {
      what: `:${tag}`,
      reason: 'FOREIGN_CONTENT',
      words: /is to be fetched from http/,
      never: digestsOf(image),
      after: honest(lab),
    }
  },
  'a signed image with a layer that somebody changed': async (lab, tag) => {
    const image = imageSaying('changed on the way')
    await release(lab, tag, image)
    const [layer] = image.layers
    const evil = stored('application/octet-stream', Buffer.alloc(layer?.size ?? 0, 'evil'))
    lab.upstream.forge = ({ url }) => (url?.endsWith(layer?.digest ?? '') === true ? evil : undefined)
    return { what: `:${tag}`, reason: 'DIGEST_MISMATCH', words: /sha256:/, never: [], layer: true, after: honest(lab) }
  },
  'a signed image that is nowhere while the registry is gone': async (lab, tag) => {
    await release(lab, tag, imageSaying('not kept'))
    lab.upstream.drop = () => true
    const after = () => void (lab.upstream.drop = () => false)
    return { what: `:${tag}`, reason: 'UNREACHABLE', words: /cannot be reached/, never: [], after }
  },
}

async function refuses(t: Test, { engine, gateway, upstream }: EngineLab, plot: Plot): Promise<void> {
  const { what, reason, words, never, layer, after } = plot
  const [asked, store] = [upstream.seen.length, await engine.store()]
  const ran = await engine.pull(engine.imageOf(what))
  after?.()
  t.not(ran.code, 0, saidBy(ran))
  t.match(saidBy(ran), (layer && engine.saidOfLayers) ?? words, 'its user reads why')
  t.match(
    gateway.log.findLast(({ outcome }) => outcome === 'refused'),
    { reason },
  )
  const requests = upstream.seen.slice(asked)
  t.same(
    requests.filter((line) => never.some((id) => line.endsWith(`/${id}`))),
    [],
    'nothing of it was asked upstream',
  )
  const came = (await engine.store()).split('\n').filter((line) => !store.includes(line))
  const bad =
    layer === true ? came.filter((line) => line.includes(what) || never.some((id) => line.includes(id))) : came
  t.same(bad, [], 'and nothing of it is in the store')
}

function saidBy(ran: Ran | undefined): string {
  return ran === undefined ? '' : ran.stdout + ran.stderr
}

function byDigest(digest: string) {
  return { what: `@${digest}`, reason: 'DIGEST_NOT_SIGNED', words: /no signed tag of .* leads to/ } as const
}

export function imageSaying(text: string): BuiltImage {
  return buildImage({ layers: [{ 'app/run': programSaying(text) }] })
}

function digestsOf(image: BuiltImage): readonly string[] {
  return everythingOf(image).map(({ digest }) => digest)
}

export async function push({ registry }: EngineLab, tag: string, image: BuiltImage | BuiltIndex): Promise<Stored> {
  return await pushImage(registry, 'team/app', tag, image)
}

/** Pushed, signed, and seen by whoever asks next. */
async function release(lab: EngineLab, tag: string, image: BuiltImage | BuiltIndex): Promise<Stored> {
  const top = await push(lab, tag, image)
  lab.gateway.sign({ [tag]: top })
  lab.gateway.pass(MAX_AGE)
  return top
}

async function seen({ gateway, name }: EngineLab, tag: string): Promise<void> {
  const { status, bytes } = await gateway.get(`/v2/${name}/manifests/${tag}`)
  if (status !== 200) throw new Error(bytes.toString())
}

function honest({ upstream }: EngineLab): () => void {
  return () => void (upstream.forge = () => undefined)
}

function revoke({ gateway }: EngineLab, tag: string): void {
  gateway.lab.simulator.publishTargets({ remove: new Set([tag]) })
  gateway.lab.simulator.release()
  gateway.pass(MAX_AGE)
}

function fill(files: Map<string, Uint8Array>, from: ReadonlyMap<string, Uint8Array>): void {
  files.clear()
  for (const [name, bytes] of from) files.set(name, bytes)
}
