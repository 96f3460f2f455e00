import { join } from 'node:path'
import { nativeSuite } from '../../keys/native/suite.ts'
import { DEFAULT_LIMITS, encodeText, fileName, instant, roleName, TrustError } from '../../tuf/index.ts'
import type { Found, Limits, RoleName, TargetFile } from '../../tuf/index.ts'
import { openHttp } from '../http.ts'
import type { Http, HttpOptions } from '../http.ts'
import { isDigest } from '../registry/digest.ts'
import type { Anchor, NamePolicy, Seat } from './anchor.ts'
import type { TrustCache } from './cache.ts'
import { directoryCache } from './directory-cache.ts'
import { downloadTarget } from './download.ts'
import type { DownloadOptions } from './download.ts'
import { ClientError } from './errors.ts'
import { httpSource, metadataUrlOf } from './fetch.ts'
import { learn, remembered, withPublished } from './learn.ts'
import type { Learned } from './learn.ts'
import { lostFiles } from './lost.ts'
import type { LostFiles } from './lost.ts'
import { fetchNeeded } from './mirrors.ts'
import { refresh } from './refresh.ts'
import type { Refreshed, Warning } from './refresh.ts'
import { delegatedRoles } from './resolve.ts'
import type { Delegated } from './resolve.ts'
import { refreshTogether } from './together.ts'
import type { Together } from './together.ts'
import type { Patience } from './transfer.ts'

type Place =
  /** The base URL of a Tagseal server; the metadata URL follows from the repository's name. */
  | { readonly server: string; readonly repository: string }
  /** Any TUF repository's metadata URL, or those of its mirrors, asked in this order for each file. */
  | { readonly metadataUrl: string | readonly string[]; readonly repository?: string | undefined }

type Memory =
  /** A folder for all repositories; each gets its own below it. */
  { readonly stateDir: string } | { readonly cache: TrustCache }

export type RepositoryOptions = Place &
  Memory & {
    /** Whose word the first root is taken on. With key ids, every root must name `repository` (ADR 0009). */
    readonly pin: Anchor
    /** The pin's pattern fits several repositories: then each root must name its own, whatever the pin is. */
    readonly sharedPin?: boolean | undefined
    /** For servers that show metadata to nobody without; or what reads it, each time one is needed. */
    readonly token?: string | (() => Promise<string>) | undefined
    /** Where the token comes from, for people. */
    readonly tokenFrom?: string | undefined
    /** Shared with the caller, who closes it. Otherwise one is opened with `ca` and `plainHttp`. */
    readonly http?: Http | undefined
    readonly ca?: string | undefined
    readonly plainHttp?: ((host: string) => boolean) | undefined
    readonly patience?: Patience | undefined
    readonly clock?: (() => number) | undefined
    /** How far the clock may have gone back since the last refresh, in milliseconds; five minutes where nothing is said. */
    readonly clockTolerance?: number | undefined
    readonly limits?: Partial<Limits>
    /**
     * For programs that are started many times at once: a refresh is as good as one's own that another process with the
     * same `stateDir` began less than so many milliseconds ago. Each one refreshes by itself where nothing is said.
     */
    readonly shareWithin?: number | undefined
    readonly warn?: ((warning: Warning) => void) | undefined
  }

/** A refreshed state that can be asked: the trusted files and their bytes, and the delegated roles below them. */
export type View = Refreshed & Delegated

/** What a tag means, by metadata that was verified. `digest` is the only thing to pull by. */
export type SignedTag = {
  readonly tag: string
  readonly digest: string
  readonly length: number
  readonly role: RoleName
  readonly target: TargetFile
}

