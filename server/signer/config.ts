/** The settings of a signer: those of the server that mean the same, and its own. */
import { isAbsolute } from 'node:path'
import { ConfigError } from '../config-error.ts'
import { SETTINGS, hostPort, readSettings } from '../config.ts'
import type { ConfigSources, SettingsOf } from '../config.ts'
import { SIGNERS_OWN } from './own-settings.ts'

const SIGNER_SETTINGS = {
  data: {
    kind: 'text',
    about: 'folder of the keys, of what was signed, and of a key-encryption key',
    default: './tagseal-signer',
  },
  listen: {
    kind: 'text',
    about: 'unix:/path/to/socket, or host:port with TLS and clientCa; a socket in the data folder where it is not said',
  },
  ...SIGNERS_OWN,
  maxConnections: { ...SETTINGS.maxConnections, default: 256 },
  tlsCert: SETTINGS.tlsCert,
  tlsKey: SETTINGS.tlsKey,
  kekFile: SETTINGS.kekFile,
  onlineKeys: SETTINGS.onlineKeys,
  onlineKeysBefore: SETTINGS.onlineKeysBefore,
  onlineKeyAlgorithm: SETTINGS.onlineKeyAlgorithm,
  sharedOnlineKey: SETTINGS.sharedOnlineKey,
  signerTimeout: SETTINGS.signerTimeout,
  logLevel: SETTINGS.logLevel,
  timestampLifetime: SETTINGS.timestampLifetime,
  snapshotLifetime: SETTINGS.snapshotLifetime,
  notarySnapshotLifetime: SETTINGS.notarySnapshotLifetime,
  requestTimeout: SETTINGS.requestTimeout,
  headersTimeout: SETTINGS.headersTimeout,
  keepAliveTimeout: SETTINGS.keepAliveTimeout,
  drainTimeout: SETTINGS.drainTimeout,
  maxHeaderBytes: SETTINGS.maxHeaderBytes,
  maxTimestamp: SETTINGS.maxTimestamp,
  maxSnapshot: SETTINGS.maxSnapshot,
  maxJsonDepth: SETTINGS.maxJsonDepth,
  maxSignatures: SETTINGS.maxSignatures,
} as const

export type SignerSettings = SettingsOf<typeof SIGNER_SETTINGS>

/** Throws ConfigError. */
export function loadSignerSettings(sources: ConfigSources): SignerSettings {
  const settings = readSettings(SIGNER_SETTINGS, sources)
  for (const name of ['onlineKeys', 'onlineKeysBefore'] as const) {
    const place = settings[name]
    if (place === undefined || !/^(?:unix|https):/.test(place)) continue
    throw new ConfigError('SETTING_INVALID', { name, got: place, wanted: 'where keys are, and not another signer' })
  }
  const place = signerListen(settings)
  if (place.kind === 'socket') return settings
  for (const name of ['tlsCert', 'tlsKey', 'clientCa'] as const) {
    if (settings[name] !== undefined) continue
    throw new ConfigError('SETTING_MISSING', { name, because: 'a signer listens to others than this machine' })
  }
  return settings
}

export type SignerListen =
  | { readonly kind: 'socket'; readonly path: string | undefined }
  | { readonly kind: 'tls'; readonly host: string; readonly port: number }

/** A socket without a path is in the data folder. Throws ConfigError. */
export function signerListen({ listen }: Pick<SignerSettings, 'listen'>): SignerListen {
  if (listen === undefined) return { kind: 'socket', path: undefined }
  if (!listen.startsWith('unix:')) return { kind: 'tls', ...hostPort(listen) }
  const path = listen.slice('unix:'.length)
  if (isAbsolute(path)) return { kind: 'socket', path }
  throw new ConfigError('SETTING_INVALID', { name: 'listen', got: listen, wanted: 'unix:/absolute/path or HOST:PORT' })
}
