/** By whose certificates a trust server shows itself, where that is kept beside its address (ADR 0043). */
import { isKeyError } from '../../keys/errors.ts'
import { formOfAuthorities, readAuthorities } from '../../keys/native/authorities.ts'
import type { Authorities } from '../../keys/native/authorities.ts'
import { ClientError } from './errors.ts'
import type { Pattern } from './pattern.ts'

/** For one server alone: whoever is asked for anything else is judged as if it were not there. */
export type ServerCa = {
  /** In its one form. */
  readonly pem: string
  /** Where it is kept, for people: `the pin of registry.example.com/**`. */
  readonly from: string
  /** What a run names itself (`--ca`) counts in its place. */
  readonly yields: boolean
}

/** A trust server, and what is kept of how it is reached. */
export type TrustServer = { readonly server: string; readonly serverCa?: ServerCa | undefined }

/** The certificates of a text, in the one form in which they are kept. `refuse` is told what is wrong with it. */
export function serverCaIn(text: string, refuse: (why: string) => never): string {
  return authoritiesIn(text, refuse).pem
}

/** The same with what stands in them. */
export function authoritiesIn(text: string, refuse: (why: string) => never): Authorities {
  return orRefuse(() => readAuthorities(text, 'certificate'), refuse)
}

/** The same where the certificates themselves were looked at before, or will be when they are used. */
export function formOfServerCa(text: string, refuse: (why: string) => never): string {
  return orRefuse(() => formOfAuthorities(text, 'certificate'), refuse)
}

/**
 * What is kept, looked into: of a certificate that cannot be read OpenSSL says nothing, and would go by the others, or by
 * none. Throws CONFIG_MALFORMED; `from` is where it is kept, for people.
 */
export function keptAuthorities(pem: string, from: string): Authorities {
  return orRefuse(
    () => readAuthorities(pem, 'certificate'),
    (what) => {
      throw new ClientError('CONFIG_MALFORMED', { path: 'trust.json', what: `serverCa in ${from}: ${what}` })
    },
  )
}

function orRefuse<T>(read: () => T, refuse: (why: string) => never): T {
  try {
    return read()
  } catch (error) {
    if (isKeyError(error) && error.code === 'KEY_MALFORMED') return refuse(error.detail.why)
    throw error
  }
}

/** What a pin keeps. */
export function keptCa({
  pattern,
  serverCa,
}: {
  readonly pattern: Pattern
  readonly serverCa?: string
}): ServerCa | undefined {
  return serverCa === undefined ? undefined : { pem: serverCa, from: placeOf(pattern), yields: true }
}

/** For people: where something is kept with a pin. */
export function placeOf({ text }: Pattern): string {
  return `the pin of ${text}`
}

export function isHttps(server: string): boolean {
  return URL.parse(server)?.protocol === 'https:'
}

/** Whether two addresses are of one server, whatever they are to it; what is no URL is of none. */
export function isSameServer(one: string | undefined, other: string | undefined): boolean {
  const origin = one === undefined ? undefined : URL.parse(one)?.origin
  return origin !== undefined && other !== undefined && origin === URL.parse(other)?.origin
}

/** What a run names itself. */
type Named = { readonly server: string | undefined; readonly ca: string | undefined }
type Kept = { readonly server?: string | undefined; readonly serverCa?: ServerCa | undefined }

/** What counts in a run of what is kept. Authorities never go with another server than the one that they were kept for. */
export function serverFor(named: Named, { server: kept, serverCa }: Kept): TrustServer | undefined {
  const server = named.server ?? kept
  if (server === undefined) return undefined
  const counts = serverCa !== undefined && isSameServer(kept, server) && !(serverCa.yields && named.ca !== undefined)
  return counts ? { server, serverCa } : { server }
}