export type Repository = {
  /** Brings trust up to date, or throws. Judged by the clock at its start; a program that stays asks again and again. */
  readonly refresh: (signal?: AbortSignal) => Promise<View>
  /** As `refresh`, but what expired and is to be published anew is accepted. It answers no other question. */
  readonly refreshToPublish: (signal?: AbortSignal) => Promise<View>
  /** What was seen from here and the server has lost. Throws what a newcomer's refresh throws. */
  readonly lost: (signal?: AbortSignal) => Promise<LostFiles>
  /** Keeps what was just published from here, so that the next refresh need not fetch it. */
  readonly learn: (learned: Learned) => Promise<void>
  /** What was published from here within the last minute, for the next publish to go on from; asks nobody. */
  readonly remembered: () => Promise<View | undefined>
  /** The signed digest of a tag, refreshing first if that was not done yet. Throws TAG_NOT_SIGNED. */
  readonly resolve: (tag: string, signal?: AbortSignal) => Promise<SignedTag>
  /** As `resolve`, for a target of any kind; undefined where no role lists it. */
  readonly find: (path: string, signal?: AbortSignal) => Promise<Found | undefined>
  /** One version of a role's file as somebody serves it, unverified; undefined where nobody has it. */
  readonly fetchVersion: (role: RoleName, version: number, signal?: AbortSignal) => Promise<Uint8Array | undefined>
  /** Fetches a target's file, for repositories that serve them. Gives the path it was stored under. */
  readonly download: (
    path: string,
    options: Pick<DownloadOptions, 'targetsUrl' | 'folder' | 'signal'>,
  ) => Promise<string>
  readonly close: () => void
}

/**
 * Opens a repository whose metadata is believed only as far as the pin reaches. Asks nothing of the network yet.
 *
 * @example
 * ```ts
 * import { openRepository } from 'tagseal'
 * import { readFile } from 'node:fs/promises'
 *
 * const repository = openRepository({
 *   repository: 'registry.example.com/team/app',
 *   server: 'https://trust.example.com',
 *   pin: { kind: 'root', bytes: await readFile('root.json') },
 *   stateDir: '/var/lib/my-program/trust',
 * })
 * try {
 *   const { digest } = await repository.resolve('1.4')
 *   console.log(`registry.example.com/team/app@${digest}`)
 * } finally {
 *   repository.close()
 * }
 * ```
 */
export function openRepository(options: RepositoryOptions): Repository {
  const { repository, pin, token, tokenFrom, patience, warn, clock = Date.now, clockTolerance } = options
  const http = options.http ?? openHttp(httpOptions(options))
  const transport = { http, token, tokenFrom, patience }
  const source = urlsOf(options).map((url) => httpSource(url, transport))
  const publishersSource = urlsOf(options).map((url) => httpSource(url, { ...transport, toPublish: true }))
  const cache = cacheOf(options)
  const name = namePolicy(options)
  let latest: Begun | undefined

  function judgeNow(): Seat {
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    return { suite: nativeSuite, limits, now: instant(clock()), repository }
  }

  function publishing() {
    return { judge: judgeNow(), cache, anchor: pin, name, toPublish: true } as const
  }

  async function refreshNow(signal?: AbortSignal, toPublish = false): Promise<View> {
    const kept = toPublish ? await withPublished(cache) : cache
    const judge = judgeNow()
    const asked = toPublish ? publishersSource : source
    const question = { judge, source: asked, cache: kept, anchor: pin, name, signal, warn, toPublish, clockTolerance }
    const shared = toPublish ? undefined : togetherOf(options)
    const trust = await (shared === undefined ? refresh(question) : refreshTogether(question, shared))
    return { ...trust, ...delegatedRoles(trust, asked, kept, repository) }
  }

  /** A refresh that failed is no answer to the next question. */
  async function keep(signal?: AbortSignal): Promise<View> {
    const begun = { view: refreshNow(signal), signal }
    latest = begun
    try {
      return await begun.view
    } catch (error) {
      if (latest === begun) latest = undefined
      throw error
    }
  }

  /** What is asked at once is answered by one refresh; whoever gave up a refresh did so for nobody else. */
  async function current(signal?: AbortSignal): Promise<View> {
    while (latest !== undefined) {
      const begun = latest
      const known = await unlessGivenUp(begun)
      signal?.throwIfAborted()
      if (known !== undefined && isFresh(known)) return known
      if (latest === begun) break
    }
    return await keep(signal)
  }

  /** What expired since it was verified answers nothing, however long a program keeps it open. */
  async function lookUp(path: string, signal?: AbortSignal): Promise<Found | undefined> {
    const known = await current(signal)
    const found = await known.find(path, signal)
    return isFresh(known) ? found : await (await keep(signal)).find(path, signal)
  }

  function isFresh(view: View): boolean {
    return clock() < expiryOf(view)
  }

  return {
    refresh: keep,
    refreshToPublish: async (signal) => await refreshNow(signal, true),
    async lost(signal) {
      const judge = judgeNow()
      return await lostFiles({ judge, source: publishersSource, anchor: pin, name, signal }, await withPublished(cache))
    },
    learn: async (learned) => await learn(publishing(), learned),
    async remembered() {
      const known = await remembered(publishing())
      return known && { ...known.trust, ...delegatedRoles(known.trust, source, known.cache, repository) }
    },
    find: lookUp,
    async resolve(tag, signal) {
      const found = await lookUp(tag, signal)
      if (found === undefined)
        throw new ClientError('TAG_NOT_SIGNED', { repository: repository ?? 'this repository', tag })
      const digest = pullableDigestOf(found)
      return { tag, role: found.role, target: found.target, length: found.target.length, digest }
    },
    async fetchVersion(role, version, signal) {
      const { limits } = judgeNow()
      const file = { name: `${version}.${fileName(role)}`, maxBytes: limits.targets }
      return (await fetchNeeded(source, { file, accept: (bytes) => bytes, signal }))?.bytes
    },
    async download(path, where) {
      const trust = await current(where.signal)
      const found = await trust.find(path, where.signal)
      if (found === undefined) throw new ClientError('TARGET_REFUSED', { target: path, why: 'no role lists it' })
      return await downloadTarget(trust, found, { ...transport, ...where })
    },
    close: () => {
      if (options.http === undefined) http.close()
    },
  }
}

