import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type BuiltImage, type BuiltIndex, everythingOf, type Stored, topOf } from './images.ts'

/** What was asked of it, for tests of what must never be sent. */
export type Asked = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** An answer to one request. Returning false leaves the request to the honest rest. */
export type Lie = (request: IncomingMessage, response: ServerResponse, body: string) => boolean

/** A registry in this process, honest until it is told what to lie about. */
export type HostileRegistry = {
  readonly host: string
  readonly url: string
  readonly asked: readonly Asked[]
  /** Replaces the lies told so far, and forgets what was asked. */
  readonly lie: (...lies: readonly Lie[]) => void
  readonly serve: (built: BuiltImage | BuiltIndex, ...tags: readonly string[]) => Stored
  readonly put: (...contents: readonly Stored[]) => void
  readonly tag: (name: string, content: Stored) => void
  readonly close: () => Promise<void>
}

type Shelf = { readonly contents: Map<string, Stored>; readonly tags: Map<string, string> }

/** Starts it on 127.0.0.1, whatever repository it is asked for. The caller closes it. */
export async function startHostileRegistry(tls?: { cert: string; key: string }): Promise<HostileRegistry> {
  const shelf: Shelf = { contents: new Map(), tags: new Map() }
  const asked: Asked[] = []
  let lies: readonly Lie[] = []
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    textOf(request).then(
      (body) => answer(request, response, body),
      () => response.destroy(),
    )
  }
  const answer = (request: IncomingMessage, response: ServerResponse, body: string) => {
    asked.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers, body })
    response.on('error', () => response.destroy()) // a client that leaves in the middle is what some tests are about
    if (!lies.some((lie) => lie(request, response, body))) honest(shelf, request, response)
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  const host = await listen(server)
  const put = (...contents: readonly Stored[]) => {
    for (const content of contents) shelf.contents.set(content.digest, content)
  }
  return {
    host,
    url: `${tls === undefined ? 'http' : 'https'}://${host}`,
    asked,
    lie(...told) {
      lies = told
      asked.length = 0
    },
    serve(built, ...tags) {
      put(...everythingOf(built))
      for (const tag of tags) shelf.tags.set(tag, topOf(built).digest)
      return topOf(built)
    },
    put,
    tag(name, content) {
      put(content)
      shelf.tags.set(name, content.digest)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return `127.0.0.1:${port}`
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) if (chunk instanceof Buffer) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** What distribution does: tags, digests, HEAD, and single ranges of blobs. */
function honest({ contents, tags }: Shelf, request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/v2/') return void response.end('{}')
  const [, kind, name = ''] = /\/(manifests|blobs)\/([^/?]+)/.exec(request.url ?? '') ?? []
  const content = contents.get(tags.get(name) ?? name)
  if (content === undefined) return answerError(response, 404, kind === 'blobs' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN')
  const type = kind === 'blobs' ? 'application/octet-stream' : content.mediaType
  response.setHeader('content-type', type).setHeader('docker-content-digest', content.digest)
  response.setHeader('etag', `"${content.digest}"`)
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? []
  if (from === undefined || kind !== 'blobs') return sendBytes(request, response, content.bytes)
  response.statusCode = 206
  response.setHeader('content-range', `bytes ${from}-${content.size - 1}/${content.size}`)
  sendBytes(request, response, content.bytes.subarray(Number(from)))
}

function sendBytes(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  response.setHeader('content-length', bytes.length)
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

export function answerError(response: ServerResponse, status: number, code: string, message = 'no'): void {
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ errors: [{ code, message }] }))
}

/** A lie about the requests that it fits, as often as it is asked, or only the first `times`. */
export function when(
  path: RegExp,
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
  times = Infinity,
): Lie {
  let left = times
  return (request, response, body) => {
    if (!path.test(request.url ?? '') || left <= 0) return false
    left--
    answer(request, response, body)
    return true
  }
}

/** Says how to log in to whoever has not; lets pass whoever sent `authorization`. */
export function challenge(path: RegExp, header: string | readonly string[], authorization: string): Lie {
  return (request, response) => {
    if (!path.test(request.url ?? '') || request.headers.authorization === authorization) return false
    response.setHeader('www-authenticate', typeof header === 'string' ? header : [...header])
    answerError(response, 401, 'UNAUTHORIZED')
    return true
  }
}

export function redirect(path: RegExp, to: string | ((request: IncomingMessage) => string), status = 307): Lie {
  return when(path, (request, response) => {
    response.writeHead(status, { location: typeof to === 'string' ? to : to(request) }).end()
  })
}

/** Never stops sending, in chunks without a length. */
export function endless(path: RegExp): Lie {
  return when(path, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
    const block = Buffer.alloc(64 * 1024, ' ')
    const more = () => {
      while (!response.destroyed && response.write(block));
    }
    response.on('drain', more)
    more()
  })
}

/** Sends the head of an answer and one byte every `milliseconds`. */
export function drip(path: RegExp, length: number, milliseconds: number): Lie {
  return when(path, (_request, response) => {
    response.writeHead(200, { 'content-length': length })
    const timer = setInterval(() => response.write(' '), milliseconds)
    response.on('close', () => clearInterval(timer))
  })
}

/** Sends the head of an answer and then nothing. */
export function hang(path: RegExp, length: number): Lie {
  return when(path, (_request, response) => {
    response.writeHead(200, { 'content-length': length })
    response.flushHeaders()
  })
}

/** Promises all of it and breaks the connection after `bytes`. */
export function breakAfter(path: RegExp, content: Stored, bytes: number, times = 1): Lie {
  return when(
    path,
    (request, response) => {
      const [, from = '0'] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? []
      const rest = content.bytes.subarray(Number(from))
      const range = `bytes ${from}-${content.size - 1}/${content.size}`
      const headers = { 'content-length': rest.length, etag: `"${content.digest}"` }
      response.writeHead(from === '0' ? 200 : 206, from === '0' ? headers : { ...headers, 'content-range': range })
      response.write(rest.subarray(0, bytes), () => response.destroy())
    },
    times,
  )
}
