/** Who may ask this gateway at all, where it is not for everybody. */
import type { IncomingMessage } from 'node:http'
import { sameSecret, hashToken } from '../../keys/digest.ts'
import { CommandError } from '../commands/errors.ts'
import { readUserFile } from '../files.ts'

/** Whether a request shows a login that is known. */
export type Clients = { readonly nameOf: (request: IncomingMessage) => string | undefined }

export type Users = { readonly clients: Clients; readonly files: readonly string[] }

const MAX_USERS = 4 * 1024 * 1024

/** Throws FILE_UNREADABLE and FILE_MALFORMED. */
export async function readUsers(path: string): Promise<Users> {
  const text = Buffer.from(await readUserFile(path, MAX_USERS)).toString('utf8')
  return { clients: readClients(text, path), files: [path] }
}

/** A file of `name:password` lines; empty ones and those that begin with `#` say nothing. Throws FILE_MALFORMED. */
function readClients(text: string, path: string): Clients {
  const known = new Map<string, string>()
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [, name, password] = /^([^:\s]+):(.+?)\r?$/.exec(line) ?? []
    if (name === undefined || password === undefined) {
      throw new CommandError('FILE_MALFORMED', { path, why: `line ${i + 1} is no name:password` })
    }
    if (known.has(name)) throw new CommandError('FILE_MALFORMED', { path, why: `line ${i + 1} names ${name} again` })
    known.set(name, hashToken(password))
  }
  if (known.size === 0) throw new CommandError('FILE_MALFORMED', { path, why: 'it names nobody' })
  return {
    nameOf({ headers }) {
      const [, encoded = ''] = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(headers.authorization ?? '') ?? []
      const [, name = '', password = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? []
      // One who is not known takes as long as one who is.
      const isRight = sameSecret(hashToken(password), known.get(name) ?? hashToken(''))
      return isRight && known.has(name) ? name : undefined
    },
  }
}
