import type { Readable } from 'node:stream'
import { roleName } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import { boundaryOf, malformed, readParts } from './multipart.ts'
import type { FilePart } from './multipart.ts'

/** One uploaded file: whole, or as what changes in the version that is stored. */
export type UploadPart = { readonly kind: 'file' | 'delta'; readonly bytes: Uint8Array }
export type Upload = ReadonlyMap<RoleName, UploadPart>

const LINGER_MS = 5_000
export const DELTA_TYPE = 'application/vnd.tagseal.targets-delta+json'

export type UploadLimits = {
  /** Bytes of the whole body. */
  readonly total: number
  readonly parts: number
  readonly root: number
  readonly targets: number
}

/** Bytes of all uploads that are in memory at once, so that many of them together stay within bounds too. */
export type UploadBudget = { readonly take: (bytes: number) => boolean; readonly give: (bytes: number) => void }

export function makeBudget(maxBytes: number): UploadBudget {
  let taken = 0
  return {
    take(bytes) {
      if (taken + bytes > maxBytes) return false
      taken += bytes
      return true
    },
    give(bytes) {
      taken -= bytes
    },
  }
}

/**
 * Reads a multipart body: each part one role's file, named by its file name, in any order. Counts as it reads, so that
 * a body without a length is bounded as well. Throws MALFORMED_UPLOAD, INVALID_ROLE, TOO_LARGE.
 */
export async function readUpload(body: Readable, contentType: string, limits: UploadLimits): Promise<Upload> {
  const boundary = boundaryOf(contentType)
  const upload = new Map<RoleName, UploadPart>()
  for (const part of readParts(await readBody(body, limits.total), boundary, limits.parts)) {
    const role = uploadedRole(part.filename)
    if (upload.has(role)) throw malformed(`${role} is there twice`)
    upload.set(role, partOf(role, part, limits))
  }
  return upload
}

function readBody(body: Readable, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks = gathering()
    let size = 0
    body.on('data', (chunk: Uint8Array) => {
      const before = size
      size += chunk.length
      if (size <= limit) chunks.add(chunk)
      else if (before <= limit) {
        chunks = gathering()
        // What is still on its way is read and dropped for a while: hanging up on a sender would lose it the answer.
        const hangUp = setTimeout(() => body.destroy(), LINGER_MS).unref()
        body.once('close', () => clearTimeout(hangUp))
        reject(new Problem('TOO_LARGE', { what: 'the upload', limit }))
      }
    })
    body.on('end', () => resolve(chunks.whole()))
    body.on('error', (cause) => reject(new Problem('MALFORMED_UPLOAD', { reason: 'it broke off' }, { cause })))
    body.on('aborted', () => reject(malformed('it broke off')))
    if (body.destroyed) reject(malformed('it broke off')) // before anybody listened, and nobody is told twice
  })
}

/** So many chunks lie around one by one. */
const MOST_LOOSE = 4096

type Gathering = { readonly add: (chunk: Uint8Array) => void; readonly whole: () => Buffer }

/** Each chunk takes half a kilobyte for itself: a body that comes byte by byte would take hundreds of times its length. */
function gathering(): Gathering {
  let packed: Uint8Array[] = []
  let loose: Uint8Array[] = []
  return {
    add(chunk) {
      if (loose.length === MOST_LOOSE) {
        packed.push(Buffer.concat(loose))
        loose = []
      }
      loose.push(chunk)
    },
    whole() {
      const all = Buffer.concat([...packed, ...loose])
      packed = [] // the request lives on, and they with it
      loose = []
      return all
    },
  }
}

/** A copy, for a small file that is kept must not keep the large one that came along with it. */
function partOf(role: RoleName, { type, bytes }: FilePart, limits: UploadLimits): UploadPart {
  const limit = role === 'root' ? limits.root : limits.targets
  if (bytes.length > limit) throw new Problem('TOO_LARGE', { what: role, limit })
  return { kind: kindOf(role, type), bytes: Buffer.from(bytes) }
}

/**
 * A name that a role has in any dialect. Which of them may be sent is a matter of the repository's own, which another
 * part may tell.
 */
function uploadedRole(filename: string): RoleName {
  const name = filename.replace(/\.json$/, '')
  if (name.length <= 255 && /^[a-z0-9](?:[a-z0-9._-]|\/[a-z0-9_-])*$/.test(name)) return roleName(name)
  throw new Problem('INVALID_ROLE', { role: name.slice(0, 80), reason: 'no role may be named so' })
}

function kindOf(role: RoleName, type: string): UploadPart['kind'] {
  if (type !== DELTA_TYPE) return 'file'
  if (role === 'root') throw malformed('a root comes whole')
  return 'delta'
}
