import type { Json } from '../../tuf/model/json.ts'
import { type Client, openClient } from './client.ts'
import { type Content, type Kind, type Manifest, nameOf, type Resolved, type Sink } from './content.ts'
import { digestOf, isDigest, refuseOtherBytes, refuseOtherSize } from './digest.ts'
import { downloadBlob } from './download.ts'
import { RegistryError } from './errors.ts'
import { announcedLength, type Deadline, drain, type Response } from './http.ts'
import { listReferrers, listTags } from './listing.ts'
import { REGISTRY_LIMITS, type RegistryLimits } from './limits.ts'
import { settleMediaType } from './manifest.ts'
import { ACCEPT, isManifest } from './media-types.ts'
import { type ImageReference, isTag, type RepositoryName } from './reference.ts'
import type { RegistrySettings } from './settings.ts'

/**
 * The registries that images are in. None of them is trusted: what leaves here by digest has that digest, and what is
 * said about a tag is hearsay that only a signature can make more of.
 */
export type Registry = {
  readonly limits: RegistryLimits
  /** GETs the manifest and hashes it. undefined: the registry has no such tag (or digest, where there is no tag). */
  readonly resolveTag: (ref: ImageReference, signal?: AbortSignal) => Promise<Resolved | undefined>
  /** At most `maxLength` bytes with this digest. The media type is what the answer and the body agree on. */
  readonly manifest: (ref: RepositoryName, digest: string, maxLength: number, signal?: AbortSignal) => Promise<Manifest>
  /** The same for one whose size is known, and must be met. A `mediaType` that we cannot read is taken unread. */
  readonly content: (ref: RepositoryName, wanted: Content, signal?: AbortSignal) => Promise<Manifest>
  /**
   * Streams a blob through its hash. Resolves once size and digest are right; until then, what `sink` was given is
   * just bytes from somewhere.
   */
  readonly blob: (ref: RepositoryName, wanted: Content, sink?: Sink, signal?: AbortSignal) => Promise<void>
  /** Whether the registry says that it has it. Throws SIZE_MISMATCH where it names another size. Nothing is hashed. */
  readonly exists: (ref: RepositoryName, kind: Kind, wanted: Content, signal?: AbortSignal) => Promise<boolean>
  /** The registry's own tags; undefined where it has no such repository. */
  readonly tags: (ref: RepositoryName, signal?: AbortSignal) => Promise<readonly string[] | undefined>
  /** What is said to refer to a digest, as descriptors that nobody checked. */
  readonly referrers: (ref: RepositoryName, digest: string, signal?: AbortSignal) => Promise<readonly Json[]>
  readonly close: () => Promise<void>
}

/** Opens nothing yet: the first request does. Close it, or kept-alive connections hold the process. */
export function openRegistry(settings: RegistrySettings): Registry {
  const limits = { ...REGISTRY_LIMITS, ...settings.limits }
  const client = openClient(settings, limits)
  // Whoever resolves a tag walks it next. What was hashed under a digest stays what it is, so one is remembered.
  let latest: (Manifest & { readonly name: string; readonly digest: string }) | undefined
  return {
    limits,
    async resolveTag(ref, signal) {
      const resolved = await resolveTag(client, ref, signal)
      if (resolved === undefined) return undefined
      const { digest, manifest } = resolved
      latest = { name: ref.name, digest, ...manifest }
      return { digest, length: manifest.bytes.length, mediaType: manifest.mediaType }
    },
    async manifest(ref, digest, maxLength, signal) {
      const most = Math.min(maxLength, limits.manifest)
      return found(await fetchManifest(client, { ref, id: digest, digest, most, signal }), ref, digest)
    },
    async content(ref, wanted, signal) {
      const { digest, size, mediaType } = wanted
      if (size > limits.manifest) throw tooLarge(ref, digest, limits.manifest)
      if (latest?.name === ref.name && latest.digest === digest && latest.bytes.length === size) {
        const { bytes, mediaType: known } = latest
        if (mediaType === undefined || mediaType === known) return { bytes, mediaType: known }
      }
      const target = { ref, id: digest, digest, size, mediaType, most: size, signal }
      return found(await fetchManifest(client, target), ref, digest)
    },
    blob: async (ref, wanted, sink, signal) => downloadBlob(client, ref, checked(wanted, limits), sink, signal),
    exists: async (ref, kind, wanted, signal) => exists(client, ref, kind, checked(wanted, limits), signal),
    tags: async (ref, signal) => listTags(client, ref, signal),
    referrers: async (ref, digest, signal) => listReferrers(client, ref, digest, signal),
    close: client.close,
  }
}

