/** What a command works with. Each part is opened when it is first asked for, and all of them are closed at the end. */
import { existsSync } from 'node:fs'
import type { PassphraseSource } from '../keys/keystore/passphrase.ts'
import type { SigningKeystore } from '../keys/signers/keystore.ts'
import { CommandError } from './commands/errors.ts'
import { withoutOurs } from './settings.ts'
import type { Environment, Settings } from './settings.ts'
import { authoritiesOf, MAX_CERTIFICATES, readAuthorities, readUserFile } from './files.ts'
import type { NamedFile } from './files.ts'
import { pathsFor } from './paths.ts'
import type { Paths } from './paths.ts'
import { plainHostsOf } from './plain-hosts.ts'
import type { Http } from './http.ts'
import type { Upstream } from './policy/rules.ts'
import type { Credentials } from './registry/credentials.ts'
import type { Registry } from './registry/registry.ts'
import type { RegistrySettings } from './registry/settings.ts'
import type { ServerApi } from './server-api.ts'
import type { Terminal } from './terminal.ts'
import type { Pin, PinRule } from './trust/pins.ts'
import type { TrustServer } from './trust/server-ca.ts'
import type { Repository } from './trust/repository.ts'
import type { FilePolicy } from './policy/policy.ts'
import type { Verdicts } from './verdict/engine.ts'
import type { Policy, SignedRule } from './verdict/rule.ts'

export type Context = {
  readonly terminal: Terminal
  readonly settings: Settings
  readonly env: Environment
  readonly paths: Paths
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly monotonic: () => number
  /** Milliseconds since whoever started this run began to wait. */
  readonly age: () => number
  readonly signal: AbortSignal
  /** Services read again what they run by when they get SIGHUP; whoever does not listen is ended by it. */
  readonly onHangup: (listen: () => void) => void
  readonly stdin: () => AsyncIterable<Uint8Array>
  /** The file of authorities that this run names (`--ca`), read once: it may be a pipe. Throws FILE_UNREADABLE. */
  readonly authorities: () => Promise<NamedFile | undefined>
  /** By the authorities of this run. */
  readonly http: () => Promise<Http>
  /** The trust server of a repository: named for this run, or kept with the pin. Throws NO_SERVER. */
  readonly serverOf: (repository: string) => Promise<TrustServer>
  /** By the authorities that are kept for that server, where there are any. */
  readonly httpTo: (server: TrustServer) => Promise<Http>
  /** For the trust server; undefined where none was given. */
  readonly token: () => Promise<string | undefined>
  readonly passphrases: () => Promise<PassphraseSource>
  /** Another source than the one the keystore opens its keys with. */
  readonly passphrasesFrom: (file: string | undefined) => Promise<PassphraseSource>
  readonly keystore: () => Promise<SigningKeystore>
  /** Those that `docker login` keeps. */
  readonly logins: () => Promise<Credentials>
  readonly registry: () => Promise<Registry>
  /** The registries that a rule of a policy names; many connections to each, for programs that serve others. */
  readonly upstream: (upstream: Upstream) => Promise<Registry>
  /** The rule of this machine for a repository. Throws NOT_PINNED. */
  readonly pinOf: (repository: string) => Promise<PinRule>
  /** A repository under this machine's pin for it. The same one for the same name. */
  readonly repository: (repository: string) => Promise<Repository>
  /** The policy of a file, or of the one that this machine keeps beside its pins; undefined where neither is. */
  readonly policy: (file: string | undefined) => Promise<FilePolicy | undefined>
  /** Which images this machine admits: by such a policy, or by its pins alone. */
  readonly verdicts: (file: string | undefined) => Promise<Verdicts>
  /** The same for a program that many are started of at once: what one of them found out serves the others for a moment. */
  readonly sharedVerdicts: (file: string | undefined) => Promise<Verdicts>
  /** The same by a policy that was read already. */
  readonly verdictsBy: (policy: Policy) => Promise<Verdicts>
  /** Goes on refreshing what it is asked for, until the run ends. */
  readonly warmVerdicts: (policy: FilePolicy, failed: (repository: string, error: unknown) => void) => Promise<Verdicts>
  /** Its server: named for this run, or kept with the pin. Throws NO_SERVER. */
  readonly api: (repository: string) => Promise<ServerApi>
  /** The same for a repository under a pin that is not kept yet. */
  readonly unpinned: (repository: string, pin: Pin) => Promise<Repository>
  readonly close: () => Promise<void>
}

