import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { KeyError } from '../errors.ts'
import { loose, quoted } from '../keystore/disk.ts'

const OTHERS_MAY_WRITE = 0o022

/**
 * The real path of code that is about to run with this user's rights: a file by its absolute path that nobody but this
 * user and root can change. Throws SIGNER_UNAVAILABLE and KEY_PERMISSIONS. `use` is what must be allowed to it.
 */
export function safeFile(path: string, signer: string, use: 'read' | 'execute'): string {
  const unusable = (why: string) => new KeyError('SIGNER_UNAVAILABLE', { signer, why })
  if (!isAbsolute(path)) throw unusable(`${path} is no absolute path`)
  const real = realPath(path)
  if (real === undefined) throw unusable(`there is no ${path}`)
  const { uid, mode, isFile } = factsOf(real)
  if (!isFile) throw unusable(`${path} is no file`)
  const me = process.geteuid?.()
  if (me !== undefined && uid !== me && uid !== 0) {
    throw loose(real, `belongs to user ${uid}, who could change it`, `sudo chown ${me} ${quoted(real)}`)
  }
  if (me !== undefined && mode & OTHERS_MAY_WRITE) {
    throw loose(real, 'can be changed by others', `chmod go-w ${quoted(real)}`)
  }
  if (!isAllowed(real, use)) throw unusable(`${path} is not there for you to ${use}`)
  return real
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined // gone, or in a folder that is not for us: the same to whoever asks
  }
}

function factsOf(path: string): { readonly uid: number; readonly mode: number; readonly isFile: boolean } {
  const stats = statSync(path)
  return { uid: stats.uid, mode: stats.mode, isFile: stats.isFile() }
}

function isAllowed(path: string, use: 'read' | 'execute'): boolean {
  try {
    accessSync(path, use === 'read' ? constants.R_OK : constants.X_OK)
    return true
  } catch {
    return false
  }
}
