/** Requests in, answers out: a registry that only reads, and only gives out what it admits. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Signer } from '../../keys/signer.ts'
import { isJsonObject, member } from '../../tuf/model/json.ts'
import type { Json } from '../../tuf/model/json.ts'
import { failureOf } from '../exit.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { OCI_INDEX } from '../registry/media-types.ts'
import { openAdmission } from './admission.ts'
import type { Ask } from './admission.ts'
import { attachedTo } from './attachment.ts'
import { openBridge } from './bridge.ts'
import { openBlobs, writeHead } from './blobs.ts'
import type { Said } from './blobs.ts'
import type { Clients } from './clients.ts'
import { GatewayError, isGatewayError } from './errors.ts'
import { openManifests } from './manifests.ts'
import type { Opened } from './manifests.ts'
import type { GatewayMetrics } from './metrics.ts'
import { bodyOf, phraseOf, refusalOf } from './refusal.ts'
import { readRequest } from './request.ts'
import type { Asked } from './request.ts'
import type { Part } from './shelf.ts'
import type { Store } from './store.ts'
import { openUpstreams } from './upstreams.ts'
import type { Verdict, Verdicts } from '../verdict/engine.ts'
import type { Upstream } from '../policy/rules.ts'
import type { Registry } from '../registry/registry.ts'

export type GatewayOptions = {
  readonly policy: FilePolicy
  readonly verdicts: Verdicts
  readonly upstream: (upstream: Upstream) => Promise<Registry>
  readonly store: Store
  readonly metrics: GatewayMetrics
  readonly clients: Clients | undefined
  /** The keys to sign with for engines that check by themselves; with none, no engine can. */
  readonly bridge: readonly Signer[]
  readonly monotonic: () => number
  /** One line for each verdict. */
  readonly log: (entry: Readonly<Record<string, unknown>>) => void
}

export type Gateway = {
  /** Never rejects: what goes wrong is answered, or ends the connection where an answer has begun. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** From the next request on. */
  readonly adopt: (policy: FilePolicy) => void
}

/** nginx's number for it; nobody is there to see it. */
const CLIENT_LEFT = 499
const LONGEST_NAME = 300

type InRepository = Exclude<Asked, { readonly kind: 'version' }>
type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly began: number
  readonly isHead: boolean
}

