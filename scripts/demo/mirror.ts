/** A mirror in front of a trust server, which passes on what it gets until it is told to play back what it once got. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'

export type Mirror = {
  readonly url: string
  /** From now on every file is answered as it was when it first came by, and what never came by is not there. */
  readonly playBack: () => void
  /** From now on every file whose path matches is answered with the last such file that came by until now. */
  readonly keepGiving: (paths: RegExp) => void
  readonly close: () => Promise<void>
}

type Answer = { readonly status: number; readonly type: string; readonly bytes: Buffer }

export async function startMirror(upstream: string): Promise<Mirror> {
  const tape = new Map<string, Answer>()
  let recording = true
  let stuck: { readonly paths: RegExp; readonly answer: Answer } | undefined
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })

  async function answer({ url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const found = stuck?.paths.test(url) === true ? stuck.answer : await recordedOrPassed(url)
    response.writeHead(found.status, { 'content-type': found.type, 'content-length': found.bytes.length })
    response.end(found.bytes)
  }

  async function recordedOrPassed(path: string): Promise<Answer> {
    return recording ? await fetchInto(path) : (tape.get(path) ?? NOT_THERE)
  }

  async function fetchInto(path: string): Promise<Answer> {
    const response = await fetch(new URL(path, upstream))
    const type = response.headers.get('content-type') ?? 'application/octet-stream'
    const got = { status: response.status, type, bytes: Buffer.from(await response.arrayBuffer()) }
    if (response.ok && !tape.has(path)) tape.set(path, got)
    return got
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    playBack: () => {
      recording = false
    },
    keepGiving(paths) {
      const [, last] = [...tape].findLast(([path]) => paths.test(path)) ?? []
      if (last === undefined) throw new Error(`nothing came by that matches ${paths.source}`)
      stuck = { paths, answer: last }
    },
    async close() {
      server.closeAllConnections()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

const NOT_THERE: Answer = {
  status: 404,
  type: 'application/json',
  bytes: Buffer.from('{"errors":[{"code":"METADATA_NOT_FOUND","message":"not here"}]}'),
}
