/**
 * The lock file: which digest each image had when it was last looked up, and from which state of its repository.
 *
 * It is no authority. Every check compares it with what is signed; the sum only tells an edit from an image that moved.
 */
import { isJsonObject, member } from '../../tuf/model/json.ts'
import type { Json, JsonObject } from '../../tuf/model/json.ts'
import { digestOf, isDigest } from '../registry/digest.ts'
import { JsonRefused, parseStrictJson } from '../registry/json.ts'
import { LockError } from './errors.ts'

export type Locked = { readonly digest: string; readonly length: number; readonly role: string }
/** Versions of the metadata that the digests of a repository come from: all of them from one state. */
export type State = { readonly root: number; readonly snapshot: number }
export type Lock = {
  readonly repositories: ReadonlyMap<string, State>
  /** By name with tag. */
  readonly images: ReadonlyMap<string, Locked>
}

const VERSION = 1

export function printLock({ repositories, images }: Lock): string {
  const body = { version: VERSION, repositories: sorted(repositories), images: sorted(images) }
  return `${JSON.stringify({ ...body, sum: sumOf(body) }, undefined, 2)}\n`
}

/** Throws LOCK_EDITED. */
export function parseLock(bytes: Uint8Array, path: string): Lock {
  const edited = (why: string, cause?: unknown) =>
    new LockError('LOCK_EDITED', { path, why }, cause === undefined ? {} : { cause })
  const root = parse(bytes, edited)
  const [repositories, images] = [membersOf(root, 'repositories'), membersOf(root, 'images')]
  if (repositories === undefined || images === undefined || !isJsonObject(root)) throw edited('it is no lock file')
  if (member(root, 'version') !== VERSION) throw edited('it is of another version')
  const lock = {
    repositories: new Map(repositories.map(([name, value]) => [name, readState(value) ?? refuse(edited, name)])),
    images: new Map(images.map(([name, value]) => [name, readLocked(value) ?? refuse(edited, name)])),
  }
  if (printLock(lock) !== Buffer.from(bytes).toString('utf8').replaceAll('\r\n', '\n'))
    throw edited('its sum is another one')
  return lock
}

type Edited = (why: string, cause?: unknown) => LockError<'LOCK_EDITED'>

function refuse(edited: Edited, name: string): never {
  throw edited(`${name} cannot be read`)
}

function parse(bytes: Uint8Array, edited: Edited): Json {
  try {
    return parseStrictJson(bytes)
  } catch (cause) {
    if (cause instanceof JsonRefused) throw edited(cause.message, cause)
    throw cause
  }
}

function membersOf(root: Json, name: string): readonly (readonly [string, Json])[] | undefined {
  const value = isJsonObject(root) ? member(root, name) : undefined
  return isJsonObject(value) ? Object.entries(value) : undefined
}

function readState(value: Json): State | undefined {
  const [root, snapshot] = numbersOf(value, ['root', 'snapshot'])
  return root === undefined || snapshot === undefined ? undefined : { root, snapshot }
}

function readLocked(value: Json): Locked | undefined {
  if (!isJsonObject(value)) return undefined
  const [digest, role] = [member(value, 'digest'), member(value, 'role')]
  const [length] = numbersOf(value, ['length'])
  if (typeof digest !== 'string' || !isDigest(digest) || typeof role !== 'string' || length === undefined)
    return undefined
  return { digest, length, role }
}

function numbersOf(value: Json, names: readonly string[]): readonly (number | undefined)[] {
  const object: JsonObject = isJsonObject(value) ? value : {}
  return names.map((name) => {
    const number = member(object, name)
    return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined
  })
}

function sorted<T>(map: ReadonlyMap<string, T>): Readonly<Record<string, T>> {
  return Object.fromEntries([...map].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

function sumOf(body: object): string {
  return digestOf(Buffer.from(JSON.stringify(body)))
}
