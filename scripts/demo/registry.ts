/** The registry that the demo pushes to, and how its content is spoilt behind everybody's back. */
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { startRegistry, whyNoRegistry } from '../../test/support/registry.ts'
import type { TestRegistry } from '../../test/support/registry.ts'

export type DemoRegistry = TestRegistry & {
  readonly about: string
  /** Flips one byte of a blob; returns how to mend it. */
  readonly spoil: (digest: string) => Promise<() => Promise<void>>
}

/** The one at `url`, or a real one started for this run; undefined where there is neither. */
export async function openRegistry(url: string | undefined): Promise<DemoRegistry | undefined> {
  if (url !== undefined) return await openForeign(new URL(url))
  if ((await whyNoRegistry()) !== undefined) return undefined
  const own = await startRegistry()
  return { ...own, about: 'docker-registry', spoil: (digest) => spoilOnDisk(own.storage, digest) }
}

async function spoilOnDisk(storage: string, digest: string): Promise<() => Promise<void>> {
  const hex = digest.replace('sha256:', '')
  const file = join(storage, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
  const bytes = await readFile(file)
  await writeFile(file, flipped(bytes))
  return () => writeFile(file, bytes)
}

/** Nobody's disk is ours to change there, so a proxy stands in front and lies where it is told to. */
async function openForeign(upstream: URL): Promise<DemoRegistry> {
  const spoilt = new Set<string>()
  const server = createServer((request, response) => {
    const { method = 'GET', url = '/', headers } = request
    const pass = async () => {
      const sent = method === 'GET' || method === 'HEAD' ? undefined : await buffer(request)
      const kept = ['accept', 'content-type', 'range'].flatMap((name) => {
        const value = headers[name]
        return typeof value === 'string' ? [[name, value] as const] : []
      })
      const answer = await fetch(new URL(url, upstream), {
        method,
        headers: Object.fromEntries(kept),
        ...(sent === undefined ? {} : { body: new Uint8Array(sent) }),
      })
      const bytes = Buffer.from(await answer.arrayBuffer())
      const lie = [...spoilt].some((digest) => url.endsWith(digest)) && bytes.length > 0
      response.writeHead(answer.status, headersOf(answer))
      response.end(lie ? flipped(bytes) : bytes)
    }
    pass().catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const host = `127.0.0.1:${address.port}`
  return {
    host,
    url: `http://${host}`,
    authorization: undefined,
    storage: '',
    about: `${upstream.href}, through a proxy`,
    async spoil(digest) {
      spoilt.add(digest)
      return async () => void spoilt.delete(digest)
    },
    async stop() {
      server.closeAllConnections()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

function headersOf({ headers }: Response): Record<string, string> {
  const kept = ['content-type', 'docker-content-digest', 'location', 'docker-upload-uuid', 'range']
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = headers.get(name)
      return value === null ? [] : [[name, value] as const]
    }),
  )
}

/** The same length and another content, past whatever header a format has. */
function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const at = Math.floor(copy.length / 2)
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}
