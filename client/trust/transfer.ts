import { TrustError } from '../../tuf/index.ts'
import { isHttpError } from '../http-errors.ts'
import { readBody } from '../http.ts'
import type { Http, HttpRequest, HttpResponse } from '../http.ts'
import { monotonicNow } from '../monotonic.ts'
import { ClientError } from './errors.ts'

/** How long a file may take. `rate`, in bytes a second, is asked for on average once `grace` is over. */
export type Patience = { readonly idle: number; readonly grace: number; readonly rate: number }

export const DEFAULT_PATIENCE: Patience = { idle: 15_000, grace: 60_000, rate: 1024 }

export type TransferOptions = {
  readonly http: Http
  /** Sent to the origin that was asked for, and to no other; or how to find it out, each time anew. */
  readonly token?: string | (() => Promise<string>) | undefined
  /** Where the token comes from, for people. */
  readonly tokenFrom?: string | undefined
  readonly patience?: Patience | undefined
  /** Says that what is read is read to publish on top of it: then a server shows what it holds back from others. */
  readonly toPublish?: boolean | undefined
  /** Sent to the origin that was asked for, and to no other. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Told what a 404 of the origin that was asked says, where that is not long. */
  readonly absent?: ((response: HttpResponse, page: Uint8Array) => void) | undefined
}

const MOST_REDIRECTS = 5
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const RESET: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])
/** An error page up to this size is read to its end, which keeps the connection for the next request. */
const SMALL_PAGE = 16 * 1024

/**
 * GETs one file and hands its answer to `use` while the clock runs: silence, a trickle, and the caller's signal end
 * it. Gives undefined for 404 and 403 alone; every other answer than 200 throws, so that no error passes for an end.
 */
export async function transfer<T>(
  url: URL,
  options: TransferOptions,
  use: (response: HttpResponse) => Promise<T>,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const watch = startWatch(url, options.patience ?? DEFAULT_PATIENCE, signal)
  try {
    const { response, at } = await follow(url, options, watch)
    const told = at.origin === url.origin ? options : {}
    if (await isAbsent(response, told)) return undefined
    refuseStatus(url, response, told)
    return await use({ ...response, body: counted(response.body, watch) })
  } catch (error) {
    watch.signal.throwIfAborted() // what ended it is the reason, not how the connection took it
    throw translate(url, error)
  } finally {
    watch.stop()
  }
}

/** A body as bytes. What is longer than allowed is no such file: TOO_LARGE, as for any other wrong content. */
export async function readFile(response: HttpResponse, maxBytes: number, what: string): Promise<Uint8Array> {
  try {
    return await readBody(response, maxBytes, what)
  } catch (error) {
    if (!isHttpError(error) || error.code !== 'TOO_LARGE') throw error
    throw new TrustError('TOO_LARGE', { what, limit: maxBytes }, { cause: error })
  }
}

async function follow(
  start: URL,
  options: TransferOptions,
  watch: Watch,
): Promise<{ readonly response: HttpResponse; readonly at: URL }> {
  const { http, patience } = options
  let url = start
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const headers = url.origin === start.origin ? await headersFor(options) : {}
    const idleTimeout = (patience ?? DEFAULT_PATIENCE).idle
    const response = await sendTwice(http, { url, headers, signal: watch.signal, idleTimeout })
    if (!REDIRECTS.has(response.status)) return { response, at: url }
    url = redirected(url, response)
    await drain(response)
  }
  throw new ClientError('REDIRECT_REFUSED', { url: shown(start), why: `more than ${MOST_REDIRECTS} times` })
}

async function headersFor({ token, toPublish, headers }: TransferOptions): Promise<Readonly<Record<string, string>>> {
  const secret = typeof token === 'function' ? await token() : token
  return {
    ...headers,
    ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
    ...(toPublish === true ? { 'x-tagseal-purpose': 'publish' } : {}),
  }
}

/** A server may close an idle connection in the very moment in which we use it again: that is no answer yet. */
async function sendTwice(http: Http, request: HttpRequest): Promise<HttpResponse> {
  try {
    return await http.send(request)
  } catch (error) {
    if (!isHttpError(error) || error.code !== 'NETWORK' || !RESET.has(error.detail.reason)) throw error
    return await http.send(request)
  }
}

