import { isJsonObject, type Json, member } from '../../tuf/model/json.ts'
import { printable, RegistryError } from './errors.ts'
import type { Response } from './http.ts'
import { isList, parseStrictJson } from './json.ts'
import { parseRetryAfter } from './retry.ts'

/** Turns an answer that is no success into its error. 404 is not one of them: what it means depends on the question. */
export function refuseStatus(response: Response, body: Uint8Array, what: string): never {
  const { status, url } = response
  const { host } = url
  const said = message(body)
  if (status === 401) throw new RegistryError('UNAUTHORIZED', { host, what, sent: true })
  if (status === 403) throw new RegistryError('DENIED', { host, what })
  const seconds = parseRetryAfter(response.header('retry-after'), response.header('date'))
  const later = seconds === undefined ? {} : { seconds }
  if (status === 429) throw new RegistryError('RATE_LIMITED', { host, what, ...later })
  if (status >= 500) throw new RegistryError('UNAVAILABLE', { host, what, status, ...later })
  throw new RegistryError('BAD_RESPONSE', { host, what, why: `it answers ${status}${said === '' ? '' : ` (${said})`}` })
}

/** The registry's own words: `{"errors":[{"code","message"}]}`. */
function message(body: Uint8Array): string {
  const first = firstError(parse(body))
  const parts = ['code', 'message'].map((name) => (isJsonObject(first) ? member(first, name) : undefined))
  return printable(parts.filter((part) => typeof part === 'string').join(': '))
}

function firstError(answer: Json | undefined): Json | undefined {
  const errors = isJsonObject(answer) ? member(answer, 'errors') : undefined
  return isList(errors) ? errors[0] : undefined
}

/** Whatever stands in front of a registry may answer in HTML; then its status has to do. */
function parse(body: Uint8Array): Json | undefined {
  try {
    return parseStrictJson(body)
  } catch {
    return undefined
  }
}
