import type { Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import type { BusboyFileStream, BusboyHeaders } from '@fastify/busboy'
import { roleName } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { Problem, isProblem } from '../problem.ts'

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

type Parser = {
  /** Called once for each part, while the body is still being read. */
  readonly part: (stream: BusboyFileStream, filename: string, type: string) => void
  readonly fail: (error: unknown) => void
}

/**
 * Reads a multipart body: each part one role's file, named by its file name, in any order. Counts as it reads, so that
 * a body without a length is bounded as well. Throws MALFORMED_UPLOAD, INVALID_ROLE, TOO_LARGE.
 */
export function readUpload(body: Readable, headers: BusboyHeaders, limits: UploadLimits): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const reading: Promise<readonly [RoleName, UploadPart]>[] = []
    let failed = false
    const fail = (error: unknown) => {
      if (failed) return
      failed = true
      body.unpipe()
      // What is still on its way is read and dropped for a while: hanging up on a sender would lose it the answer.
      body.resume()
      const hangUp = setTimeout(() => body.destroy(), LINGER_MS).unref()
      body.once('close', () => clearTimeout(hangUp))
      reject(asProblem(error))
    }
    const busboy = openBusboy(headers, limits, {
      fail,
      part(stream, filename, type) {
        const part = readPart(stream, filename, type, limits)
        part.catch((error: unknown) => {
          stream.resume()
          fail(error)
        })
        reading.push(part)
      },
    })
    if (busboy === undefined) {
      fail(malformed('it is not multipart/form-data with a boundary'))
      return
    }
    busboy.on('finish', () => {
      Promise.all(reading).then(byRole).then(resolve, fail)
    })
    let total = 0
    body.on('data', (chunk: Uint8Array) => {
      total += chunk.length
      if (total > limits.total) fail(new Problem('TOO_LARGE', { what: 'the upload', limit: limits.total }))
    })
    body.on('error', fail)
    body.on('aborted', () => fail(malformed('it broke off')))
    body.pipe(busboy)
  })
}

function byRole(parts: readonly (readonly [RoleName, UploadPart])[]): Upload {
  const upload = new Map<RoleName, UploadPart>()
  for (const [role, part] of parts) {
    if (upload.has(role)) throw malformed(`${role} is there twice`)
    upload.set(role, part)
  }
  return upload
}

function openBusboy(headers: BusboyHeaders, limits: UploadLimits, { part, fail }: Parser) {
  try {
    const busboy = new Busboy({
      headers,
      preservePath: true, // the role names of delegations have slashes
      limits: { parts: limits.parts, fields: 0, fileSize: limits.targets, headerPairs: 16, headerSize: 4096 },
    })
    busboy.on('file', (_field, stream, filename, _encoding, type) => part(stream, filename, type))
    busboy.on('field', () => fail(nameless()))
    busboy.on('fieldsLimit', () => fail(nameless()))
    busboy.on('partsLimit', () => fail(malformed(`it has more than ${limits.parts} parts`)))
    busboy.on('error', fail)
    return busboy
  } catch {
    return undefined
  }
}

async function readPart(
  stream: BusboyFileStream,
  filename: string,
  type: string,
  limits: UploadLimits,
): Promise<readonly [RoleName, UploadPart]> {
  const role = uploadedRole(filename)
  const limit = role === 'root' ? limits.root : limits.targets
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) continue
    size += chunk.length
    if (size > limit) throw new Problem('TOO_LARGE', { what: role, limit })
    chunks.push(chunk)
  }
  if (stream.truncated) throw new Problem('TOO_LARGE', { what: role, limit })
  return [role, { kind: kindOf(role, type), bytes: Buffer.concat(chunks, size) }]
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

/** Whatever a parser threw at a body it did not understand is the body's fault. */
function asProblem(error: unknown): Problem {
  if (isProblem(error)) return error
  return new Problem('MALFORMED_UPLOAD', { reason: 'the body cannot be read as multipart' }, { cause: error })
}

function nameless(): Problem {
  return new Problem('MALFORMED_UPLOAD', { reason: 'a part has no file name', missing: 'file name' })
}

function malformed(reason: string): Problem {
  return new Problem('MALFORMED_UPLOAD', { reason })
}
