/** Somebody who took keys of the server, and stands between it and whoever he likes. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { openOnlineKey } from '../../keys/online.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { keyFields, readPublicKey, signAs } from '../../keys/public-key.ts'
import type { Signer } from '../../keys/signer.ts'
import { codecOf, DEFAULT_LIMITS, instant, version } from '../../tuf/index.ts'
import type { Metadata, PublicKey, Snapshot, Timestamp } from '../../tuf/index.ts'
import { openKek } from '../../server/kek.ts'
import type { OnlineRole } from '../../server/storage/store.ts'
import { REPOSITORY } from './incident-lab.ts'
import type { IncidentLab } from './incident-lab.ts'

export type StolenKey = { readonly key: PublicKey; readonly signer: Signer }

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

const SEAT = { suite: nativeSuite, limits: DEFAULT_LIMITS }
const TEN_YEARS = 10 * 365 * 86_400_000

export type Forging = { readonly to: number; readonly now: number; readonly rootFile: Uint8Array }

/** A timestamp at that version, good for ten years, over this snapshot. */
export async function forgeTimestamp(
  { key, signer }: StolenKey,
  from: Uint8Array,
  snapshot: Uint8Array,
  { to, now, rootFile }: Forging,
): Promise<Uint8Array> {
  const codec = codecOf(rootFile, DEFAULT_LIMITS)
  const { body } = codec.decode('timestamp', from, SEAT)
  const listed = codec.decode('snapshot', snapshot, SEAT).body
  const hashes = new Map(
    [...(body.snapshot.hashes?.keys() ?? [])].map((name) => [name, nativeSuite.hash(name as 'sha256', snapshot)]),
  )
  const meta = {
    ...body.snapshot,
    ...(body.snapshot.version === undefined ? {} : { version: listed.version }),
    length: snapshot.length,
    hashes,
  }
  return await sealed(rootFile, { ...aged(body, to, now, rootFile), snapshot: meta }, { key, signer })
}

/** A snapshot at that version, with whatever he wants listed. */
export async function forgeSnapshot(
  stolen: StolenKey,
  from: Uint8Array,
  { to, now, rootFile }: Forging,
  change: (body: Snapshot) => Snapshot = (body) => body,
): Promise<Uint8Array> {
  const { body } = codecOf(rootFile, DEFAULT_LIMITS).decode('snapshot', from, SEAT)
  return await sealed(rootFile, change(aged(body, to, now, rootFile)), stolen)
}

function aged<M extends Snapshot | Timestamp>(body: M, to: number, now: number, rootFile: Uint8Array): M {
  const expires = now + TEN_YEARS
  const expiresText = codecOf(rootFile, DEFAULT_LIMITS).date(expires)
  return { ...body, version: version(to), expires: instant(Math.floor(expires / 1000) * 1000), expiresText }
}

async function sealed(rootFile: Uint8Array, body: Metadata, { key, signer }: StolenKey): Promise<Uint8Array> {
  const codec = codecOf(rootFile, DEFAULT_LIMITS)
  return codec.assemble(body, [await signAs(key, signer, codec.encode(body))])
}
