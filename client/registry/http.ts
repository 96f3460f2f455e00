import type { HttpResponse, Http as Transport } from '../http.ts'
import { HttpError, refusesCertificate } from '../http-errors.ts'
import { type AnyRegistryError, isRegistryError, NO_TLS, printable, RegistryError } from './errors.ts'
import type { RegistryLimits } from './limits.ts'

export type Request = {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** A large body is asked for: its chunks are then good until the next one is asked for. */
  readonly bulk?: boolean
  /** What is being asked for, in the words of an error message. */
  readonly what: string
}

/** `url` is where the answer came from, after redirects. */
export type Response = HttpResponse & { readonly url: URL }

/** One request and its answer: no redirects, no logins, no retries. Failures of the network get their code. */
export type Http = {
  readonly send: (request: Request, deadline: Deadline) => Promise<Response>
  /** Reads a body to its end, or throws TOO_LARGE as soon as it is longer than that. */
  readonly read: (response: Response, most: number, what: string, deadline: Deadline) => Promise<Uint8Array>
  /** The body as it arrives. Stopping early closes the connection. */
  readonly stream: (response: Response, what: string, deadline: Deadline) => AsyncGenerator<Uint8Array>
}

/** An instant by which something is over, and the caller's own wish to stop. */
export type Deadline = { readonly signal: AbortSignal; readonly caller?: AbortSignal; readonly milliseconds: number }

/** Timers do not go further than 24 days. */
const LONGEST = 2 ** 31 - 1

export function deadlineIn(milliseconds: number, caller?: AbortSignal): Deadline {
  const timeout = AbortSignal.timeout(Math.min(Math.ceil(milliseconds), LONGEST))
  if (caller === undefined) return { signal: timeout, milliseconds }
  return { signal: AbortSignal.any([caller, timeout]), caller, milliseconds }
}

export function useHttp(transport: Transport, limits: RegistryLimits): Http {
  const http: Http = {
    async send({ method, url, headers, body, bulk = false, what }, deadline) {
      try {
        const payload = body === undefined ? {} : { body: new TextEncoder().encode(body) }
        const { signal } = deadline
        const answer = await transport.send({
          method,
          url,
          headers,
          ...payload,
          bulk,
          signal,
          idleTimeout: limits.idleMs,
        })
        return { ...answer, url }
      } catch (error) {
        throw failure(error, url, what, deadline, limits)
      }
    },
    async read(response, most, what, deadline) {
      const chunks: Uint8Array[] = []
      let length = 0
      if ((announcedLength(response) ?? 0) > most) {
        response.discard()
        throw new RegistryError('TOO_LARGE', { what, limit: most })
      }
      for await (const chunk of http.stream(response, what, deadline)) {
        length += chunk.length
        if (length > most) throw new RegistryError('TOO_LARGE', { what, limit: most })
        chunks.push(chunk)
      }
      return Buffer.concat(chunks, length)
    },
    async *stream(response, what, deadline) {
      refuseEncoding(response, what)
      let ended = false
      try {
        for await (const chunk of response.body) yield chunk
        ended = true
      } catch (error) {
        throw failure(error, response.url, what, deadline, limits)
      } finally {
        if (!ended) response.discard()
      }
    },
  }
  return http
}

const DRAINED = 64 * 1024

/** Reads past a small body that nobody wants, so that its connection can be used again. */
export async function drain(response: Response): Promise<void> {
  let length = announcedLength(response) ?? 0
  try {
    if (length <= DRAINED) for await (const chunk of response.body) if ((length += chunk.length) > 2 * DRAINED) break
  } catch {
    // whatever was wrong with it, the next request will say so on a connection of its own
  }
  response.discard()
}

/** What the answer says of its own length, which is a reason to refuse and never one to trust. */
export function announcedLength(response: Response): number | undefined {
  const text = response.header('content-length') ?? ''
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}

/** We asked for none; and what we hash is what came over the wire. */
function refuseEncoding(response: Response, what: string): void {
  const encoding = response.header('content-encoding') ?? ''
  if (encoding === '' || encoding.toLowerCase() === 'identity') return
  response.discard()
  const why = `it is encoded (${printable(encoding, 40)}), which was not asked for`
  throw new RegistryError('BAD_RESPONSE', { host: response.url.host, what, why })
}

/** A connection that broke may work the next time; a name that does not exist will not. */
export function isTransient(error: AnyRegistryError): boolean {
  return error.code === 'UNREACHABLE' && TRANSIENT.has(networkCode(error))
}

/** The system's or OpenSSL's word for what went wrong on the wire: `ECONNRESET`. */
export function networkCode(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (!(at instanceof HttpError) && !isRegistryError(at) && 'code' in at && typeof at.code === 'string')
      return at.code
  }
  return ''
}

const TRANSIENT = new Set(['ECONNRESET', 'EPIPE', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'])
const WORDS: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'there is no such host'],
  ['EAI_AGAIN', 'its name could not be looked up'],
  ['ECONNREFUSED', 'nothing listens there'],
  ['ECONNRESET', 'the connection was closed'],
  ['EPIPE', 'the connection was closed'],
  ['EPROTO', NO_TLS],
  ['ERR_SSL_WRONG_VERSION_NUMBER', NO_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', NO_TLS],
  ['ELINKLOCAL', 'its address is link-local'],
])

function failure(error: unknown, url: URL, what: string, deadline: Deadline, limits: RegistryLimits): unknown {
  if (deadline.caller?.aborted) return deadline.caller.reason
  const { host } = url
  const { milliseconds } = deadline
  if (deadline.signal.aborted) return new RegistryError('TIMEOUT', { host, what, milliseconds }, { cause: error })
  if (!(error instanceof HttpError)) return error
  if (error.code === 'TIMEOUT')
    return new RegistryError('TIMEOUT', { host, what, milliseconds: limits.idleMs }, { cause: error })
  if (error.code === 'PLAIN_HTTP_REFUSED') return new RegistryError('PLAIN_HTTP_REFUSED', { host }, { cause: error })
  const code = networkCode(error)
  if (code.startsWith('HPE_')) {
    return new RegistryError('BAD_RESPONSE', { host, what, why: 'it is no proper HTTP' }, { cause: error })
  }
  const why = WORDS.get(code) ?? printable(code || error.message)
  const kind = refusesCertificate(code) ? 'CERTIFICATE_REFUSED' : 'UNREACHABLE'
  return new RegistryError(kind, { host, why }, { cause: error })
}
