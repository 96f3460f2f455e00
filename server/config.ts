/** The settings: one table, from which the file, the environment and `docs` follow. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { DEFAULT_LIMITS } from '../tuf/index.ts'
import { parseServices } from './auth/services.ts'
import { ConfigError } from './config-error.ts'
import { envName, refuseUnknown } from './environment.ts'
import type { Environment } from './environment.ts'
import { nearest } from './nearest.ts'
import { SIGNERS_OWN } from './signer/own-settings.ts'
import { inWords } from './system-words.ts'

type Kind = {
  readonly text: string
  readonly flag: boolean
  readonly number: number
}
export type Setting<K extends keyof Kind = keyof Kind> = {
  readonly kind: K
  readonly about: string
  readonly default?: Kind[K]
  readonly min?: number
  readonly max?: number
  readonly choices?: readonly string[]
}

const MiB = 1024 * 1024
const DAY = 24 * 60 * 60

const text = (about: string) => ({ kind: 'text', about }) as const
const flag = (about: string) => ({ kind: 'flag', about, default: false }) as const
const seconds = (value: number, about: string, min = 1) =>
  ({ kind: 'number', about: `${about}, in seconds`, default: value, min, max: 10 * 365 * DAY }) as const
const bytes = (value: number, about: string, min = 1024) =>
  ({ kind: 'number', about: `${about}, in bytes`, default: value, min, max: 2 ** 50 }) as const
const lifetime = (value: number, about: string) =>
  ({ kind: 'number', about: `${about}, in seconds`, default: value, min: 60, max: DAY }) as const
const count = (value: number, about: string) =>
  ({ kind: 'number', about, default: value, min: 1, max: 1_000_000 }) as const

export const SETTINGS = {
  data: { ...text('folder of the database and its key-encryption key'), default: './tagseal-data' },
  listen: { ...text('host:port to listen on'), default: '127.0.0.1:4480' },
  readers: {
    kind: 'number',
    about: 'processes that accept connections and serve files; 0: the one that publishes does it all',
    default: Math.min(availableParallelism(), 8),
    min: 0,
    max: 256,
  },
  tlsCert: text('certificate chain (PEM); read again on SIGHUP'),
  tlsKey: text('private key of the certificate (PEM)'),
  plainHttp: flag('allow plain http beyond loopback'),
  open: flag('ask for no tokens; loopback only'),
  private: flag('reading trust metadata needs a token that allows pull'),
  kekFile: text('file with the key-encryption key'),
  onlineKeys: {
    ...text(
      'where keys are made: sealed, pkcs11:token=T?..., exec:/program, or a signer: unix:/socket, https://host:port',
    ),
    default: 'sealed',
  },
  onlineKeysBefore: text('where they were made before, and sign on until they are rotated'),
  onlineKeyAlgorithm: {
    ...text('of keys made on a token or by a program'),
    default: 'ed25519',
    choices: ['ed25519', 'ecdsa-p256', 'ecdsa-p384'],
  },
  sharedOnlineKey: flag('exec: the program has one key for all repositories, and makes none'),
  signerTimeout: seconds(10, 'for a token, a program or a signer to answer'),
  marks: text('file of the marks, by which a restored database is known; without it marks.db in the data folder'),
  tokenRealm: text('where docker and notary get access tokens; without it /token under the name they reached us by'),
  tokenService: { ...text('the name of this server in access tokens'), default: 'tagseal-server' },
  tokenIssuer: text('the name of whoever issues access tokens: this server (tagseal-server), or one outside'),
  tokenCertificates: text('certificates (PEM) of an issuer outside, whose access tokens count instead of our own'),
  tokenJwks: text('likewise its keys: a JSON Web Key Set, as a file or an https address'),
  tokenLifetime: lifetime(300, 'how long an access token is valid'),
  tokenServices: text('other services we issue access tokens for: NAME, or NAME=HOST of a registry, with commas'),
  tokenPublicServices: text('those of them from which anybody may pull'),
  signerCa: text('authority (PEM) of the certificate of a signer at an https address'),
  signerCert: text('our certificate (PEM) for that signer; read again for each connection, as are the others'),
  signerKey: text('private key of that certificate (PEM)'),
  logLevel: {
    ...text('what is logged'),
    default: 'info',
    choices: ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
  },
  timestampLifetime: seconds(DAY, 'how long a timestamp is valid; signed anew at half of it', 2),
  snapshotLifetime: seconds(7 * DAY, 'how long a snapshot is valid; signed anew at half of it', 2),
  notarySnapshotLifetime: seconds(
    3 * 365 * DAY,
    'the same for Notary repositories, whose clients warn of a snapshot in its last half year',
    2,
  ),
  feedLifetime: seconds(90 * DAY, 'how long entries of the changefeed stay that later ones of their repository follow'),
  proposalLifetime: {
    ...seconds(7 * DAY, 'how long a proposal waits for signatures', 60),
    max: 90 * DAY,
  },
  sightingLifetime: seconds(30 * DAY, 'how long it is kept who was served which timestamp last; 0: not at all', 0),
  grace: seconds(600, 'how long superseded files stay for clients that are still fetching', 0),
  requestTimeout: seconds(120, 'for a request to arrive whole, and for a reader to take some of the answer'),
  headersTimeout: seconds(10, "for a request's headers to arrive"),
  keepAliveTimeout: seconds(75, 'for which an idle connection is kept'),
  drainTimeout: seconds(25, 'for running requests to finish after SIGTERM'),
  maxConnections: count(10_000, 'open connections'),
  maxHeaderBytes: bytes(16 * 1024, "a request's headers"),
  maxUpload: bytes(128 * MiB, 'one upload'),
  maxUploadsAtOnce: bytes(512 * MiB, 'all uploads that are being received or checked'),
  maxUploadParts: count(256, 'files in one upload'),
  maxProposal: bytes(8 * MiB, 'one proposal that waits for signatures'),
  maxProposals: count(64, 'proposals of one repository'),
  maxProposalBytes: bytes(64 * MiB, 'all proposals of one repository, with the files they are made on top of'),
  maxRoot: bytes(DEFAULT_LIMITS.root, 'a root file'),
  maxTimestamp: bytes(DEFAULT_LIMITS.timestamp, 'a timestamp file'),
  maxSnapshot: bytes(DEFAULT_LIMITS.snapshot, 'a snapshot file'),
  maxTargets: bytes(DEFAULT_LIMITS.targets, 'a targets file, delegated roles included'),
  maxJsonDepth: count(DEFAULT_LIMITS.jsonDepth, 'nesting of a file'),
  maxSignatures: count(DEFAULT_LIMITS.signatures, 'signatures in a file'),
  maxDatabase: bytes(2 ** 40, 'the database', 256 * 1024),
  cacheBytes: bytes(128 * MiB, 'files kept in memory for readers', 0),
  workCacheBytes: bytes(256 * MiB, 'memory for decoded files between two publishes', 0),
} as const satisfies Record<string, Setting>

type Table = Readonly<Record<string, Setting>>
type ValueOf<S> = S extends { readonly kind: infer K extends keyof Kind } ? Kind[K] : never
type WithDefault<T> = { [N in keyof T]: T[N] extends { readonly default: unknown } ? N : never }[keyof T]
export type SettingsOf<T extends Table> = { readonly [N in WithDefault<T>]: ValueOf<T[N]> } & {
  readonly [N in Exclude<keyof T, WithDefault<T>>]?: ValueOf<T[N]>
}
export type Settings = SettingsOf<typeof SETTINGS>
export type Value = string | number | boolean

export type ConfigSources = {
  /** What was given on the command line; undefined where it was not. */
  readonly flags: Readonly<Record<string, Value | undefined>>
  readonly env: Environment
  readonly file?: string
}

