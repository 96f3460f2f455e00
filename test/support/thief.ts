/** Somebody who took keys of the server, and stands between it and whoever he likes. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { StolenKey } from '../../client/drill/theft.ts'
import { openOnlineKey } from '../../keys/online.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { keyFields, readPublicKey } from '../../keys/public-key.ts'
import { openKek } from '../../server/kek.ts'
import type { OnlineRole } from '../../server/storage/store.ts'
import { REPOSITORY } from './incident-lab.ts'
import type { IncidentLab } from './incident-lab.ts'

export { forgeSnapshot, forgeTimestamp } from '../../client/drill/theft.ts'
export type { StolenKey } from '../../client/drill/theft.ts'

/** From a copy of the database, and of the key that opens it. */
export async function stealOnline(t: Test, { server }: IncidentLab, role: OnlineRole): Promise<StolenKey> {
  const { store } = server.services.deps
  const kek = await openKek(store, { data: server.dir, env: {} })
  const [record] = (await store.keys.list(REPOSITORY, role)).toReversed()
  const standing = await server.services.deps.rootOf(REPOSITORY)
  if (record?.sealed === undefined || standing === undefined) throw new Error('nothing to steal')
  const signer = openOnlineKey(kek, { repository: REPOSITORY, role }, { id: record.keyid, sealed: record.sealed })
  t.teardown(() => signer.close())
  const { codec } = standing
  return { signer, key: codec.key(keyFields(readPublicKey(record), codec.dialect), nativeSuite) }
}

/** Serves what the server has, but for the files that he made. */
export type Interceptor = {
  readonly url: string
  readonly files: Map<string, Uint8Array>
  /** The true file as it is now. */
  readonly genuine: (name: string) => Promise<Uint8Array>
}

export async function intercept(t: Test, { url }: IncidentLab): Promise<Interceptor> {
  const files = new Map<string, Uint8Array>()
  const trust = `/v2/${REPOSITORY}/_trust/tuf/`
  const genuine = async (name: string) => new Uint8Array(await (await fetch(`${url}${trust}${name}`)).arrayBuffer())
  const proxy = createServer((request, response) => {
    const path = request.url ?? '/'
    const own = files.get(path.slice(path.lastIndexOf('/') + 1))
    if (own !== undefined) return void response.writeHead(200).end(own)
    fetch(`${url}${path}`).then(
      async (answer) => response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer())),
      () => request.socket.destroy(),
    )
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, files, genuine }
}
