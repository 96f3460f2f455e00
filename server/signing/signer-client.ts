/** Asks a signer process: HTTP with JSON over its socket, or by mutual TLS. Bounded in time and size. */
import { readFileSync } from 'node:fs'
import { Agent, request as requestPlain } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as requestTls } from 'node:https'
import { KeyError } from '../../keys/errors.ts'

export type SignerAddress =
  | { readonly socket: string }
  | { readonly url: URL; readonly ca: string; readonly cert: string; readonly key: string }

export type SignerClient = {
  /** What it answered with 200. Throws SignerRefusal, SIGNER_TIMEOUT and SIGNER_UNAVAILABLE. */
  readonly ask: (path: string, body?: object) => Promise<Answer>
  readonly close: () => void
}
export type Answer = Readonly<Record<string, unknown>>

/** The signer said no. */
export class SignerRefusal extends Error {
  override readonly name = 'SignerRefusal'
  readonly code: string
  readonly detail: Answer
  constructor(code: string, message: string, detail: Answer) {
    super(`the signer refused: ${message}`)
    this.code = code
    this.detail = detail
  }
}

/** A connection that was kept and had ended meanwhile: nobody was asked yet, or the same may be asked again. */
class Reset extends Error {
  override readonly name = 'Reset'
}

const MAX_ANSWER = 64 * 1024
const CONNECTIONS = { keepAlive: true, maxSockets: 32, maxFreeSockets: 8 } as const

export function openSignerClient(address: SignerAddress, seconds: number): SignerClient {
  const tls = 'url' in address
  const agent = tls ? new TlsAgent(CONNECTIONS) : new Agent(CONNECTIONS)
  const options = (): RequestOptions => ({ ...(tls ? tlsOptions(address) : { socketPath: address.socket }), agent })
  return {
    async ask(path, body) {
      const limit = AbortSignal.timeout(seconds * 1000)
      const once = () => exchange(options(), path, body, limit)
      try {
        const { status, text } = await once().catch((error: unknown) => {
          if (error instanceof Reset) return once()
          throw error
        })
        return answerOf(status, text)
      } catch (error) {
        if (error instanceof SignerRefusal) throw error
        if (limit.aborted) throw new KeyError('SIGNER_TIMEOUT', { signer: 'the signer', seconds }, { cause: error })
        const why =
          error instanceof Error && 'code' in error ? String(error.code) : 'it answers otherwise than a signer'
        throw new KeyError('SIGNER_UNAVAILABLE', { signer: 'the signer', why }, { cause: error })
      }
    },
    close: () => agent.destroy(),
  }
}

/** Read again each time: certificates are replaced while servers run, and another one is another pool of connections. */
function tlsOptions({ url, ca, cert, key }: Extract<SignerAddress, { readonly url: URL }>) {
  const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return { host, port: url.port === '' ? 443 : Number(url.port), ...files, minVersion: 'TLSv1.3' as const }
}

type Exchanged = { readonly status: number; readonly text: string }

async function exchange(
  options: RequestOptions,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<Exchanged> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const headers = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length }
  const method = payload === undefined ? 'GET' : 'POST'
  const send = 'socketPath' in options ? requestPlain : requestTls
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = send({ ...options, path, method, headers, signal }, resolve)
    request.on('error', (error: NodeJS.ErrnoException) => {
      reject(request.reusedSocket && error.code === 'ECONNRESET' ? new Reset() : error)
    })
    request.end(payload)
  })
  return { status: answer.statusCode ?? 0, text: await textOf(answer) }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of answer) {
    if (!(part instanceof Uint8Array)) continue
    length += part.length
    if (length > MAX_ANSWER) throw new RangeError('its answer has no end')
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function answerOf(status: number, text: string): Answer {
  const answer = objectOf(JSON.parse(text))
  if (status === 200) return answer
  const errors: unknown = answer['errors']
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined
  const { code, message, detail } = objectOf(first)
  if (typeof code !== 'string' || !/^[A-Z_]{1,40}$/.test(code)) throw new TypeError('it refuses without a code')
  throw new SignerRefusal(code, String(message).slice(0, 500), objectOf(detail ?? {}))
}

function objectOf(value: unknown): Answer {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new TypeError('it answers no object')
}
