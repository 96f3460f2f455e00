import type { Context } from '../context.ts'
import { MAX_CERTIFICATES, readUserFile } from '../files.ts'
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
  const refuse = (why: string): never => {
    throw new CommandError('FILE_MALFORMED', { path, why })
  }
  const bytes = await readUserFile(path, MAX_CERTIFICATES)
  if (bytes.length > MAX_AUTHORITIES) {
    refuse(`it is larger than ${MAX_AUTHORITIES} bytes, and a pin keeps the authority of one server`)
  }
  return serverCaIn(Buffer.from(bytes).toString('latin1'), refuse)
}
