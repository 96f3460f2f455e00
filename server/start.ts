import type { Kek } from '../keys/kek.ts'
import { lifeOf } from '../keys/native/certificates.ts'
import { ROOT, openRoot } from '../tuf/index.ts'
import type { Limits, WalkingRoot } from '../tuf/index.ts'
import { buildApp } from './app.ts'
import { makeAuthenticator } from './auth/authenticate.ts'
import { issuerOf } from './auth/issuer.ts'
import { outsideCheck } from './auth/outside.ts'
import type { Settings } from './config.ts'
import type { Door } from './frame.ts'
import { makeFreshness } from './freshness/freshness.ts'
import type { Freshness } from './freshness/freshness.ts'
import { openKek, whyNoKeys } from './kek.ts'
import { listen } from './listen.ts'
import type { Listening } from './listen.ts'
import { shownError } from './log.ts'
import { makeMetrics } from './metrics.ts'
import { makeProposals } from './proposals/proposals.ts'
import type { Completion } from './publish/complete.ts'
import { makeJudge, makePublisher } from './publish/publisher.ts'
import type { Judges } from './publish/publisher.ts'
import { makeBudget } from './publish/upload.ts'
import { openWorkCache } from './publish/work-cache.ts'
import type { WorkCache } from './publish/work-cache.ts'
import { insideDoor, listenBehind } from './readers/listen.ts'
import { startReaders } from './readers/pool.ts'
import type { AppDeps } from './routes/deps.ts'
import { openServedFiles } from './serve/files.ts'
import { makeSightings } from './serve/sightings.ts'
import type { Services, Surroundings } from './services.ts'
import { openHolders } from './signing/holders.ts'
import { marksOf, reasonOf } from './recovery.ts'
import { makeOnlineKeys } from './signing/online-keys.ts'
import { sealedKeys } from './signing/sealed-keys.ts'
import { lockData, openSqliteStore } from './storage/sqlite.ts'
import type { Store } from './storage/store.ts'
import { readTls, warnOfEnd } from './tls.ts'

/** From settings to a server that answers: resolves when it is ready. Throws ConfigError, StorageError, KeyError. */
export async function startServer(settings: Settings, around: Surroundings): Promise<Listening> {
  const tls = readTls(settings)
  const lock = lockData(settings.data)
  // They load their program while the storage is opened here.
  const readers = settings.readers === 0 ? undefined : startReaders(settings.readers, around.logger)
  let services: Services | undefined
  try {
    services = await openServices(settings, around, readers === undefined ? { tls } : insideDoor(settings))
    if (tls !== undefined) services.shows(tls)
    // Readers take a while to come, and what is signed does not wait for them.
    if (services.deps.restored === undefined) {
      services.freshness.start()
      void makeReady(services.deps)
    }
    const server =
      readers === undefined
        ? await listen(settings, around, services)
        : await listenBehind({ readers, settings, around, services, tls })
    return { ...server, close: () => server.close().finally(lock.release) }
  } catch (error) {
    await readers?.stop(0)
    await services?.close()
    lock.release()
    throw error
  }
}

/** Opens storage and keys, and signs anew what became overdue while no server ran. */
export async function openServices(settings: Settings, around: Surroundings, door?: Door): Promise<Services> {
  const store = await openSqliteStore({
    dir: settings.data,
    maxBytes: settings.maxDatabase,
    marks: marksOf(settings),
  })
  try {
    const { data, kekFile } = settings
    const kek = await openKek(store, { data, env: around.env, ...(kekFile === undefined ? {} : { file: kekFile }) })
    return await assemble(settings, around, store, kek, door)
  } catch (error) {
    await store.close()
    throw error
  }
}

