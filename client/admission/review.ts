/** What an API server asks. A review that contradicts itself is none: two readers of it could see two objects. */
import { isJsonObject, member } from '../../tuf/model/json.ts'
import type { Json, JsonObject } from '../../tuf/model/json.ts'
import { JsonRefused, parseStrictJson } from '../registry/json.ts'
import { AdmissionError } from './errors.ts'

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

export type Review = {
  readonly uid: string
  readonly operation: Operation
  /** `pods`, `deployments.apps`. */
  readonly resource: string
  readonly subresource: string | undefined
  readonly kind: string
  readonly version: string
  /** undefined for what is in none. */
  readonly namespace: string | undefined
  /** Empty as long as there is only a `generateName`. */
  readonly name: string
  readonly user: string
  readonly dryRun: boolean
  /** undefined where it is deleted. */
  readonly object: JsonObject | undefined
  /** As it was before an UPDATE; undefined otherwise. */
  readonly before: JsonObject | undefined
}

const OPERATIONS = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] as const
export const LONGEST_NAME = 253
const LONGEST_USER = 1024

/** Throws REVIEW_MALFORMED. */
export function parseReview(bytes: Uint8Array): JsonObject {
  try {
    const review = parseStrictJson(bytes)
    if (isJsonObject(review)) return review
  } catch (cause) {
    if (cause instanceof JsonRefused) throw malformed('the review', cause.message, cause)
    throw cause
  }
  throw malformed('the review', 'it is no object')
}

/** What an answer has to name, also one that says how wrong the rest is; undefined where there is none. */
export function uidOf(review: JsonObject): string | undefined {
  const request = member(review, 'request')
  const uid = isJsonObject(request) ? member(request, 'uid') : undefined
  return typeof uid === 'string' && /^[A-Za-z0-9-]{1,128}$/.test(uid) ? uid : undefined
}

/** Throws REVIEW_MALFORMED. */
export function readReview(review: JsonObject): Review {
  if (member(review, 'apiVersion') !== 'admission.k8s.io/v1' || member(review, 'kind') !== 'AdmissionReview')
    throw malformed('the review', 'only AdmissionReview of admission.k8s.io/v1 is known')
  const request = objectIn(review, 'request') ?? refuse('request', 'it is missing')
  const uid = uidOf(review) ?? refuse('request.uid', 'it is missing, or no identifier')
  const operation =
    OPERATIONS.find((one) => one === member(request, 'operation')) ?? refuse('request.operation', 'none')
  const [kind, resource] = [typeIn(request, 'kind'), typeIn(request, 'resource', 'resource')]
  if (kind.group !== resource.group && optionalText(request, 'subResource') === undefined)
    throw malformed('request.resource', 'it is of another group than the kind')
  const common = {
    uid,
    operation,
    resource: resource.group === '' ? resource.name : `${resource.name}.${resource.group}`,
    subresource: optionalText(request, 'subResource'),
    kind: kind.name,
    version: kind.version,
    namespace: optionalText(request, 'namespace'),
    name: optionalText(request, 'name') ?? '',
    user: userOf(request),
    dryRun: member(request, 'dryRun') === true,
  }
  if (operation === 'DELETE' || operation === 'CONNECT') return { ...common, object: undefined, before: undefined }
  const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`
  const expected = { apiVersion, kind: kind.name, namespace: common.namespace, name: common.name }
  const object = objectIn(request, 'object') ?? refuse('request.object', 'it is missing')
  const before = objectIn(request, 'oldObject')
  refuseOther(object, 'request.object', expected)
  if ((before === undefined) === (operation === 'UPDATE'))
    throw malformed('request.oldObject', `it does not go with ${operation}`)
  if (before !== undefined) {
    refuseOther(before, 'request.oldObject', expected)
    if (metadataOf(before, 'uid') !== metadataOf(object, 'uid'))
      throw malformed('request.oldObject', 'it is another object')
  }
  return { ...common, object, before }
}

/** A text of an object's metadata; undefined where it is empty. */
export function metadataOf(object: JsonObject, name: string): string | undefined {
  const metadata = member(object, 'metadata')
  const value = isJsonObject(metadata) ? member(metadata, name) : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

type Expected = {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string | undefined
  readonly name: string
}

/** A part of the metadata may be missing: the API server fills it in after us. One that is there has to agree. */
function refuseOther(object: JsonObject, what: string, expected: Expected): void {
  if (member(object, 'apiVersion') !== expected.apiVersion || member(object, 'kind') !== expected.kind)
    throw malformed(what, `it is no ${expected.kind} of ${expected.apiVersion}`)
  const [namespace, name] = [metadataOf(object, 'namespace'), metadataOf(object, 'name')]
  if (namespace !== undefined && namespace !== expected.namespace)
    throw malformed(what, 'it is of another namespace than the request')
  if (name !== undefined && expected.name !== '' && name !== expected.name)
    throw malformed(what, 'it has another name than the request')
}

type Type = { readonly group: string; readonly version: string; readonly name: string }

function typeIn(request: JsonObject, member_: 'kind' | 'resource', nameIn: 'kind' | 'resource' = 'kind'): Type {
  const type = objectIn(request, member_) ?? refuse(`request.${member_}`, 'it is missing')
  const [group, version, name] = ['group', 'version', nameIn].map((part) => member(type, part))
  if (typeof group === 'string' && isWord(version) && isWord(name) && /^[a-z0-9.-]*$/.test(group))
    return { group, version, name }
  throw malformed(`request.${member_}`, 'it names no group, version and kind')
}

function isWord(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[A-Za-z][A-Za-z0-9-]{0,62}$/.test(value)
}

function objectIn(parent: JsonObject, name: string): JsonObject | undefined {
  const value = member(parent, name)
  if (value === undefined || value === null) return undefined
  return isJsonObject(value) ? value : refuse(name, 'it is no object')
}

function optionalText(request: JsonObject, name: string): string | undefined {
  const value = member(request, name)
  if (value === undefined || value === null || value === '') return undefined
  return typeof value === 'string' && value.length <= LONGEST_NAME ? value : refuse(`request.${name}`, 'it is no name')
}

/** For the log alone: nothing is decided by who asks. */
function userOf(request: JsonObject): string {
  const info = objectIn(request, 'userInfo')
  const name = info === undefined ? undefined : member(info, 'username')
  return typeof name === 'string' ? name.slice(0, LONGEST_USER) : ''
}

function refuse(what: string, why: string): never {
  throw malformed(what, why)
}

function malformed(what: string, why: string, cause?: unknown): AdmissionError<'REVIEW_MALFORMED'> {
  return new AdmissionError('REVIEW_MALFORMED', { what, why }, cause === undefined ? {} : { cause })
}
