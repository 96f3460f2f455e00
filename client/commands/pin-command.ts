import { basename } from 'node:path'
import type { Context } from '../context.ts'
import type { Settings } from '../settings.ts'
import { shellWord } from '../shell-word.ts'
import { isHttps } from '../trust/server-ca.ts'
import type { TrustServer } from '../trust/server-ca.ts'

/** What a consumer types to trust a repository by its root keys. `server` is what `typedServer` gives. */
export function pinCommand(repository: string, keyids: readonly string[], threshold: number, server: string): string {
  const keys = keyids.map((id) => `--key ${id}`).join(' ')
  const need = threshold === 1 ? '' : ` --threshold ${threshold}`
  return `tagseal trust add ${repository} ${keys}${need} --server ${server}`
}

/** What is typed behind `--server`: with the authority's file, where this machine needs one to reach that server. */
export function typedServer(settings: Pick<Settings, 'ca'>, place: TrustServer): string {
  const file = fileOfAuthority(settings, place)
  return file === undefined ? place.server : `${place.server} --ca ${shellWord(file)}`
}

/** The file has to travel with the command, and a command that is carried to another machine cannot say so itself. */
export function sayWhatTravels(
  { terminal, settings }: Pick<Context, 'terminal' | 'settings'>,
  place: TrustServer,
): void {
  const file = fileOfAuthority(settings, place)
  if (file === undefined) return
  terminal.note(
    file === NO_FILE
      ? `the certificate of the authority of ${place.server} has to travel with the line below, in a file that it names for ${NO_FILE}`
      : `${file} has to travel with the line below, and to lie where it is run: consumers need it to reach ${place.server}`,
  )
}

const NO_FILE = 'FILE'

/** Its name alone: where it lies on this machine says nothing on another one, and of a pipe nothing is left. */
function fileOfAuthority({ ca }: Pick<Settings, 'ca'>, { server, serverCa }: TrustServer): string | undefined {
  if (!isHttps(server)) return undefined
  if (ca !== undefined) return /^\/(?:dev|proc)\//.test(ca) ? NO_FILE : basename(ca)
  return serverCa === undefined ? undefined : NO_FILE
}
