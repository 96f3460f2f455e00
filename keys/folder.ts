import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

const OWNER_ONLY = 0o700

/**
 * Makes a folder, with those above it that are missing, for its owner alone; nothing where it is there already.
 *
 * Not Node's own recursive way, which tries for ever where a folder above is there and takes none (`/proc`).
 */
export function ensureFolder(path: string, mode = OWNER_ONLY): void {
  const above = dirname(path)
  if (above !== path && !existsSync(above)) ensureFolder(above, mode)
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    if (!existsSync(path) || !statSync(path).isDirectory()) throw error
  }
}