export function openGateway(options: GatewayOptions): Gateway {
  const { verdicts, store, metrics, clients, monotonic, log } = options
  let { policy } = options
  const upstreams = openUpstreams(options.upstream)
  const manifests = openManifests(store)
  const admission = openAdmission({ verdicts, manifests, upstreams, monotonic })
  const blobs = openBlobs(store, monotonic)
  const bridge = options.bridge.length === 0 ? undefined : openBridge(options.bridge, admission)

  async function answer(exchange: Exchange): Promise<string> {
    const { request, response } = exchange
    const target = request.url ?? ''
    if (target === '/healthz') return plain(response, 'health', 'text/plain', Buffer.from('ok\n'), exchange.isHead)
    if (target === '/readyz') {
      await store.probe()
      return plain(response, 'health', 'text/plain', Buffer.from('ok\n'), exchange.isHead)
    }
    if (target === '/metrics') {
      return plain(response, 'metrics', metrics.contentType, Buffer.from(await metrics.text()), exchange.isHead)
    }
    refuseStranger(request, response)
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      throw new GatewayError('READ_ONLY', { method: request.method ?? '' })
    }
    const asked = readOrTell(exchange, target)
    if (asked.kind === 'version')
      return plain(response, 'version', 'application/json', Buffer.from('{}'), exchange.isHead)
    if (asked.namespace !== undefined) response.setHeader('oci-namespace', asked.namespace)
    await judge(exchange, asked)
    return asked.kind
  }

  function refuseStranger(request: IncomingMessage, response: ServerResponse): void {
    if (clients === undefined || clients.nameOf(request) !== undefined) return
    if (request.headers.authorization !== undefined) tellLogin(request)
    response.setHeader('www-authenticate', 'Basic realm="tagseal gateway", charset="UTF-8"')
    throw new GatewayError('LOGIN_REQUIRED', {})
  }

  /** Without a login it is the question that engines begin with, and no news. What was tried for a name may be a password. */
  function tellLogin({ socket }: IncomingMessage): void {
    metrics.loginFailed()
    log({ event: 'login', outcome: 'refused', reason: 'LOGIN_REQUIRED', client: socket.remoteAddress })
  }

  function readOrTell(exchange: Exchange, target: string): Asked {
    try {
      return readRequest(target, policy)
    } catch (error) {
      const isImage = isGatewayError(error) && error.code !== 'NOT_SERVED'
      if (isImage) tell(exchange, { kind: 'name', image: target.slice(0, LONGEST_NAME) }, { error })
      throw error
    }
  }

  async function judge(exchange: Exchange, asked: InRepository): Promise<void> {
    try {
      const ask = { repository: asked.repository, rule: policy.ruleFor(asked.repository.name) }
      await serve(exchange, asked, ask)
    } catch (error) {
      if (!exchange.response.destroyed) tell(exchange, toldOf(asked), { error })
      throw error
    }
  }

  async function serve(exchange: Exchange, asked: InRepository, ask: Ask): Promise<void> {
    switch (asked.kind) {
      case 'manifest': {
        const found = await manifestFor(ask, asked)
        tell(exchange, toldOf(asked), { rule: ask.rule.pattern, ...found })
        // Whatever stands between would go on giving out our signatures when their tags have moved on.
        if (found.tags !== undefined) exchange.response.setHeader('cache-control', 'no-store')
        sendManifest(exchange, found.manifest)
        return
      }
      case 'blob':
        await sendBlob(exchange, ask, asked.digest)
        return
      case 'tags':
        sendTags(exchange, asked, await admission.tags(ask))
        return
      case 'referrers':
        await sendReferrers(exchange, asked, ask)
        return
      default:
        return asked satisfies never
    }
  }

  async function manifestFor(ask: Ask, { tag, digest }: Asked & { readonly kind: 'manifest' }): Promise<Found> {
    if (tag === undefined) return { manifest: await admission.manifest(ask, digest) }
    if (bridge === undefined) return await withoutBridge(ask, tag)
    return (await bridge.attachment(ask, tag)) ?? (await admission.tag(ask, tag))
  }

  /** Others may have signed such a tag like any other. */
  async function withoutBridge(ask: Ask, tag: string): Promise<Found> {
    try {
      return await admission.tag(ask, tag)
    } catch (error) {
      if (attachedTo(tag) === undefined || failureOf(error).code !== 'TAG_NOT_SIGNED') throw error
      throw new GatewayError('NO_BRIDGE_KEY', { tag }, { cause: error })
    }
  }

  async function blobsFor(ask: Ask, digest: string): Promise<Said<Part> | Uint8Array> {
    const made = bridge?.part(ask, digest)
    if (made !== undefined) return made
    try {
      return await admission.blob(ask, digest)
    } catch (error) {
      if (bridge === undefined) throw error
      return await bridge.partOfOthers(ask, digest, error)
    }
  }

  async function sendBlob({ request, response, isHead }: Exchange, ask: Ask, digest: string): Promise<void> {
    const said = await blobsFor(ask, digest)
    if (said instanceof Uint8Array) {
      writeHead(response, { digest, size: said.length }, undefined)
      response.end(isHead ? undefined : said)
      return
    }
    const place = await upstreams.placeOf(ask.rule, ask.repository)
    const blob = await blobs.settle(place, said)
    if (isHead) {
      writeHead(response, blob, undefined)
      response.end()
      return
    }
    const range = rangeOf(request, digest)
    metrics.sent(await blobs.send({ place, blob, range, response }), blob.size)
  }

  /** What the registry says refers to a digest, as far as it is admitted itself. */
  async function sendReferrers(
    { response, isHead }: Exchange,
    { digest, artifactType }: Asked & { readonly kind: 'referrers' },
    ask: Ask,
  ): Promise<void> {
    await admission.manifest(ask, digest)
    const { registry, ref } = await upstreams.placeOf(ask.rule, ask.repository)
    const found: Json[] = []
    for (const entry of await registry.referrers(ref, digest)) {
      if (artifactType !== undefined && textOf(entry, 'artifactType') !== artifactType) continue
      if (sendsElsewhere(entry)) continue
      if (await admission.isAdmitted(ask, textOf(entry, 'digest') ?? '')) found.push(entry)
    }
    if (artifactType !== undefined) response.setHeader('oci-filters-applied', 'artifactType')
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: found }
    plain(response, 'referrers', OCI_INDEX, Buffer.from(JSON.stringify(index)), isHead)
  }

  /** One line and one count for each verdict; a blob that an admitted manifest names is no news. */
  function tell(exchange: Exchange, { kind, image }: Told, outcome: Outcome): void {
    const took = monotonic() - exchange.began
    const reason = 'error' in outcome ? refusalOf(outcome.error).reason : 'ADMITTED'
    metrics.verdict('error' in outcome ? 'refused' : 'admitted', reason, took / 1000)
    log({
      event: 'verdict',
      outcome: 'error' in outcome ? 'refused' : 'admitted',
      asked: kind,
      image,
      client: exchange.request.socket.remoteAddress,
      ms: Math.round(took * 1000) / 1000,
      ...('error' in outcome ? saidOf(outcome.error) : evidenceOf(outcome)),
    })
  }

  return {
    adopt(next) {
      policy = next
      verdicts.adopt(next)
    },
    async handle(request, response) {
      const exchange = { request, response, began: monotonic(), isHead: request.method === 'HEAD' }
      response.setHeader('docker-distribution-api-version', 'registry/2.0')
      response.setHeader('x-content-type-options', 'nosniff')
      request.resume() // a body is nothing that we look at
      response.on('error', () => response.destroy()) // a client that leaves in the middle is nobody's mistake
      try {
        metrics.request(await answer(exchange), response.statusCode)
      } catch (error) {
        if (response.destroyed) metrics.request('left', CLIENT_LEFT)
        else metrics.request('refused', sendRefusal(exchange, error, log))
      }
    },
  }
}

