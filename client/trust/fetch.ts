import { hash } from '../../keys/digest.ts'
import { timestampFile } from '../../tuf/index.ts'
import { ClientError } from './errors.ts'
import { readFile, transfer } from './transfer.ts'
import type { TransferOptions } from './transfer.ts'

/** Where metadata comes from. Nothing it gives is believed before it is verified. */
export type MetadataSource = {
  /**
   * The file of that name, at most that many bytes of it. undefined only where the source says that it has none (404)
   * or shows none (403); silence and every other answer throw, so that an error never passes for the end of the
   * root chain.
   */
  readonly get: (name: string, maxBytes: number, signal?: AbortSignal) => Promise<Uint8Array | undefined>
}

/**
 * The files below a metadata URL, taken as it is written: what is percent-encoded in it stays so.
 *
 * A refresh asks for the root after its own, which hardly ever is there, and then for the timestamp. A server of ours
 * sends that along with its first answer, and is not asked twice; any other says that there is no such root (ADR 0046).
 */
export function httpSource(metadataUrl: string, options: TransferOptions): MetadataSource {
  const base = baseUrl(metadataUrl)
  let questions = 0
  let along: Uint8Array | undefined
  return {
    async get(name, maxBytes, signal) {
      const question = ++questions
      const brought = name === TIMESTAMP ? along : undefined
      along = undefined // it was the newest when it was asked for, and answers the next question alone
      if (brought !== undefined && brought.length <= maxBytes) return brought
      const bring = (timestamp: Uint8Array) => {
        if (question !== questions) return // whoever asked since then may begin after it was the newest
        along = timestamp
        BROUGHT.add(timestamp)
      }
      const asking = NUMBERED_ROOT.test(name) && options.toPublish !== true ? bringing(options, bring) : options
      return await transfer(new URL(base + name), asking, (response) => readFile(response, maxBytes, name), signal)
    },
  }
}

function bringing(options: TransferOptions, bring: (timestamp: Uint8Array) => void): TransferOptions {
  return {
    ...options,
    headers: { ...options.headers, [ALONG]: TIMESTAMP },
    absent(response, page) {
      // Somebody between us may have put a page of his own in its place.
      if (response.header(ALONG) === `${TIMESTAMP};sha256=${hash('sha256', page)}`) bring(page)
    },
  }
}

const BROUGHT = new WeakSet<Uint8Array>()

/** Whether these bytes came along with the answer to another question. */
export function cameAlong(bytes: Uint8Array): boolean {
  return BROUGHT.has(bytes)
}

/** Asks for the timestamp to be sent along with the word that there is no next root. */
export const ALONG = 'x-tagseal-along'
const TIMESTAMP = timestampFile()
const NUMBERED_ROOT = /^[1-9]\d*\.root\.json$/

/** The text before the names of files. Refuses what would make two readings of one URL. */
export function baseUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null) throw new ClientError('BAD_URL', { url: text, why: 'it is no URL' })
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new ClientError('BAD_URL', { url: text, why: 'it is neither https nor http' })
  }
  if (/[?#]/.test(text)) throw new ClientError('BAD_URL', { url: text, why: 'it has a query or a fragment' })
  if (url.username !== '' || url.password !== '') {
    throw new ClientError('BAD_URL', { url: url.origin, why: 'it has credentials in it; give a token instead' })
  }
  return text.endsWith('/') ? text : `${text}/`
}

/** Where a Tagseal server keeps the metadata of a repository. Refuses a name that no URL can say: it would ask for another. */
export function metadataUrlOf(server: string, repository: string): string {
  const segments = repository.split('/')
  const url = `${baseUrl(server)}v2/${segments.map(quoteSegment).join('/')}/_trust/tuf/`
  if (!segments.some((segment) => UNSAYABLE.has(segment))) return url
  throw new ClientError('BAD_URL', { url, why: 'a part of the name of the repository is empty, "." or ".."' })
}

const UNSAYABLE: ReadonlySet<string> = new Set(['', '.', '..'])

/** The colon of a registry's port is legal in a path, and is how every client of the distribution API writes it. */
function quoteSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll('%3A', ':')
}