/** Throws ConfigError, naming the setting. */
export function loadSettings(sources: ConfigSources): Settings {
  return refuseNonsense(readSettings(SETTINGS, sources))
}

/** Command line over environment over file over defaults. Throws ConfigError, naming the setting. */
export function readSettings<T extends Table>(table: T, { flags, env, file }: ConfigSources): SettingsOf<T> {
  const given = new Map<string, Value>()
  for (const [name, value] of fileSettings(table, file ?? env['TAGSEAL_SERVER_CONFIG'])) given.set(name, value)
  for (const [name, value] of envSettings(table, env)) given.set(name, value)
  for (const [name, value] of Object.entries(flags)) if (value !== undefined) given.set(name, value)
  const settings: Record<string, Value | undefined> = {}
  for (const [name, setting] of Object.entries(table)) {
    const value = given.get(name)
    settings[name] = value === undefined ? defaultOf(setting) : checked(name, setting, value)
  }
  return asSettings(table, settings)
}

function envSettings(table: Table, env: Environment): [string, Value][] {
  // Server and signer of one machine may have one environment.
  refuseUnknown(env, Object.keys({ ...SETTINGS, ...SIGNERS_OWN }))
  return Object.entries(table).flatMap(([name, setting]): [string, Value][] => {
    const value = env[envName(name)]
    return value === undefined || value === '' ? [] : [[name, fromText(name, setting, value)]]
  })
}

