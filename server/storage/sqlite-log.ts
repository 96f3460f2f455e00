/** The write-ahead log ahead of its use. */
import { open } from 'node:fs/promises'
import type { Sql } from './sql.ts'

/** Small enough that what does not fit goes to the log at once, uncommitted. */
const FEW_PAGES = 16

/**
 * Gives the log of a database its full length. To sync a file that grows takes the disk two to six times as long as to
 * sync one that is written over, more the busier it is: its file system has to settle first where everything is. SQLite
 * writes over what its log has; so here the log is filled with what is then rolled back, which stays as space.
 */
export async function lengthenLog(
  sql: Sql,
  { path, bytes }: { readonly path: string; readonly bytes: number },
): Promise<void> {
  const pages = sql.pragma('cache_size')
  const insert = sql.prepare<[number]>('INSERT INTO content (bytes) VALUES (zeroblob(?))')
  sql.pragmaAll(`cache_size = ${FEW_PAGES}`)
  try {
    sql.write(() => {
      insert.run(bytes)
      throw new RolledBack()
    })
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error
  } finally {
    sql.pragmaAll(`cache_size = ${pages}`)
  }
  await sync(`${path}-wal`)
}

class RolledBack extends Error {}

/** By a thread of its own, or the first publish would wait for all of it. */
async function sync(path: string): Promise<void> {
  const file = await open(path)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
