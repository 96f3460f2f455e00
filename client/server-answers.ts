/** Pieces of what the trust server answers. */
import { isJsonObject, member } from '../tuf/index.ts'
import type { Json, JsonObject } from '../tuf/index.ts'

export type Reply = { readonly status: number; readonly body: Json | undefined }

/** The first of the `errors` that an answer lists. */
export type Problem = { readonly code: string; readonly message: string; readonly detail: JsonObject }

export function problemOf(status: number, body: Json | undefined): Problem {
  const errors = isJsonObject(body) ? member(body, 'errors') : undefined
  const [first] = listOf(errors) ?? []
  const error: JsonObject = isJsonObject(first) ? first : {}
  const detail = member(error, 'detail')
  return {
    code: textOf(member(error, 'code')) ?? `HTTP ${status}`,
    message: textOf(member(error, 'message')) ?? `status ${status}`,
    detail: isJsonObject(detail) ? detail : {},
  }
}

export function instantOf(value: Json | undefined): number | undefined {
  const milliseconds = typeof value === 'number' ? value : Date.parse(textOf(value) ?? '')
  return Math.abs(milliseconds) <= LAST_INSTANT ? milliseconds : undefined
}

/** Of no later one does JavaScript know a date. */
const LAST_INSTANT = 8.64e15

export function listOf(value: Json | undefined): readonly Json[] | undefined {
  return Array.isArray(value) ? value : undefined
}

export function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