function fromText(name: string, { kind }: Setting, value: string): Value {
  if (kind === 'text') return value
  if (kind === 'number' && /^\d{1,16}$/.test(value)) return Number(value)
  if (kind === 'flag' && /^(?:1|true|0|false)$/.test(value)) return value === '1' || value === 'true'
  throw new ConfigError('SETTING_INVALID', { name: envName(name), got: value, wanted: wantedOf(kind) })
}

function fileSettings(table: Table, path: string | undefined): [string, Value][] {
  if (path === undefined) return []
  return Object.entries(readConfig(path)).map(([name, value]): [string, Value] => {
    if (!Object.hasOwn(table, name)) {
      const meant = nearest(name, Object.keys(table))
      throw new ConfigError('SETTING_UNKNOWN', { name, path, ...(meant === undefined ? {} : { meant }) })
    }
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return [name, value]
    throw new ConfigError('SETTING_INVALID', { name, got: JSON.stringify(value).slice(0, 60), wanted: 'a plain value' })
  })
}

function readConfig(path: string): object {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch (cause) {
    throw new ConfigError('CONFIG_UNREADABLE', { path, why: whyUnreadable(cause) }, { cause })
  }
  throw new ConfigError('CONFIG_UNREADABLE', { path, why: 'it is not one JSON object' })
}

function whyUnreadable(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return 'code' in cause ? inWords(String(cause.code)) : cause.message
}

function checked(name: string, setting: Setting, value: Value): Value {
  const { kind, min = 0, max = Number.MAX_SAFE_INTEGER, choices } = setting
  const typed = typeof value === (kind === 'text' ? 'string' : kind === 'flag' ? 'boolean' : 'number')
  const inRange = typeof value !== 'number' || (Number.isSafeInteger(value) && value >= min && value <= max)
  const chosen = choices === undefined || (typeof value === 'string' && choices.includes(value))
  if (typed && inRange && chosen && value !== '') return value
  const wanted = choices?.join(', ') ?? (kind === 'number' ? `a whole number from ${min} to ${max}` : wantedOf(kind))
  throw new ConfigError('SETTING_INVALID', { name, got: String(value).slice(0, 60), wanted })
}

function wantedOf(kind: keyof Kind): string {
  return kind === 'text' ? 'text' : kind === 'flag' ? 'true or false' : 'a whole number'
}

function defaultOf(setting: Setting): Value | undefined {
  return setting.default
}

/** The mapped type says of each name what `checked` has made sure of. */
function asSettings<T extends Table>(table: T, values: unknown): SettingsOf<T> {
  if (isSettings(table, values)) return values
  throw new TypeError('a setting without a value')
}