function redirected(from: URL, response: HttpResponse): URL {
  const location = response.header('location')
  const to = location === undefined ? null : URL.parse(location, from.href)
  if (to === null) throw new ClientError('REDIRECT_REFUSED', { url: shown(from), why: 'to nowhere' })
  if (from.protocol === 'https:' && to.protocol !== 'https:') {
    throw new ClientError('REDIRECT_REFUSED', { url: shown(from), why: `from https to ${to.protocol}` })
  }
  if (to.username !== '' || to.password !== '') {
    throw new ClientError('REDIRECT_REFUSED', { url: shown(from), why: 'to an address with credentials in it' })
  }
  return to
}

async function isAbsent(response: HttpResponse, { absent }: Pick<TransferOptions, 'absent'>): Promise<boolean> {
  if (response.status !== 404 && response.status !== 403) return false
  const page = await drain(response)
  if (page !== undefined && response.status === 404) absent?.(response, page)
  return true
}

function refuseStatus(
  url: URL,
  response: HttpResponse,
  { token, tokenFrom }: Pick<TransferOptions, 'token' | 'tokenFrom'>,
): void {
  if (response.status !== 200) {
    response.discard()
    if (response.status === 401) {
      const sent = token === undefined || tokenFrom === undefined ? {} : { sent: tokenFrom }
      throw new ClientError('UNAUTHORIZED', { url: shown(url), ...sent })
    }
    if (response.header('x-tagseal-refusal') === 'RESTORED') throw new ClientError('RESTORED', { url: shown(url) })
    throw new ClientError('SERVER_ERROR', { url: shown(url), status: response.status })
  }
  const encoding = response.header('content-encoding') ?? 'identity'
  if (encoding === 'identity') return
  response.discard() // we ask for the bytes themselves; unpacking what nobody asked for is how bombs go off
  throw new ClientError('BAD_ANSWER', { url: shown(url), why: `in the encoding ${JSON.stringify(encoding)}` })
}

async function drain(response: HttpResponse): Promise<Uint8Array | undefined> {
  try {
    return await readBody(response, SMALL_PAGE, 'error page')
  } catch (error) {
    if (isHttpError(error) && error.code === 'TOO_LARGE') return undefined // its connection is gone, and that is all
    throw error
  }
}

type Watch = { readonly signal: AbortSignal; readonly saw: (bytes: number) => void; readonly stop: () => void }

/** Ends a transfer that trickles: an attacker's way to hold a client without ever being silent. */
function startWatch(url: URL, { grace, rate }: Patience, outer: AbortSignal | undefined): Watch {
  const end = new AbortController()
  const start = monotonicNow()
  let received = 0
  const timer = setInterval(
    () => {
      const milliseconds = monotonicNow() - start
      if (milliseconds < grace || received >= (milliseconds / 1000) * rate) return
      end.abort(new ClientError('TIMEOUT', { url: shown(url), milliseconds }))
    },
    Math.max(grace / 4, 10),
  )
  return {
    signal: outer === undefined ? end.signal : AbortSignal.any([outer, end.signal]),
    saw: (bytes) => {
      received += bytes
    },
    stop: () => clearInterval(timer),
  }
}

async function* counted(body: AsyncIterable<Uint8Array>, watch: Watch): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const part of body) {
    watch.saw(part.length)
    yield part
  }
}

/** The transport's words into the client's; whatever else went wrong passes through. */
function translate(url: URL, error: unknown): unknown {
  if (!isHttpError(error)) return error
  switch (error.code) {
    case 'NETWORK':
      return new ClientError('NETWORK', error.detail, { cause: error })
    case 'TIMEOUT':
      return new ClientError('TIMEOUT', error.detail, { cause: error })
    case 'PLAIN_HTTP_REFUSED':
      return new ClientError('PLAIN_HTTP_REFUSED', error.detail, { cause: error })
    case 'SCHEME_REFUSED':
      return new ClientError('REDIRECT_REFUSED', { url: shown(url), why: `to ${error.detail.url}` }, { cause: error })
    case 'TOO_LARGE':
      return new ClientError(
        'BAD_ANSWER',
        { url: shown(url), why: `more than ${error.detail.limit} bytes` },
        { cause: error },
      )
    default:
      return error satisfies never
  }
}

/** Without query: it may carry what a log must not. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`
}
