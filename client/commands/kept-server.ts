import type { Context } from '../context.ts'
import { refuseDer } from '../files.ts'
import type { NamedFile } from '../files.ts'
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
  context: Pick<Context, 'settings' | 'terminal' | 'clock' | 'authorities'>,
  { server, serverCa }: TrustServer,
): Promise<KeptServer> {
  const { settings, terminal } = context
  const kept = { server: baseUrl(server) }
  if (isHttps(server)) {
    const given = await context.authorities()
    const pem = given === undefined ? serverCa?.pem : readServerCa(given, context)
    return pem === undefined ? kept : { ...kept, serverCa: pem }
  }
  if (settings.ca !== undefined) terminal.warn(`${settings.ca} is not kept: ${server} shows no certificate`)
  return kept
}

/** What `trust add` and `init` keep is read whole before, and nothing of it is passed over. */
function readServerCa({ path, bytes }: NamedFile, context: Pick<Context, 'terminal' | 'clock'>): string {
  const refuse = (why: string, next?: string): never => {
    throw new CommandError('FILE_MALFORMED', { path, why, ...(next !== undefined && { next }) })
  }
  refuseDer({ path, bytes })
  if (bytes.length > MAX_AUTHORITIES) {
    refuse(
      `it is larger than ${MAX_AUTHORITIES} bytes, and a pin keeps the authority of one server`,
      'give the certificate of the authority of this server alone, not the list of all that a machine trusts',
    )
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
