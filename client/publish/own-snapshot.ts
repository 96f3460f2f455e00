/** The snapshot of a repository whose snapshot key the publisher holds, as `notary init` leaves it with one. */
import { authorityOf, instant, ROOT, SNAPSHOT, TARGETS, version } from '../../tuf/index.ts'
import type { Codec, FileMeta, RoleName, Snapshot, Suite } from '../../tuf/index.ts'
import { customsOf } from './customs.ts'
import type { Edit } from './edit.ts'
import type { Keyring } from './keyring.ts'
import type { Standing } from './standing.ts'

type Files = ReadonlyMap<RoleName, Uint8Array>
type Signing = { readonly everyKey: Pick<Keyring, 'canSign' | 'sign'>; readonly clock: () => number }

/** These files, and the snapshot that lists them where its key is here and not the server's. */
export async function withOwnSnapshot(
  { everyKey, clock }: Signing,
  standing: Standing,
  edits: readonly Edit[],
  files: Files,
): Promise<Files> {
  const { codec, suite } = standing
  const { snapshotMayBeOurs, lifetimes } = customsOf(codec)
  const authority = authorityOf(rootAfter(standing, edits), SNAPSHOT)
  if (!snapshotMayBeOurs || !everyKey.canSign(authority)) return files
  const body = nextSnapshot(
    standing.snapshot,
    metaAfter(standing, edits, files, suite),
    codec,
    clock() + lifetimes.snapshot,
  )
  return new Map(files).set(SNAPSHOT, codec.assemble(body, await everyKey.sign(codec.encode(body), [authority])))
}

function nextSnapshot(snapshot: Snapshot, meta: Snapshot['meta'], codec: Codec, expires: number): Snapshot {
  return {
    ...snapshot,
    version: version(snapshot.version + 1),
    expires: instant(Math.floor(expires / 1000) * 1000),
    expiresText: codec.date(expires),
    meta,
  }
}

function rootAfter({ root }: Standing, edits: readonly Edit[]) {
  const body = edits.find(({ role }) => role === ROOT)?.body
  return body?.type === 'root' ? body : root
}

/** What was listed, with the new files, and without the roles that nobody delegates to any more. */
function metaAfter(
  { codec, snapshot }: Standing,
  edits: readonly Edit[],
  files: Files,
  suite: Suite,
): Snapshot['meta'] {
  const { parentOf } = customsOf(codec)
  const meta = new Map([...snapshot.meta].filter(([role]) => isDelegated(role, edits, parentOf)))
  for (const [role, bytes] of files) meta.set(role, metaOf(bytes, suite))
  return meta
}

function isDelegated(
  role: RoleName,
  edits: readonly Edit[],
  parentOf: (role: RoleName) => RoleName | undefined,
): boolean {
  if (role === ROOT || role === TARGETS) return true
  const parent = parentOf(role)
  if (parent === undefined) return true
  const body = edits.find((edit) => edit.role === parent)?.body
  const isListed = body?.type !== 'targets' || body.delegations?.roles.some(({ name }) => name === role) === true
  return isListed && isDelegated(parent, edits, parentOf)
}

function metaOf(bytes: Uint8Array, suite: Suite): FileMeta {
  const hashes = new Map((['sha256', 'sha512'] as const).map((name) => [name, suite.hash(name, bytes)]))
  return { length: bytes.length, hashes, unknown: new Map() }
}