type Begun = { readonly view: Promise<View>; readonly signal: AbortSignal | undefined }

async function unlessGivenUp({ view, signal }: Begun): Promise<View | undefined> {
  try {
    return await view
  } catch (error) {
    if (signal?.aborted === true) return undefined
    throw error
  }
}

function cacheOf(options: RepositoryOptions): TrustCache {
  return 'cache' in options ? options.cache : directoryCache(folderOf(options))
}

function togetherOf(options: RepositoryOptions): Together | undefined {
  const { shareWithin: within } = options
  return within === undefined || 'cache' in options ? undefined : { folder: folderOf(options), within }
}

function folderOf({ stateDir, repository }: { readonly stateDir: string; readonly repository?: string | undefined }) {
  return stateFolder(stateDir, repository ?? 'repository')
}

/** The folder for one repository below the folder for all, whatever it is called: `..` too. */
export function stateFolder(stateDir: string, repository: string): string {
  const name = fileName(roleName(repository)).replace(/\.json$/, '')
  const isPlain = name.length <= 200 && !name.startsWith('.')
  return join(stateDir, isPlain ? name : `%~${nativeSuite.hash('sha256', encodeText(repository))}`)
}

/** The digest under which a registry has what was signed. */
export function digestOf({ path, target }: Pick<Found, 'path' | 'target'>): string {
  for (const algorithm of ['sha256', 'sha512']) {
    const hash = target.hashes.get(algorithm)
    if (hash !== undefined) return `${algorithm}:${hash}`
  }
  throw new TrustError('NO_KNOWN_HASH', { what: path, algorithms: [...target.hashes.keys()].join(', ') })
}

/** The same, of a target that is to be pulled: hex of another length was signed by mistake, and names nothing. */
export function pullableDigestOf(found: Pick<Found, 'path' | 'target'>): string {
  const digest = digestOf(found)
  if (isDigest(digest)) return digest
  throw new TrustError('NO_KNOWN_HASH', { what: found.path, algorithms: digest })
}

/** When the first of the files that a state was made from expires, those of roles that it was asked for included. */
export function expiryOf({ root, timestamp, snapshot, targets, freshUntil }: View): number {
  return Math.min(root.expires, timestamp.expires, snapshot.expires, targets.expires, freshUntil())
}

function urlsOf(options: RepositoryOptions): readonly string[] {
  if (!('metadataUrl' in options)) return [metadataUrlOf(options.server, options.repository)]
  return typeof options.metadataUrl === 'string' ? [options.metadataUrl] : options.metadataUrl
}

function namePolicy({ repository, pin, sharedPin }: RepositoryOptions): NamePolicy | undefined {
  const required = pin.kind === 'keys' || pin.kind === 'ca' || (pin.kind === 'root' && sharedPin === true)
  if (repository !== undefined) return { repository, required }
  if (!required) return undefined
  throw new ClientError('NOT_PINNED', { repository: 'a repository without a name' })
}

function httpOptions({ ca, plainHttp }: RepositoryOptions): HttpOptions {
  return { ...(ca === undefined ? {} : { ca }), ...(plainHttp === undefined ? {} : { plainHttp }) }
}
