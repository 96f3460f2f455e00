/** What a thief of the server's keys can make of them. Nothing here asks whether it may: that is the others' business. */
import { join } from 'node:path'
import { keyFields, readPublicKey, signAs } from '../../keys/public-key.ts'
import { loadKek } from '../../keys/keystore/kek.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { openOnlineKey } from '../../keys/online.ts'
import type { Signer } from '../../keys/signer.ts'
import { codecOf, DEFAULT_LIMITS, instant, version } from '../../tuf/index.ts'
import type { Codec, Metadata, PublicKey, Snapshot, Timestamp } from '../../tuf/index.ts'

export type StolenKey = { readonly key: PublicKey; readonly signer: Signer }

type Row = { keyid: string; keytype: string; scheme: string; public: string; sealed: Uint8Array }

/** From a copy of a server's folder: its database, and the key that opens what is sealed there. */
export async function stealFromFolder(
  data: string,
  {
    repository,
    role,
    codec,
  }: { readonly repository: string; readonly role: 'timestamp' | 'snapshot'; readonly codec: Codec },
): Promise<StolenKey> {
  const [{ DatabaseSync }, kek] = [await import('node:sqlite'), await loadKek({ env: {}, fallback: join(data, 'kek') })]
  const db = new DatabaseSync(join(data, 'tagseal.db'), { readOnly: true })
  try {
    const row = db
      .prepare('SELECT keyid, keytype, scheme, public, sealed FROM online_key WHERE repository = ? AND role = ?')
      .get(repository, role)
    if (kek === undefined || !isRow(row)) throw new Error(`no ${role} key of ${repository} lies in ${data}`)
    const signer = openOnlineKey(kek, { repository, role }, { id: row.keyid, sealed: row.sealed })
    return { signer, key: codec.key(keyFields(readPublicKey(row), codec.dialect), nativeSuite) }
  } finally {
    db.close()
    kek?.close()
  }
}

function isRow(row: object | undefined): row is Row {
  return row !== undefined && 'sealed' in row && row.sealed instanceof Uint8Array
}

const SEAT = { suite: nativeSuite, limits: DEFAULT_LIMITS }
const TEN_YEARS = 10 * 365 * 86_400_000

/** `to` is the version, `now` in milliseconds; `rootFile` settles the dialect. */
export type Forging = { readonly to: number; readonly now: number; readonly rootFile: Uint8Array }

/** A timestamp at that version, good for ten years, over this snapshot. */
export async function forgeTimestamp(
  stolen: StolenKey,
  from: Uint8Array,
  snapshot: Uint8Array,
  { to, now, rootFile }: Forging,
): Promise<Uint8Array> {
  const codec = codecOf(rootFile, DEFAULT_LIMITS)
  const { body } = codec.decode('timestamp', from, SEAT)
  const listed = codec.decode('snapshot', snapshot, SEAT).body
  const hashes = new Map(
    (['sha256', 'sha512'] as const)
      .filter((name) => body.snapshot.hashes?.has(name) === true)
      .map((name) => [name, nativeSuite.hash(name, snapshot)]),
  )
  const meta = {
    ...body.snapshot,
    ...(body.snapshot.version === undefined ? {} : { version: listed.version }),
    length: snapshot.length,
    hashes,
  }
  return await sealed(codec, { ...aged(codec, body, to, now), snapshot: meta }, stolen)
}

/** A snapshot at that version, with whatever he wants listed. */
export async function forgeSnapshot(
  stolen: StolenKey,
  from: Uint8Array,
  { to, now, rootFile }: Forging,
  change: (body: Snapshot) => Snapshot = (body) => body,
): Promise<Uint8Array> {
  const codec = codecOf(rootFile, DEFAULT_LIMITS)
  const { body } = codec.decode('snapshot', from, SEAT)
  return await sealed(codec, change(aged(codec, body, to, now)), stolen)
}

function aged<M extends Snapshot | Timestamp>(codec: Codec, body: M, to: number, now: number): M {
  const expires = now + TEN_YEARS
  const at = instant(Math.floor(expires / 1000) * 1000)
  return { ...body, version: version(to), expires: at, expiresText: codec.date(expires) }
}

async function sealed(codec: Codec, body: Metadata, { key, signer }: StolenKey): Promise<Uint8Array> {
  return codec.assemble(body, [await signAs(key, signer, codec.encode(body))])
}