function isSettings<T extends Table>(table: T, values: unknown): values is SettingsOf<T> {
  if (typeof values !== 'object' || values === null) return false
  return Object.entries(table).every(([name, setting]) => defaultOf(setting) === undefined || name in values)
}

/** Settings that are fine alone and wrong together. */
function refuseNonsense(settings: Settings): Settings {
  const { tlsCert, tlsKey } = settings
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const [name, other] = tlsCert === undefined ? ['tlsCert', 'tlsKey'] : ['tlsKey', 'tlsCert']
    throw new ConfigError('SETTING_MISSING', { name, because: `${other} is given` })
  }
  refuseTokenNonsense(settings)
  refuseSignerNonsense(settings)
  const { host } = hostPort(settings.listen)
  if (isLoopback(host)) return settings
  if (settings.open) throw new ConfigError('OPEN_BEYOND_LOOPBACK', { listen: settings.listen })
  if (tlsCert === undefined && !settings.plainHttp) {
    throw new ConfigError('PLAIN_HTTP_REFUSED', { listen: settings.listen })
  }
  return settings
}

function refuseTokenNonsense(settings: Settings): void {
  const { tokenRealm, tokenService, tokenServices = '', tokenCertificates, tokenJwks } = settings
  const jwksAddress = tokenJwks !== undefined && /^https?:/i.test(tokenJwks) ? tokenJwks : undefined
  for (const [name, got] of Object.entries({ tokenRealm, tokenJwks: jwksAddress })) {
    const plain = name === 'tokenRealm' && settings.plainHttp
    if (got === undefined || isSafeAddress(got, plain)) continue
    throw new ConfigError('SETTING_INVALID', { name, got, wanted: 'an https address; http on loopback alone' })
  }
  if (tokenCertificates !== undefined && tokenJwks !== undefined) {
    throw new ConfigError('SETTING_INVALID', {
      name: 'tokenJwks',
      got: tokenJwks,
      wanted: 'absent beside tokenCertificates',
    })
  }
  const outside = tokenCertificates === undefined ? 'tokenJwks' : 'tokenCertificates'
  for (const name of ['tokenRealm', 'tokenIssuer'] as const) {
    if (settings[outside] === undefined || settings[name] !== undefined) continue
    throw new ConfigError('SETTING_MISSING', { name, because: `${outside} is given` })
  }
  for (const [name, got] of Object.entries({ tokenService, tokenServices })) {
    if (parseServices(got) !== undefined) continue
    throw new ConfigError('SETTING_INVALID', { name, got, wanted: 'names without blanks and quotes' })
  }
}

/** A signer beyond this machine knows us by a certificate, and we know it by its authority. */
function refuseSignerNonsense(settings: Settings): void {
  const remote = [settings.onlineKeys, settings.onlineKeysBefore].some((place) => place?.startsWith('https:') === true)
  for (const name of ['signerCa', 'signerCert', 'signerKey'] as const) {
    if (!remote || settings[name] !== undefined) continue
    throw new ConfigError('SETTING_MISSING', { name, because: 'the signer has an https address' })
  }
}

/** `plain`: the operator took plain http beyond this machine upon themselves. */
function isSafeAddress(text: string, plain: boolean): boolean {
  const url = URL.parse(text)
  if (url === null || /["\\\s]/.test(text) || url.username !== '' || url.hash !== '') return false
  const loopback = isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  return url.protocol === 'https:' || (url.protocol === 'http:' && (loopback || plain))
}

/** `127.0.0.1:4480`, `[::1]:4480`, `:4480` for every address. */
export function hostPort(listen: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/.exec(listen) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) {
    throw new ConfigError('SETTING_INVALID', { name: 'listen', got: listen, wanted: 'HOST:PORT' })
  }
  const host = bracketed ?? plain
  return { host: host === undefined || host === '' ? '::' : host, port }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}
