import type { Context } from '../context.ts'
import { MAX_CERTIFICATES, readUserFile } from '../files.ts'
import { MAX_AUTHORITIES } from '../../keys/native/authorities.ts'
import type { Authorities } from '../../keys/native/authorities.ts'
import { printable } from '../registry/errors.ts'
import { baseUrl } from '../trust/fetch.ts'
import type { PinRule } from '../trust/pins.ts'
import { authoritiesIn, isHttps } from '../trust/server-ca.ts'
import type { TrustServer } from '../trust/server-ca.ts'
import { CommandError } from './errors.ts'

export type KeptServer = Pick<PinRule, 'server' | 'serverCa'>

/** What a pin keeps of its server: with the authorities that this run names, or that another pin keeps for it. Throws FILE_MALFORMED. */
export async function serverToKeep(
  context: Pick<Context, 'settings' | 'terminal' | 'clock'>,
  { server, serverCa }: TrustServer,
): Promise<KeptServer> {
  const { settings, terminal } = context
  const kept = { server: baseUrl(server) }
  if (isHttps(server)) {
    const pem = settings.ca === undefined ? serverCa?.pem : await readServerCa(settings.ca, context)
    return pem === undefined ? kept : { ...kept, serverCa: pem }
  }
  if (settings.ca !== undefined) terminal.warn(`${settings.ca} is not kept: ${server} shows no certificate`)
  return kept
}

/** What `trust add` and `init` keep is read whole before, and nothing of it is passed over. */
async function readServerCa(path: string, context: Pick<Context, 'terminal' | 'clock'>): Promise<string> {
  const refuse = (why: string): never => {
    throw new CommandError('FILE_MALFORMED', { path, why })
  }
  const bytes = await readUserFile(path, MAX_CERTIFICATES)
  if (bytes.length > MAX_AUTHORITIES) {
    refuse(`it is larger than ${MAX_AUTHORITIES} bytes, and a pin keeps the authority of one server`)
  }
  const authorities = authoritiesIn(Buffer.from(bytes).toString('latin1'), refuse)
  warnOfUseless(path, authorities, context)
  return authorities.pem
}

/** It is kept all the same: others in the file may do, and the server may yet get the certificate that fits. */
function warnOfUseless(
  path: string,
  { certificates }: Authorities,
  { terminal, clock }: Pick<Context, 'terminal' | 'clock'>,
): void {
  for (const { subject, notAfter, isAuthority } of certificates) {
    const name = `${printable(subject) || 'a certificate'} in ${path}`
    if (notAfter < clock()) terminal.warn(`${name} expired at ${new Date(notAfter).toISOString()}`)
    if (!isAuthority) {
      terminal.warn(`${name} is no authority's: only the certificate of whoever issued it makes the server trusted`)
    }
  }
}