async function assemble(
  settings: Settings,
  { clock, random, env, logger, monotonic = () => performance.now() }: Surroundings,
  store: Store,
  kek: Kek,
  door: Door | undefined,
): Promise<Services> {
  const { metadata } = store
  const work = openWorkCache(metadata, settings.workCacheBytes)
  const files = openServedFiles(metadata, settings.cacheBytes)
  const judge = makeJudge(clock, limitsOf(settings))
  const sealed = sealedKeys(kek, () => whyNoKeys(store, kek))
  const holders = openHolders(settings, { sealed, env, logger, monotonic })
  const online = makeOnlineKeys({
    store,
    holders,
    clock,
    shared: settings.sharedOnlineKey,
    failed: (error) => logger.warn(shownError(error), 'the signer does not know what was published'),
  })
  const metrics = makeMetrics({ clock, summary: () => metadata.summary(), expiries: metadata.expiries })
  const common = {
    online,
    lifetimes: lifetimesOf(settings),
    work,
    judge,
    grace: settings.grace * 1000,
    changed: files.changed,
  }
  const publisher = makePublisher({ ...common, store })
  const proposals = makeProposals({
    store,
    work,
    judge,
    clock,
    lifetime: settings.proposalLifetime * 1000,
    bounds: { count: settings.maxProposals, bytes: settings.maxProposalBytes },
  })
  const { feed } = store
  const feedLife = settings.feedLifetime * 1000
  const freshness = makeFreshness({
    ...common,
    metadata,
    feed,
    proposals: store.proposals,
    feedLife,
    report: metrics,
    logger,
    random,
  })
  const outside = outsideCheck(settings, clock)
  const issuer = issuerOf(settings, { store, kek, clock })
  const auth = makeAuthenticator({
    store,
    clock,
    open: settings.open,
    private: settings.private,
    check: outside ?? issuer.check,
    own: outside === undefined,
  })
  const restored = await whyRestored(store, { clock, logger })
  const life = settings.sightingLifetime * 1000
  const sightings = makeSightings({ store: store.sightings, clock, life })
  let draining = false
  const deps: AppDeps = {
    settings,
    store,
    files,
    publisher,
    proposals,
    online,
    auth,
    sightings,
    issuer,
    metrics,
    logger,
    clock,
    budget: makeBudget(settings.maxUploadsAtOnce),
    rootOf: (repository) => currentRoot(store, work, judge, repository),
    restored,
    async notReady() {
      if (draining) return 'it is shutting down'
      if (restored !== undefined) return restored
      await store.check()
      return holders.notReady()
    },
  }
  if (restored === undefined) await signOverdue(freshness, deps)
  const flushing = setInterval(() => void flush(deps), 60_000)
  const app = buildApp(deps, door)
  const drain = () => {
    draining = true
  }
  app.addHook('preClose', (done) => {
    drain()
    done()
  })
  return {
    app,
    deps,
    freshness,
    drain,
    shows({ cert }) {
      const life = lifeOf(cert)
      metrics.certificate(life.to / 1000)
      warnOfEnd(life, clock(), logger)
    },
    async close() {
      clearInterval(flushing)
      await app.close()
      await freshness.stop()
      await publisher.idle()
      await flush(deps)
      await holders.close()
      await store.close()
      kek.close()
    },
  }
}

/** Settled before anything is signed on top of it: a new timestamp over an old state would be news to nobody. */
async function whyRestored(
  { recovery }: Store,
  { clock, logger }: Pick<Surroundings, 'clock' | 'logger'>,
): Promise<string | undefined> {
  const restored = await recovery?.check(clock())
  if (restored === undefined) return undefined
  const reason = reasonOf(restored)
  logger.error({ restored, lost: await recovery?.lost() }, reason)
  return reason
}

/** What keeps us from signing, such as a full disk, is no reason not to serve what is signed; the timer tries again. */
async function signOverdue(freshness: Freshness, { logger, metrics }: AppDeps): Promise<void> {
  try {
    const signed = await freshness.pass()
    if (signed > 0) logger.info({ repositories: signed }, 'signed anew what was overdue')
  } catch (error) {
    metrics.signingFailed()
    logger.error(shownError(error), 'could not sign anew what is overdue')
  }
}

/** A disk without space for it is no reason not to serve. */
async function makeReady({ store, logger }: AppDeps): Promise<void> {
  try {
    await store.makeReady()
  } catch (error) {
    logger.warn(shownError(error), 'publishes wait for the disk longer than they need to')
  }
}

/** Losing when a token was last used, or who was served what, is no reason to stop. */
async function flush({ auth, sightings, logger }: AppDeps): Promise<void> {
  try {
    await auth.flush()
    await sightings.flush()
  } catch (error) {
    logger.error(shownError(error), 'could not write down when tokens were used, and who was served what')
  }
}

async function currentRoot(
  { metadata }: Store,
  work: WorkCache,
  judge: Judges,
  repository: string,
): Promise<WalkingRoot | undefined> {
  const state = await metadata.state(repository)
  const record = state?.files.get(ROOT)
  return state && record && openRoot(judge(state.dialect, repository), await work.load(repository, record))
}

function lifetimesOf(settings: Settings): Completion['lifetimes'] {
  const timestamp = settings.timestampLifetime * 1000
  return {
    'tuf-1.0': { timestamp, snapshot: settings.snapshotLifetime * 1000 },
    'notary-v1': { timestamp, snapshot: settings.notarySnapshotLifetime * 1000 },
  }
}

function limitsOf(settings: Settings): Limits {
  return {
    root: settings.maxRoot,
    timestamp: settings.maxTimestamp,
    snapshot: settings.maxSnapshot,
    targets: settings.maxTargets,
    jsonDepth: settings.maxJsonDepth,
    signatures: settings.maxSignatures,
    // A server walks no chain and searches no target.
    rootRotations: 1,
    delegatedRoles: 1,
  }
}
