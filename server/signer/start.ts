import { chmodSync, statSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { ensureFolder } from '../../keys/folder.ts'
import { ConfigError } from '../config-error.ts'
import { openKek, whyNoKeys } from '../kek.ts'
import { shownError } from '../log.ts'
import { makeDrain } from '../serve/drain.ts'
import { openHolders } from '../signing/holders.ts'
import { sealedKeys } from '../signing/sealed-keys.ts'
import { lockData } from '../storage/sqlite.ts'
import { readTlsFile, refuseUnusable } from '../tls.ts'
import { buildSigner } from './app.ts'
import { signerListen } from './config.ts'
import type { SignerSettings } from './config.ts'
import { makeSignerMetrics } from './metrics.ts'
import { makeSigning } from './signing.ts'
import type { SigningOptions } from './signing.ts'
import { openSignerStore } from './store.ts'
import type { SignerStore } from './store.ts'

export type SignerAround = {
  readonly clock: () => number
  readonly monotonic: () => number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logger: Logger
}

export type RunningSigner = {
  /** `unix:/run/tagseal/signer.sock`, `https://127.0.0.1:4490`. */
  readonly url: string
  readonly reloadTls: () => void
  /** Lets what is being signed be answered; then the folder is free. */
  readonly close: () => Promise<void>
}

/** From settings to a signer that answers. Throws ConfigError, StorageError, KeyError. */
export async function startSigner(settings: SignerSettings, around: SignerAround): Promise<RunningSigner> {
  const tls = readTls(settings)
  const lock = lockData(settings.data)
  try {
    return await open(settings, around, tls, lock.release)
  } catch (error) {
    lock.release()
    throw error
  }
}

async function open(
  settings: SignerSettings,
  around: SignerAround,
  tls: SignerTls | undefined,
  release: () => void,
): Promise<RunningSigner> {
  const store = openSignerStore(settings.data)
  try {
    const services = await assemble(settings, around, store, tls)
    const { app } = services
    const drain = makeDrain(app.server, settings.drainTimeout)
    const url = await listen(settings, app)
    return {
      url,
      reloadTls: () => reloadTls(settings, app, around.logger),
      async close() {
        try {
          await drain(services.close)
        } finally {
          release()
        }
      },
    }
  } catch (error) {
    store.close()
    throw error
  }
}

async function assemble(
  settings: SignerSettings,
  { clock, monotonic, env, logger }: SignerAround,
  store: SignerStore,
  tls: SignerTls | undefined,
): Promise<{ readonly app: FastifyInstance; readonly close: () => Promise<void> }> {
  const { data, kekFile } = settings
  const kek = await openKek(store, { data, env, ...(kekFile === undefined ? {} : { file: kekFile }) })
  const sealed = sealedKeys(kek, () => whyNoKeys(store, kek))
  const holders = openHolders(settings, { sealed, env, logger, monotonic })
  const service = makeSigning({ ...optionsOf(settings), store, holders, clock, monotonic })
  const metrics = makeSignerMetrics(store.count)
  let draining = false
  const deps = {
    settings,
    service,
    metrics,
    logger,
    async notReady() {
      if (draining) return 'it is shutting down'
      store.check()
      return holders.notReady()
    },
  }
  const app = buildSigner(deps, tls)
  app.addHook('preClose', (done) => {
    draining = true
    done()
  })
  return {
    app,
    async close() {
      await app.close()
      await service.idle()
      await holders.close()
      store.close()
      kek.close()
    },
  }
}

function optionsOf(
  settings: SignerSettings,
): Pick<SigningOptions, 'limits' | 'bounds' | 'maxKeys' | 'maxKeysPerRole' | 'shared'> {
  const {
    maxTimestamp: timestamp,
    maxSnapshot: snapshot,
    maxJsonDepth: jsonDepth,
    maxSignatures: signatures,
  } = settings
  const { versionBurst: burst, versionRate: rate, maxKeys, maxKeysPerRole, sharedOnlineKey: shared } = settings
  const lifetimes = {
    'tuf-1.0': { timestamp: settings.timestampLifetime, snapshot: settings.snapshotLifetime },
    'notary-v1': { timestamp: settings.timestampLifetime, snapshot: settings.notarySnapshotLifetime },
  }
  return {
    limits: { timestamp, snapshot, jsonDepth, signatures },
    bounds: (dialect, role) => ({ lifetime: lifetimes[dialect][role] * 1000, burst, rate }),
    maxKeys,
    maxKeysPerRole,
    shared,
  }
}

async function listen(settings: SignerSettings, app: FastifyInstance): Promise<string> {
  const place = signerListen(settings)
  const listening =
    place.kind === 'tls' ? `${place.host}:${place.port}` : (place.path ?? join(settings.data, 'signer.sock'))
  try {
    if (place.kind === 'socket') return await listenOnSocket(app, resolve(listening), settings.socketMode)
    await app.listen({ host: place.host, port: place.port })
    const bound = app.server.address()
    if (bound === null || typeof bound === 'string') throw new TypeError('not bound to a port')
    return `https://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new ConfigError('LISTEN_FAILED', { listen: listening, why }, { cause })
  }
}

/**
 * Who may connect is a matter of the file's mode: Node does not tell who is at the other end. The folder keeps others
 * from putting a socket of theirs in its place.
 */
async function listenOnSocket(app: FastifyInstance, path: string, mode: string): Promise<string> {
  ensureFolder(dirname(path))
  await removeStale(path)
  const before = process.umask(0o777 & ~Number.parseInt(mode, 8)) // it is never looser, not even for a moment
  try {
    await app.listen({ path })
  } finally {
    process.umask(before)
  }
  chmodSync(path, Number.parseInt(mode, 8))
  return `unix:${path}`
}

/** What a signer that was killed left behind. Throws LISTEN_FAILED where somebody answers, or it is no socket. */
async function removeStale(path: string): Promise<void> {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (!stats.isSocket()) throw new ConfigError('LISTEN_FAILED', { listen: path, why: 'it is there and no socket' })
  if (await answers(path))
    throw new ConfigError('LISTEN_FAILED', { listen: path, why: 'another process listens there' })
  unlinkSync(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

type SignerTls = ReturnType<typeof tlsOf>

/** Nobody is heard who has no certificate of that authority. */
function tlsOf(cert: string, key: string, ca: string) {
  return { cert, key, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' } as const
}

function readTls({ tlsCert, tlsKey, clientCa, ...settings }: SignerSettings): SignerTls | undefined {
  if (signerListen(settings).kind === 'socket') return undefined
  if (tlsCert === undefined || tlsKey === undefined || clientCa === undefined) return undefined // refused before
  const tls = tlsOf(readTlsFile(tlsCert), readTlsFile(tlsKey), readTlsFile(clientCa))
  refuseUnusable(`${tlsCert} with ${tlsKey} and ${clientCa}`, tls)
  return tls
}

function reloadTls(settings: SignerSettings, app: FastifyInstance, logger: Logger): void {
  try {
    const tls = readTls(settings)
    const { server } = app
    if (tls === undefined || !(server instanceof TlsServer)) return
    server.setSecureContext(tls)
    logger.info('the certificates were read again')
  } catch (error) {
    logger.error(shownError(error), 'the certificates could not be read again; the old ones stay')
  }
}
