/** What the main process and its readers say to each other. Both are of one build, and nobody else has the channel. */
import type { Settings } from '../config.ts'
import type { Address } from '../listen.ts'
import type { Seen } from '../serve/sightings.ts'
import type { TlsFiles } from '../tls.ts'

/** What was served since the last one: requests by route and status, and who saw which timestamp. */
export type Report = {
  readonly counts: readonly (readonly [route: string, status: number, times: number])[]
  readonly seen: readonly (readonly [repository: string, who: Seen, version: number])[]
}

/** All that a reader has to know. The key-encryption key is not among it. */
export type Order = {
  readonly settings: Settings
  /** Whether it answers anything itself: not where tokens are to be looked at, nor where nothing is to be served. */
  readonly serves: boolean
  readonly host: string
  readonly port: number
  readonly tls?: TlsFiles
}

export type ToReader =
  | { readonly kind: 'serve'; readonly order: Order }
  | { readonly kind: 'tls'; readonly tls: TlsFiles }
  | { readonly kind: 'stop' }

export type FromReader =
  | { readonly kind: 'listening'; readonly address: Address }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'report'; readonly report: Report }

/** Node's cluster has messages of its own on the same channel; they carry no kind. */
export function isToReader(message: unknown): message is ToReader {
  return isOfKind(message, ['serve', 'tls', 'stop'])
}

export function isFromReader(message: unknown): message is FromReader {
  return isOfKind(message, ['listening', 'failed', 'report'])
}

function isOfKind(message: unknown, kinds: readonly string[]): boolean {
  return (
    typeof message === 'object' &&
    message !== null &&
    'kind' in message &&
    typeof message.kind === 'string' &&
    kinds.includes(message.kind)
  )
}
