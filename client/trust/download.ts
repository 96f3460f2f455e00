import { createReadStream } from 'node:fs'
import type { Stats } from 'node:fs'
import { lstat, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeText, refuseHashes, refuseLength, TrustError } from '../../tuf/index.ts'
import type { AfterTargets, Found, HashName, Hasher, TargetFile } from '../../tuf/index.ts'
import { errnoOf, removeIfThere, syncFolder, temporaryFor } from './atomic.ts'
import { ClientError } from './errors.ts'
import { baseUrl } from './fetch.ts'
import { transfer } from './transfer.ts'
import type { TransferOptions } from './transfer.ts'

export type DownloadOptions = TransferOptions & {
  /** Below it are the target files, named as the specification says (5.7). */
  readonly targetsUrl: string
  readonly folder: string
  readonly signal?: AbortSignal | undefined
}

const KNOWN: readonly HashName[] = ['sha256', 'sha512']

/**
 * Fetches a target that was found, for repositories that serve their targets as files. Gives the path of the file,
 * which is there whole and checked or not at all. One that is already there and still right costs no request.
 */
export async function downloadTarget(trust: AfterTargets, found: Found, options: DownloadOptions): Promise<string> {
  const path = join(options.folder, localName(found.path, trust))
  await refuseLink(path, found.path)
  if (await isAlreadyThere(path, found, trust)) return path
  const url = new URL(baseUrl(options.targetsUrl) + remoteName(found, trust))
  const temporary = temporaryFor(path)
  try {
    const written = await transfer(
      url,
      options,
      async (response) => {
        await writeChecked(temporary, response.body, found, trust)
        return true
      },
      options.signal,
    )
    if (written === undefined)
      throw new ClientError('NO_TRUST_DATA', { repository: 'this repository', file: found.path })
    await rename(temporary, path)
  } finally {
    removeIfThere(temporary)
  }
  await syncFolder(options.folder)
  return path
}

/** A target's path as one plain segment, different for different paths; none of them is hidden or leaves the folder. */
function localName(path: string, { suite }: AfterTargets): string {
  const name = quote(path).replace(/^\./, '%2E')
  return name.length <= 200 ? name : `%~${suite.hash('sha256', encodeText(path))}`
}

/** `dir/HASH.name` where snapshots are consistent (5.7.3). Each segment is quoted: nothing in a path is URL syntax. */
function remoteName({ path, target }: Found, { root }: AfterTargets): string {
  const segments = path.split('/')
  if (segments.some((segment) => segment === '.' || segment === '..')) {
    throw new ClientError('TARGET_REFUSED', { target: path, why: 'no URL can say "." or ".."' })
  }
  const last = segments.pop() ?? ''
  const name = root.consistentSnapshot ? `${prefixOf(path, target)}.${last}` : last
  return [...segments, name].map(urlSegment).join('/')
}

function prefixOf(path: string, { hashes }: TargetFile): string {
  for (const name of KNOWN) {
    const hash = hashes.get(name)
    if (hash !== undefined) return hash
  }
  throw new TrustError('NO_KNOWN_HASH', { what: path, algorithms: [...hashes.keys()].join(', ') })
}

/** What RFC 3986 lets stand in a segment stands as it is: some servers of files compare what they get to the letter. */
function urlSegment(segment: string): string {
  return encodeURIComponent(segment.toWellFormed()).replace(/%(?:3A|40|26|3D|2B|24|2C|3B)/g, decodeURIComponent)
}

function quote(segment: string): string {
  const quoted = encodeURIComponent(segment.toWellFormed())
  return quoted.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** A link would make us read, or replace, what lies elsewhere. */
async function refuseLink(path: string, target: string): Promise<void> {
  const there = await statIfThere(path)
  if (there === undefined || there.isFile()) return
  throw new ClientError('TARGET_REFUSED', { target, why: `${path} is there and is no plain file` })
}

async function isAlreadyThere(path: string, { path: what, target }: Found, { suite }: AfterTargets): Promise<boolean> {
  const there = await statIfThere(path)
  if (there?.size !== target.length) return false
  const check = startCheck(suite)
  for await (const part of createReadStream(path)) if (part instanceof Uint8Array) check.update(part)
  try {
    check.refuse(what, target)
    return true
  } catch (error) {
    if (error instanceof TrustError) return false
    throw error
  }
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Writes as it comes, and stops at the first byte too many. */
async function writeChecked(
  path: string,
  body: AsyncIterable<Uint8Array>,
  { path: what, target }: Found,
  { suite }: AfterTargets,
): Promise<void> {
  const check = startCheck(suite)
  const file = await open(path, 'wx', 0o666)
  try {
    for await (const part of body) {
      if (check.update(part) > target.length) throw new TrustError('TOO_LARGE', { what, limit: target.length })
      await file.writeFile(part)
    }
    check.refuse(what, target)
    await file.sync()
  } finally {
    await file.close()
  }
}

type Check = {
  /** Gives back how many bytes there were so far. */
  readonly update: (part: Uint8Array) => number
  readonly refuse: (what: string, target: TargetFile) => void
}

function startCheck({ hasher }: AfterTargets['suite']): Check {
  const hashers = new Map<HashName, Hasher>(KNOWN.map((name) => [name, hasher(name)]))
  let size = 0
  return {
    update(part) {
      size += part.length
      for (const each of hashers.values()) each.update(part)
      return size
    },
    refuse(what, target) {
      refuseLength(what, target.length, size)
      refuseHashes(what, target.hashes, (name) => hashers.get(name)?.hex() ?? '')
    },
  }
}
