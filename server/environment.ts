/** Variables that begin as ours do: which of them are settings, which are somebody else's, and which are a mistake. */
import { ConfigError } from './config-error.ts'
import { nearest } from './nearest.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const PREFIX = 'TAGSEAL_SERVER_'
/** They stand in no file: one names it, and a key in the environment is for those who have no better place. */
const BESIDE = ['CONFIG', 'KEK']

/** `timestampLifetime` as `TAGSEAL_SERVER_TIMESTAMP_LIFETIME`. */
export function envName(setting: string): string {
  return `${PREFIX}${setting.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

/** Passed over, a misspelt one would leave a default in its place. Throws ConfigError. */
export function refuseUnknown(env: Environment, settings: readonly string[]): void {
  const known = new Set([...settings.map((name) => envName(name).slice(PREFIX.length)), ...BESIDE])
  for (const [name, value = ''] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === '' || isOfKubernetes(name, value)) continue
    const rest = name.slice(PREFIX.length)
    if (known.has(rest)) continue
    const near = nearest(rest, [...known])
    const meant = near === undefined ? {} : { meant: `${PREFIX}${near}` }
    throw new ConfigError('SETTING_UNKNOWN', { name, path: 'the environment', ...meant })
  }
}

const SERVICE = /_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$/
const PORT = /_PORT(?:_\d+_(?:TCP|UDP|SCTP))?$/
const PART = /_PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)$/

/**
 * Into every pod Kubernetes writes where the services of its namespace are. Of one called tagseal-server, or
 * tagseal-server-blue, the names begin as ours do. Its ports are addresses: a bare number is what somebody meant for us.
 */
function isOfKubernetes(name: string, value: string): boolean {
  return SERVICE.test(name) || PART.test(name) || (PORT.test(name) && /^(?:tcp|udp|sctp):\/\//.test(value))
}
