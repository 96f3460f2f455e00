import { chmodSync, constants, existsSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../config-error.ts'

/** What the kernel has room for: 108 bytes on Linux, 104 elsewhere, with the zero at the end. */
const MOST_BYTES = 103

/** Where the main process answers its readers: in the data folder, which nobody else may enter. */
export function socketPathIn(data: string): string {
  const path = join(data, 'main.sock')
  if (Buffer.byteLength(path) <= MOST_BYTES) return path
  if (!existsSync('/proc/self/fd')) throw new ConfigError('SOCKET_PATH_TOO_LONG', { path })
  // Linux has a short name for a folder that is open, however long its path is. It stays open as long as we live.
  return `/proc/self/fd/${openSync(data, constants.O_RDONLY | constants.O_DIRECTORY)}/main.sock`
}

/** One that a killed server left would be in the way. Only who holds the lock of the folder may call it. */
export function removeSocket(path: string): void {
  rmSync(path, { force: true })
}

export function keepToOurselves(path: string): void {
  chmodSync(path, 0o600)
}