/** The digest that a reference names is kept: it may be sha512, and the bytes were held against it. */
async function resolveTag(
  client: Client,
  ref: ImageReference,
  signal?: AbortSignal,
): Promise<{ readonly digest: string; readonly manifest: Manifest } | undefined> {
  const id = ref.tag ?? ref.digest ?? 'latest'
  const digest = ref.tag === undefined ? ref.digest : undefined
  const manifest = await fetchManifest(client, { ref, id, digest, most: client.limits.manifest, signal })
  if (manifest === undefined) return undefined
  return { digest: digest ?? digestOf(manifest.bytes), manifest }
}

type Target = {
  readonly ref: RepositoryName
  /** A tag or a digest. */
  readonly id: string
  readonly digest: string | undefined
  readonly size?: number
  readonly mediaType?: string | undefined
  readonly most: number
  readonly signal: AbortSignal | undefined
}

async function fetchManifest(client: Client, target: Target): Promise<Manifest | undefined> {
  const { ref, id, digest, mediaType, signal } = target
  if (digest === undefined ? !isTag(id) : !isDigest(digest)) throw noIdentifier(id)
  const accept = mediaType === undefined || isManifest(mediaType) ? ACCEPT : `${mediaType}, ${ACCEPT}, */*`
  const what = nameOf(ref, id)
  const call = { ref, method: 'GET', path: `manifests/${id}`, headers: { accept }, what, signal } as const
  const answer = await client.patiently(signal, async () => {
    const deadline = client.deadline(signal)
    const response = await client.ask(call, deadline)
    return readAnswer(client, target, response, what, deadline)
  })
  if (answer === undefined) return undefined
  if (digest !== undefined) refuseOtherBytes(what, answer.bytes, { ...target, digest })
  if (mediaType !== undefined && !isManifest(mediaType)) return { bytes: answer.bytes, mediaType }
  return { bytes: answer.bytes, mediaType: settleMediaType(what, answer.contentType, answer.bytes, mediaType) }
}

type Answer = { readonly bytes: Uint8Array; readonly contentType: string | undefined }

async function readAnswer(
  { http }: Client,
  { size, most }: Target,
  response: Response,
  what: string,
  deadline: Deadline,
): Promise<Answer | undefined> {
  if (response.status === 404) {
    await drain(response)
    return undefined
  }
  const announced = announcedLength(response)
  if (size !== undefined && announced !== undefined && announced !== size) {
    response.discard()
    refuseOtherSize(what, size, announced)
  }
  return { bytes: await http.read(response, most, what, deadline), contentType: response.header('content-type') }
}

async function exists(
  client: Client,
  ref: RepositoryName,
  kind: Kind,
  wanted: Content,
  signal?: AbortSignal,
): Promise<boolean> {
  const what = nameOf(ref, wanted.digest)
  const headers = { accept: kind === 'manifest' ? `${ACCEPT}, */*` : '*/*' }
  const call = { ref, path: `${kind}s/${wanted.digest}`, headers, what, signal }
  return client.patiently(signal, async () => {
    const deadline = client.deadline(signal)
    const head = await client.askHead(call, deadline)
    if (head.status === 404) return false
    if ((announcedLength(head) ?? wanted.size) === wanted.size) return true
    // Some servers give HEAD a length of 0; only what GET says counts.
    const response = await client.ask({ ...call, method: 'GET' }, deadline)
    response.discard()
    if (response.status === 404) return false
    refuseOtherSize(what, wanted.size, announcedLength(response) ?? wanted.size)
    return true
  })
}

function found(manifest: Manifest | undefined, ref: RepositoryName, digest: string): Manifest {
  if (manifest === undefined) throw new RegistryError('UNKNOWN_MANIFEST', { what: nameOf(ref, digest) })
  return manifest
}

function checked(wanted: Content, limits: RegistryLimits): Content {
  if (!isDigest(wanted.digest)) throw noIdentifier(wanted.digest)
  if (wanted.size > limits.blob) throw new RegistryError('TOO_LARGE', { what: wanted.digest, limit: limits.blob })
  return wanted
}

function tooLarge(ref: RepositoryName, digest: string, limit: number): RegistryError {
  return new RegistryError('TOO_LARGE', { what: nameOf(ref, digest), limit })
}

function noIdentifier(text: string): RegistryError {
  return new RegistryError('REFERENCE_INVALID', { text, why: 'it is neither a tag nor a digest that can be checked' })
}