export type ContextParts = Pick<Context, 'terminal' | 'env' | 'clock' | 'monotonic' | 'signal'> &
  Partial<Pick<Context, 'stdin' | 'age' | 'onHangup'>> & {
    readonly homeDirectory: string | undefined
    readonly version: string
  }

/** Whom to trust for a repository, and where its metadata is. */
type Trusted = Pick<SignedRule, 'pin' | 'sharedPin' | 'server'> & Partial<Pick<SignedRule, 'serverCa' | 'tokenFile'>>

const MAX_TOKEN = 4096
const SERVING_SOCKETS = 256
/** A moment: what fifty programs need that are started at once on a small machine. */
const SHARED_MS = 5000

export function openContext(settings: Settings, parts: ContextParts): Context {
  const { terminal, env, clock, monotonic, signal, homeDirectory, version } = parts
  const { stdin = nothing, age = () => 0, onHangup = () => undefined } = parts
  const closing: (() => unknown)[] = []
  const userAgent = `tagseal/${version}`
  const paths = pathsFor(settings.home, env, homeDirectory)

  const openHttpBy = async (ca: string | undefined) => {
    const { openHttp } = await import('./http.ts')
    const plainHttp = plainHostsOf(namedHosts(settings)).has
    const opened = openHttp({ userAgent, plainHttp, ...(ca === undefined ? {} : { ca }) })
    closing.push(opened.close)
    return opened
  }
  const authorities = once(async () =>
    settings.ca === undefined
      ? undefined
      : { path: settings.ca, bytes: await readUserFile(settings.ca, MAX_CERTIFICATES) },
  )
  const http = once(async () => {
    const given = await authorities()
    if (given === undefined) return await openHttpBy(undefined)
    const { judgedBy } = await import('./trust/judged-http.ts')
    return judgedBy({ given: given.path }, await openHttpBy(authoritiesOf(given)))
  })
  const serverHttp = once(async () => {
    const { openServerHttp } = await import('./trust/server-http.ts')
    return openServerHttp(http, openHttpBy)
  })
  const httpTo = async (server: TrustServer) =>
    server.serverCa === undefined ? await http() : await (await serverHttp())(server)
  const token = once(async () => {
    const { tokenFile, token: secret } = settings
    if (tokenFile !== undefined) return await readToken(tokenFile)
    return secret === undefined ? undefined : demandToken(secret, 'TAGSEAL_TOKEN')
  })
  const openPassphraseSource = async (file: string | undefined, sourceEnv: Environment) => {
    const { openPassphrases } = await import('../keys/keystore/passphrase-source.ts')
    const opened = openPassphrases({ ...(file === undefined ? {} : { file }), env: sourceEnv, warn: terminal.warn })
    closing.push(opened.close)
    return opened
  }
  const passphrases = once(() => openPassphraseSource(settings.passphraseFile, env))
  const passphrasesFrom = (file: string | undefined) => openPassphraseSource(file, {})
  const keystore = once(async () => {
    const { openKeystore } = await import('../keys/keystore/file.ts')
    const { withSigners } = await import('../keys/signers/keystore.ts')
    const dir = paths.keys
    const files = openKeystore({ dir, passphrase: await passphrases(), clock })
    const { pinFile, pkcs11Module: module } = settings
    const opened = withSigners(files, {
      dir,
      clock,
      env: withoutOurs(env),
      say: terminal.note,
      warn: terminal.warn,
      signal,
      ...(pinFile !== undefined && { pinFile }),
      ...(module !== undefined && { module }),
    })
    closing.push(opened.close)
    return opened
  })
  const logins = once(async () => {
    const { dockerCredentials } = await import('./registry/docker-config.ts')
    return dockerCredentials({ environment: env, homeDirectory: homeDirectory ?? '/' })
  })
  const openRegistryBy = async (
    more: Pick<RegistrySettings, 'credentials' | 'plainHttp' | 'maxSockets'>,
    file?: string,
  ) => {
    const { openRegistry } = await import('./registry/registry.ts')
    const opened = openRegistry({
      ...more,
      userAgent,
      ...(file === undefined ? {} : { ca: await readAuthorities(file) }),
    })
    closing.push(opened.close)
    return opened
  }
  const registry = once(async () =>
    openRegistryBy({ credentials: await logins(), plainHttp: settings.plainHttp }, settings.registryCa),
  )
  const upstream = async ({ registry: host, ca, plainHttp, login }: Upstream) => {
    const { loginOf } = await import('./policy/login.ts')
    const plain = plainHttp && host !== undefined ? [host, ...namedHosts(settings)] : settings.plainHttp
    const credentials = login.kind === 'docker' ? await logins() : loginOf(login)
    return await openRegistryBy(
      { credentials, plainHttp: plain, maxSockets: SERVING_SOCKETS },
      ca ?? settings.registryCa,
    )
  }
  const readRules = async () => {
    const { loadPins } = await import('./trust/pins.ts')
    return await loadPins(paths.trust)
  }
  const rules = once(readRules)
  const isPinnedBy = (known: readonly PinRule[], repository: string) =>
    known.some(({ pattern }) => pattern.matches(repository))
  const pinOf = async (repository: string) => {
    const { pinFor } = await import('./trust/pins.ts')
    const known = await rules()
    // Its server may have been asked after before this run itself pinned it.
    return pinFor(isPinnedBy(known, repository) ? known : await readRules(), repository)
  }
  const serverOf = async (repository: string) => {
    const { keptCa, serverFor } = await import('./trust/server-ca.ts')
    const rule = isPinnedBy(await rules(), repository) ? await pinOf(repository) : undefined
    const server = serverFor(settings, { server: rule?.server, serverCa: rule && keptCa(rule) })
    if (server === undefined) throw new CommandError('NO_SERVER', { repository })
    return server
  }
  const open = async (
    repository: string,
    { pin, sharedPin, server, serverCa, tokenFile }: Trusted,
    more: { readonly shareWithin?: number | undefined; readonly now?: () => number } = {},
  ) => {
    const { openRepository } = await import('./trust/repository.ts')
    const secret = tokenFile === undefined ? await token() : () => readToken(tokenFile)
    if (server === undefined) throw new CommandError('NO_SERVER', { repository })
    return openRepository({
      repository,
      pin,
      sharedPin,
      server,
      stateDir: paths.state,
      http: await httpTo({ server, serverCa }),
      clock: more.now ?? clock,
      shareWithin: more.shareWithin,
      warn: ({ message }) => terminal.warn(message),
      ...(secret === undefined ? {} : { token: secret, tokenFrom: tokenFile ?? tokenSource(settings) }),
    })
  }
  const repository = each(async (name: string) => {
    const { pin, pattern } = await pinOf(name)
    return await open(name, { pin, sharedPin: !pattern.literal, ...(await serverOf(name)) })
  })
  const policy = async (file: string | undefined) => {
    const path = file ?? (env['TAGSEAL_POLICY'] || (existsSync(paths.policy) ? paths.policy : undefined))
    if (path === undefined) return undefined
    const { loadPins } = await import('./trust/pins.ts')
    const { loadPolicy } = await import('./policy/policy.ts')
    return loadPolicy(path, await loadPins(paths.trust))
  }
  /** The token of a rule is for the server of that rule: one that this run names instead does not get it. */
  const openByRule = async (name: string, rule: SignedRule, now: () => number, shareWithin?: number) => {
    const { serverFor } = await import('./trust/server-ca.ts')
    const place = serverFor(settings, rule)
    const tokenFile = settings.server === undefined ? rule.tokenFile : undefined
    const trusted = { ...rule, server: place?.server, serverCa: place?.serverCa, tokenFile }
    if (trusted.server === undefined && /:\d+:\d+$/.test(rule.where)) {
      throw new CommandError('NO_SERVER', { repository: name, rule: rule.where })
    }
    return await open(name, trusted, { now, shareWithin })
  }
  const openShared = async (name: string, rule: SignedRule, now: () => number) =>
    await openByRule(name, rule, now, Math.min(SHARED_MS, rule.maxAge))
  const verdictsBy = async (written: Policy, openOne = openByRule) => {
    const { openVerdicts } = await import('./verdict/engine.ts')
    return openVerdicts({ policy: written, open: openOne, background: false, clock, monotonic, signal })
  }
  const policyHere = async (file: string | undefined) => {
    const { policyOfPins } = await import('./verdict/rule.ts')
    return (await policy(file)) ?? policyOfPins(await rules(), paths.trust)
  }
  const verdicts = each(async (file: string | undefined) => await verdictsBy(await policyHere(file)))
  const sharedVerdicts = async (file: string | undefined) => await verdictsBy(await policyHere(file), openShared)
  const warmVerdicts = async (written: FilePolicy, failed: (repository: string, error: unknown) => void) => {
    const { openVerdicts } = await import('./verdict/engine.ts')
    const { openExpiryLog } = await import('./verdict/expiring.ts')
    const log = (entry: object) => terminal.log({ time: new Date(clock()).toISOString(), ...entry })
    const answered = openExpiryLog({ clock, log })
    const around = { clock, monotonic, signal, failed, answered }
    const warm = openVerdicts({ policy: written, open: openByRule, background: true, ...around })
    closing.push(warm.close)
    return warm
  }
  const api = each(async (name: string) => {
    const { openServerApi } = await import('./server-api.ts')
    const place = await serverOf(name)
    return openServerApi({
      http: await httpTo(place),
      server: place.server,
      repository: name,
      token: await token(),
      tokenFrom: tokenSource(settings),
      signal,
    })
  })
  const close = async () => {
    for (const end of closing.splice(0).toReversed()) await end()
  }
  return {
    terminal,
    settings,
    env,
    paths,
    clock,
    monotonic,
    age,
    signal,
    onHangup,
    stdin,
    authorities,
    http,
    serverOf,
    httpTo,
    token,
    passphrases,
    passphrasesFrom,
    keystore,
    logins,
    registry,
    upstream,
    pinOf,
    repository,
    policy,
    verdicts,
    sharedVerdicts,
    verdictsBy,
    warmVerdicts,
    api,
    unpinned: async (name, pin) => await open(name, { pin, sharedPin: false, ...(await serverOf(name)) }),
    close,
  }
}

async function readText(path: string, most: number): Promise<string> {
  return Buffer.from(await readUserFile(path, most)).toString('utf8')
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

function tokenSource({ tokenFile }: Settings): string {
  return tokenFile ?? 'TAGSEAL_TOKEN'
}

async function readToken(path: string): Promise<string> {
  return demandToken((await readText(path, MAX_TOKEN)).trim(), path)
}

/** What else a header can carry would be no header. */
function demandToken(text: string, path: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text
  throw new CommandError('FILE_MALFORMED', { path, why: 'it holds no token' })
}

function namedHosts({ plainHttp }: Settings): readonly string[] {
  return typeof plainHttp === 'boolean' ? [] : plainHttp
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

function each<N, T>(make: (name: N) => Promise<T>): (name: N) => Promise<T> {
  const made = new Map<N, Promise<T>>()
  return (name) => {
    const known = made.get(name) ?? make(name)
    made.set(name, known)
    return known
  }
}