type Found = {
  readonly manifest: Opened
  /** Of a tag. */
  readonly verdict?: Verdict
  /** What a manifest was said to be, by a key of this gateway. */
  readonly tags?: readonly string[]
}
type Outcome = { readonly error: unknown } | (Found & { readonly rule: string })

/** What a line of the log says was asked for. */
type Told = { readonly kind: string; readonly image: string }

function toldOf(asked: InRepository): Told {
  return { kind: asked.kind, image: imageOf(asked) }
}

function evidenceOf({ manifest, verdict, rule, tags }: Exclude<Outcome, { readonly error: unknown }>): object {
  const found = { digest: manifest.digest, rule }
  if (tags !== undefined) return { ...found, by: 'bridge', tags }
  if (verdict?.kind !== 'signed') return { ...found, by: verdict?.kind ?? 'digest' }
  return { ...found, by: 'signed', role: verdict.role, versions: verdict.versions }
}

function saidOf(error: unknown): object {
  const { reason, told, status } = refusalOf(error)
  return { reason, status, message: told }
}

function imageOf(asked: InRepository): string {
  const { name } = asked.repository
  if (asked.kind === 'tags') return name
  return asked.kind === 'manifest' && asked.tag !== undefined ? `${name}:${asked.tag}` : `${name}@${asked.digest}`
}

function sendManifest({ response, isHead }: Exchange, { digest, bytes, mediaType }: Opened): void {
  response.setHeader('content-type', mediaType)
  response.setHeader('docker-content-digest', digest)
  response.setHeader('etag', `"${digest}"`)
  response.setHeader('content-length', bytes.length)
  response.writeHead(200)
  response.end(isHead ? undefined : bytes)
}

const PAGE = 1000

function sendTags(
  { response, isHead }: Exchange,
  { path, namespace, most = PAGE, last }: Asked & { readonly kind: 'tags' },
  tags: readonly string[],
): void {
  const after = last === undefined ? tags : tags.filter((tag) => tag > last)
  const page = after.slice(0, Math.min(most, PAGE))
  const end = page.at(-1)
  if (end !== undefined && page.length < after.length) {
    const ns = namespace === undefined ? '' : `&ns=${encodeURIComponent(namespace)}`
    const query = `n=${most}&last=${encodeURIComponent(end)}${ns}`
    response.setHeader('link', `</v2/${path}/tags/list?${query}>; rel="next"`)
  }
  plain(response, 'tags', 'application/json', Buffer.from(JSON.stringify({ name: path, tags: page })), isHead)
}

function plain(response: ServerResponse, kind: string, type: string, body: Buffer, isHead: boolean): string {
  response.setHeader('content-type', type)
  response.setHeader('content-length', body.length)
  response.writeHead(200)
  response.end(isHead ? undefined : body)
  return kind
}

function sendRefusal({ response, isHead }: Exchange, error: unknown, log: GatewayOptions['log']): number {
  const refusal = refusalOf(error)
  if (refusal.status === 500) log({ event: 'bug', message: error instanceof Error ? error.stack : String(error) })
  if (response.headersSent) {
    response.destroy() // without its last byte nobody takes it for whole
    return refusal.status
  }
  const body = bodyOf(refusal)
  for (const name of ['content-range', 'etag', 'accept-ranges', 'cache-control']) response.removeHeader(name)
  if (refusal.retryAfter !== undefined) response.setHeader('retry-after', refusal.retryAfter)
  if (isGatewayError(error) && error.code === 'RANGE_INVALID') {
    response.setHeader('content-range', `bytes */${error.detail.size}`)
  }
  response.setHeader('content-type', 'application/json')
  response.setHeader('content-length', body.length)
  response.writeHead(refusal.status, phraseOf(refusal))
  response.end(isHead ? undefined : body)
  return refusal.status
}

/** A part of what the client thinks it has a part of already. */
function rangeOf({ headers }: IncomingMessage, digest: string): string | undefined {
  const condition = headers['if-range']
  return condition === undefined || condition === `"${digest}"` ? headers.range : undefined
}

/** Content from somewhere else, or in the list itself, would be read without having passed here. */
function sendsElsewhere(entry: Json): boolean {
  return isJsonObject(entry) && (member(entry, 'urls') !== undefined || member(entry, 'data') !== undefined)
}

function textOf(entry: Json, name: string): string | undefined {
  const value = isJsonObject(entry) ? member(entry, name) : undefined
  return typeof value === 'string' ? value : undefined
}
