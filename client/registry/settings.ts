import type { Http } from '../http.ts'
import type { Credentials } from './credentials.ts'
import type { RegistryLimits } from './limits.ts'
import type { Patience } from './retry.ts'

/**
 * `true`: plain http, to this machine only. A list: these hosts by plain http, whatever they are (see `plainHostsOf`).
 * Left out: https; and like docker, a registry on this machine is tried by https first and then by http.
 */
export type PlainHttp = boolean | readonly string[]

export type RegistrySettings = {
  readonly credentials?: Credentials
  /** PEM of the authorities to trust instead of the machine's own. */
  readonly ca?: string
  readonly plainHttp?: PlainHttp
  readonly limits?: Partial<RegistryLimits>
  readonly userAgent?: string
  /** Connections to one host at once. */
  readonly maxSockets?: number
  /** Used instead of a transport of our own, and closed with the registry. */
  readonly http?: Http
  readonly sleep?: Patience['sleep']
  readonly random?: () => number
  /** Milliseconds on a clock that nobody sets. */
  readonly monotonic?: () => number
}
