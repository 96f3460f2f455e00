import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, type Json, type JsonObject, member, members } from '../../tuf/model/json.ts'
import { askHelper, HELPER_DEFAULTS } from './credential-helper.ts'
import { type Credential, type Credentials, Secret } from './credentials.ts'
import { RegistryError } from './errors.ts'
import { JsonRefused, parseStrictJson } from './json.ts'

export type DockerConfigSettings = {
  /** `DOCKER_CONFIG`, `DOCKER_AUTH_CONFIG`, `HOME`, and what the helpers are run with. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly homeDirectory: string
  readonly helperMilliseconds?: number
}

/** Docker Hub's logins are filed under its oldest address. */
const HUB_KEYS = ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io']
const CONFIG_LENGTH = 4 * 1024 * 1024

/**
 * The logins that `docker login` keeps, found in docker's own order: `credHelpers` for that registry, then `credsStore`,
 * then the file itself. `DOCKER_AUTH_CONFIG`, where set, comes before all of them.
 *
 * The file is read at the first question, and a helper runs only when a registry has asked who we are.
 */
export function dockerCredentials(settings: DockerConfigSettings): Credentials {
  let config: DockerConfig | undefined
  return {
    async find(registry, signal) {
      const inline = settings.environment['DOCKER_AUTH_CONFIG']
      const direct = inline ? findAuth(decode('DOCKER_AUTH_CONFIG', Buffer.from(inline)), registry) : undefined
      if (direct !== undefined) return direct
      config ??= load(configFile(settings))
      return findIn(config, registry, settings, signal)
    },
  }
}

function configFile({ environment, homeDirectory }: DockerConfigSettings): string {
  return join(environment['DOCKER_CONFIG'] || join(homeDirectory, '.docker'), 'config.json')
}

type DockerConfig = { readonly file: string; readonly root: JsonObject }

function load(file: string): DockerConfig {
  try {
    return decode(file, readFileSync(file))
  } catch (error) {
    if (isMissing(error)) return { file, root: {} }
    if (error instanceof RegistryError) throw error
    throw new RegistryError('CREDENTIALS_MALFORMED', { file, why: 'it cannot be read' }, { cause: error })
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

function decode(file: string, bytes: Uint8Array): DockerConfig {
  if (bytes.length > CONFIG_LENGTH) throw malformed(file, 'it is larger than 4 MiB')
  const root = bytes.length === 0 ? {} : parse(file, bytes)
  if (!isJsonObject(root)) throw malformed(file, 'it is no JSON object')
  return { file, root }
}

function parse(file: string, bytes: Uint8Array): Json {
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    throw malformed(file, error instanceof JsonRefused ? error.message : 'it is not JSON')
  }
}

type Found = Promise<Credential | undefined>

async function findIn(
  config: DockerConfig,
  registry: string,
  settings: DockerConfigSettings,
  signal?: AbortSignal,
): Found {
  const helper = helperFor(config, registry)
  if (helper === undefined) return findAuth(config, registry)
  const server = registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry
  const { environment, helperMilliseconds: milliseconds = HELPER_DEFAULTS.milliseconds } = settings
  const found = await askHelper(helper, server, config.file, { ...HELPER_DEFAULTS, environment, milliseconds }, signal)
  // docker keeps a login in the file when the store could not take it.
  return found ?? findAuth(config, registry)
}

function helperFor({ file, root }: DockerConfig, registry: string): string | undefined {
  const helpers = objectMember(file, root, 'credHelpers')
  const own = keysOf(registry)
    .map((key) => helpers && member(helpers, key))
    .find((value) => value !== undefined)
  const name = own ?? member(root, 'credsStore')
  if (name === undefined || name === null || name === '') return undefined
  if (typeof name !== 'string') throw malformed(file, 'the name of a credential helper is no text')
  return name
}

function findAuth({ file, root }: DockerConfig, registry: string): Credential | undefined {
  const auths = objectMember(file, root, 'auths')
  if (auths === undefined) return undefined
  const entry = exactEntry(auths, registry) ?? entryByHost(auths, registry)
  if (entry === undefined) return undefined
  if (!isJsonObject(entry)) throw malformed(file, 'an entry of auths is no object')
  return readEntry(file, entry)
}

function exactEntry(auths: JsonObject, registry: string): Json | undefined {
  return keysOf(registry)
    .map((key) => member(auths, key))
    .find((entry) => entry !== undefined)
}

/** Old clients wrote `https://host/v1/`, and `https://host` still works: only the host counts. */
function entryByHost(auths: JsonObject, registry: string): Json | undefined {
  const wanted = new Set(keysOf(registry).map(hostOf))
  return members(auths).find(([key]) => wanted.has(hostOf(key)))?.[1]
}

function keysOf(registry: string): readonly string[] {
  return registry === 'docker.io' ? HUB_KEYS : [registry]
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
}

function readEntry(file: string, entry: JsonObject): Credential | undefined {
  const identity = text(file, entry, 'identitytoken')
  if (identity !== '') return { kind: 'identity', token: new Secret(identity) }
  const bearer = text(file, entry, 'registrytoken')
  if (bearer !== '') return { kind: 'bearer', token: new Secret(bearer) }
  const auth = text(file, entry, 'auth')
  if (auth !== '') return readAuth(file, auth)
  const username = text(file, entry, 'username')
  return username === '' ? undefined : { kind: 'basic', username, password: new Secret(text(file, entry, 'password')) }
}

/** base64 of `user:password`; docker pads some with NUL. What does not encode back to the same text is refused. */
function readAuth(file: string, auth: string): Credential {
  const decoded = Buffer.from(auth, 'base64')
  const plain = decoded.toString('utf8')
  const colon = plain.indexOf(':')
  if (decoded.toString('base64') !== auth || colon < 1) throw malformed(file, 'an auth is no base64 of user:password')
  return {
    kind: 'basic',
    username: plain.slice(0, colon),
    password: new Secret(plain.slice(colon + 1).replace(/\0+$/, '')),
  }
}

function text(file: string, entry: JsonObject, name: string): string {
  const value = member(entry, name) ?? ''
  if (typeof value !== 'string') throw malformed(file, `a ${name} is no text`)
  return value
}

function objectMember(file: string, root: JsonObject, name: string): JsonObject | undefined {
  const value = member(root, name) ?? undefined
  if (value !== undefined && !isJsonObject(value)) throw malformed(file, `${name} is no object`)
  return value
}

function malformed(file: string, why: string): RegistryError {
  return new RegistryError('CREDENTIALS_MALFORMED', { file, why })
}
