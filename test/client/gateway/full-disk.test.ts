import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openBlobs } from '../../../client/gateway/blobs.ts'
import { openStore } from '../../../client/gateway/store.ts'
import { openRegistry } from '../../../client/registry/registry.ts'
import { parseRepo } from '../../../client/registry/reference.ts'
import { startHostileRegistry } from '../../support/hostile-registry.ts'
import { stored } from '../../support/images.ts'

/** Takes everything and says that the disk is full. */
const FULL = '/dev/full'

await t.test(
  'a disk that fills up in the middle of a layer costs one download',
  { skip: !existsSync(FULL) },
  async (t) => {
    const registry = await startHostileRegistry()
    const opened = openRegistry({ plainHttp: true, limits: { backoffMs: 5, retries: 0 } })
    t.teardown(async () => await Promise.all([opened.close(), registry.close()]))
    const layer = stored('application/vnd.oci.image.layer.v1.tar', randomBytes(4 * 1024 * 1024))
    registry.put(layer)
    const store = await openStore(t.testdir(), 64 * 1024 * 1024)
    const full: FileHandle[] = []
    t.teardown(async () => await Promise.all(full.map((handle) => handle.close())))
    const receive = async (digest: string, size: number) => {
      const incoming = await store.receive(digest, size)
      const handle = await open(FULL, 'w')
      full.push(handle)
      return incoming && { ...incoming, handle }
    }
    let now = 0
    const blobs = openBlobs({ ...store, receive }, () => now)
    const ref = parseRepo('registry.test/team/app')
    const place = { registry: opened, ref: { ...ref, registry: registry.host } }
    const send = async (response: ServerResponse) => {
      try {
        await blobs.send({ place, blob: layer, range: undefined, response })
      } catch {
        response.destroy()
      }
    }
    const server = createServer((_request, response) => void send(response))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const get = async () => Buffer.from(await (await fetch(`http://127.0.0.1:${port}/`)).arrayBuffer())
    await t.rejects(get(), 'what was begun ends without its last byte')
    for (let i = 0; i < 2; i++) t.ok((await get()).equals(layer.bytes), 'who asks again has it past the disk')
    now += 60_000
    await t.rejects(get(), 'and the disk is tried again after a while')
  },
)
