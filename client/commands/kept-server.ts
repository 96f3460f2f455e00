import type { Context } from '../context.ts'
import { readUserFile } from '../files.ts'
import { MAX_AUTHORITIES } from '../../keys/native/authorities.ts'
import { baseUrl } from '../trust/fetch.ts'
import type { PinRule } from '../trust/pins.ts'
import { isHttps, serverCaIn } from '../trust/server-ca.ts'
import type { TrustServer } from '../trust/server-ca.ts'
import { CommandError } from './errors.ts'

export type KeptServer = Pick<PinRule, 'server' | 'serverCa'>

/** What a pin keeps of its server: with the authorities that this run names, or that another pin keeps for it. Throws FILE_MALFORMED. */
export async function serverToKeep(
  { settings, terminal }: Pick<Context, 'settings' | 'terminal'>,
  { server, serverCa }: TrustServer,
): Promise<KeptServer> {
  const kept = { server: baseUrl(server) }
  if (isHttps(server)) {
    const pem = settings.ca === undefined ? serverCa?.pem : await readServerCa(settings.ca)
    return pem === undefined ? kept : { ...kept, serverCa: pem }
  }
  if (settings.ca !== undefined) terminal.warn(`${settings.ca} is not kept: ${server} shows no certificate`)
  return kept
}

/** What `trust add` and `init` keep is read whole before, and nothing of it is passed over. */
async function readServerCa(path: string): Promise<string> {
  const text = Buffer.from(await readUserFile(path, MAX_AUTHORITIES)).toString('latin1')
  return serverCaIn(text, (why) => {
    throw new CommandError('FILE_MALFORMED', { path, why })
  })
}
