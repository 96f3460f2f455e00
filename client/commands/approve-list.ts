import type { PendingSummary } from '../proposals/api.ts'
import type { Desk } from '../publish/publish.ts'
import { allRoles } from '../publish/standing.ts'
import type { Terminal } from '../terminal.ts'
import type { Answer } from './declare.ts'
import { tableOf } from './table-text.ts'

/** The list is the server's word, and says so little that nobody signs for it. */
export async function listPending(
  { note }: Pick<Terminal, 'note'>,
  desk: Desk,
  repository: string,
  everything: boolean,
): Promise<Answer> {
  const standing = await desk.standing()
  const all = await desk.server.proposals.list()
  const roles = new Map((await allRoles(standing)).map(({ name, authority }) => [name, authority]))
  const isOurs = ({ files, stale }: PendingSummary) =>
    !stale &&
    files.some(({ role, signedBy }) => {
      const authority = roles.get(role)
      if (authority === undefined) return false
      const left = authority.role.keyids.filter((id) => !signedBy.includes(id))
      return desk.keyring.canHelp({ ...authority, role: { ...authority.role, keyids: left } })
    })
  const shown = everything ? all : all.filter(isOurs)
  if (shown.length < all.length) {
    const hidden = all.filter((each) => !shown.includes(each))
    const stale = hidden.filter((each) => each.stale).length
    const wait = hidden.length === 1 ? '1 more waits' : `${hidden.length} more wait`
    const are = stale === 0 ? '' : ` (${stale} stale)`
    note(`${wait} for keys that are elsewhere${are}: tagseal approve ${repository} --list`)
  }
  const rows = shown.map(({ id, files, by, expiresAt, stale }) => [
    id,
    files.length > 3 ? `${files.length} files` : files.map(({ role }) => role).join(', '),
    stale ? 'stale' : `${Math.min(...files.map(({ signedBy }) => signedBy.length))} signed`,
    by === undefined ? '' : `by ${by}`,
    `until ${new Date(expiresAt).toISOString().slice(0, 16)}Z`,
  ])
  return {
    lines: tableOf(rows),
    document: {
      repository,
      pending: shown.map(({ id, files, by, createdAt, expiresAt, stale }) => ({
        proposal: id,
        by: by ?? null,
        created: new Date(createdAt).toISOString(),
        expires: new Date(expiresAt).toISOString(),
        stale,
        roles: files,
      })),
    },
  }
}
