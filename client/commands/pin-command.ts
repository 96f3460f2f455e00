import type { Settings } from '../settings.ts'
import { isHttps } from '../trust/server-ca.ts'
import type { TrustServer } from '../trust/server-ca.ts'

/** What a consumer types to trust a repository by its root keys. `server` is what `typedServer` gives. */
export function pinCommand(repository: string, keyids: readonly string[], threshold: number, server: string): string {
  const keys = keyids.map((id) => `--key ${id}`).join(' ')
  const need = threshold === 1 ? '' : ` --threshold ${threshold}`
  return `tagseal trust add ${repository} ${keys}${need} --server ${server}`
}

/** What is typed behind `--server`: with the authority's file, where this machine needs one to reach that server. */
export function typedServer({ ca }: Pick<Settings, 'ca'>, { server, serverCa }: TrustServer): string {
  if (!isHttps(server)) return server
  if (ca !== undefined) return `${server} --ca ${quoted(ca)}`
  return serverCa === undefined ? server : `${server} --ca FILE`
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
}
