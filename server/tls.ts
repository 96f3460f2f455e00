import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { Server as TlsServer, createSecureContext } from 'node:tls'
import type { SecureContextOptions } from 'node:tls'
import type { Logger } from 'pino'
import type { lifeOf } from '../keys/native/certificates.ts'
import { ConfigError } from './config-error.ts'
import { shownError } from './log.ts'
import { inWords } from './system-words.ts'
import type { Settings } from './config.ts'

/** What is in the files, not where they are. */
export type TlsFiles = { readonly cert: string; readonly key: string }

/** undefined where the server speaks plain http. Throws TLS_UNUSABLE. */
export function readTls({ tlsCert, tlsKey }: Settings): TlsFiles | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  const tls = { cert: readTlsFile(tlsCert), key: readTlsFile(tlsKey) }
  refuseUnusable(`${tlsCert} with ${tlsKey}`, tls)
  return tls
}

/** Throws TLS_UNUSABLE where certificate, key and authority are none, or do not fit each other. */
export function refuseUnusable(path: string, tls: SecureContextOptions): void {
  try {
    createSecureContext(tls)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('TLS_UNUSABLE', { path, why }, { cause })
  }
}

/** Throws TLS_UNUSABLE. */
export function readTlsFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? inWords(String(cause.code)) : String(cause)
    throw new ConfigError('TLS_UNUSABLE', { path, why }, { cause })
  }
}

/** Counted from when it was made: with less of its life left, a certificate is to be renewed. */
const RENEWAL = 1 / 5

/** Nobody is told by a handshake that another one will fail next week. */
export function warnOfEnd({ from, to }: ReturnType<typeof lifeOf>, now: number, logger: Logger): void {
  const end = new Date(to).toISOString()
  if (now >= to) return logger.error(`the certificate expired at ${end}: no client connects`)
  if (now >= to - (to - from) * RENEWAL) logger.warn(`the certificate expires at ${end}`)
}

/** For the handshakes to come. */
export function useTls(server: Server, tls: TlsFiles): void {
  if (server instanceof TlsServer) server.setSecureContext(tls)
}

/** What is wrong with the files is logged, and the old ones stay. */
export function reloadTls(settings: Settings, logger: Logger, use: (tls: TlsFiles) => void): void {
  try {
    const tls = readTls(settings)
    if (tls === undefined) return
    use(tls)
    logger.info('the certificate was read again')
  } catch (error) {
    logger.error(shownError(error), 'the certificate could not be read again; the old one stays')
  }
}
