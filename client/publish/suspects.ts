/** Which tags a stolen key may have changed, by the server's record of what each tag meant. */
import type { RoleName, Targets } from '../../tuf/index.ts'
import type { HistoryEntry, ServerApi } from '../server-api.ts'
import { digestOf } from '../trust/repository.ts'

export type Suspect = {
  readonly tag: string
  /** What it came to mean, and when (milliseconds). */
  readonly digest: string
  readonly at: number
  /** What it meant before that; undefined where it meant nothing, or longer ago than was looked. */
  readonly before: string | undefined
}

export type Question = {
  readonly server: Pick<ServerApi, 'history'>
  readonly file: Targets
  /** The roles between which the owner of these keys moves tags. */
  readonly family: ReadonlySet<RoleName>
  /** Milliseconds since 1970. */
  readonly since: number
}

const AT_ONCE = 16
/** Changes of one tag that are looked back through. */
const ENTRIES = 100

/**
 * Those tags of a file that meant something else, or nothing, just before `since`. The record is the server's word and
 * is not signed: one that lies can have good tags taken out, or bad ones kept. Whoever trusts it that little reads on.
 */
export async function suspectsIn({ server, file, family, since }: Question): Promise<readonly Suspect[]> {
  const waiting = [...file.targets]
  const suspects: Suspect[] = []
  const look = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [tag, target] = next
      const [newest] = await server.history(tag, 1)
      if (newest === undefined || newest.at < since) continue
      const entries = (await server.history(tag, ENTRIES)).filter(({ role }) =>
        [...family].some((name) => name === role),
      )
      const [at, digest, before] = [entries[0]?.at ?? 0, digestOf({ path: tag, target }), meaningAt(entries, since)]
      if (at >= since && digest !== before) suspects.push({ tag, digest, at, before })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, look))
  return suspects.toSorted((a, b) => (a.tag < b.tag ? -1 : 1))
}

/** Entries come newest first. One publish that moves a tag from role to role leaves two of them at the same time. */
function meaningAt(entries: readonly HistoryEntry[], since: number): string | undefined {
  const last = entries.find(({ at }) => at < since)?.at
  return entries.find(({ at, digest }) => at === last && digest !== undefined)?.digest
}
