/**
 * Versions that a server still remembers of a role although no file says so. Notary drops a role from the snapshot with its
 * delegation, so that one which is delegated again begins anew, and the server takes no old version twice. And a server
 * that was restored from a backup knows which versions it lost.
 */
import { version } from '../../tuf/index.ts'
import type { RoleName, Snapshot } from '../../tuf/index.ts'
import type { Upload } from '../server-api.ts'
import type { Edit } from './edit.ts'

export type Floors = Map<RoleName, number>
type Listing = { readonly snapshot: Pick<Snapshot, 'meta'> }

/** A million publishes of one role. Whoever names a greater version wants none to be left. */
const HIGHEST = 2 ** 20

/** The edits with versions above those that were refused. */
export function aboveFloors(edits: readonly Edit[], floors: Floors): readonly Edit[] {
  return edits.map((edit) => {
    const floor = floors.get(edit.role)
    if (floor === undefined || edit.body.version > floor) return edit
    return { ...edit, body: { ...edit.body, version: version(floor + 1) } }
  })
}

/** What a conflict says of roles that the snapshot does not list; where it does not say how much, twice as much. */
export function raiseFloors(
  floors: Floors,
  edits: readonly Edit[],
  { snapshot }: Listing,
  { role: named, current }: Extract<Upload, { readonly kind: 'conflict' }>,
): void {
  for (const { role, body } of edits) {
    if (body.type === 'root' || (named !== undefined && named !== role)) continue
    // Of one that is listed the next refresh tells all, but what the server knows to be lost.
    if (snapshot.meta.has(role) && (named === undefined || current === undefined || current < body.version)) continue
    floors.set(role, Math.min(current ?? 2 * body.version - 1, HIGHEST))
  }
}
