import { setImmediate as yieldToOthers } from 'node:timers/promises'
import type { Logger } from 'pino'
import { ROOT, SNAPSHOT, TIMESTAMP, finishRoot, nextSnapshot, openRoot, regardlessOfExpiry } from '../../tuf/index.ts'
import type { Judge, RoleName } from '../../tuf/index.ts'
import { completeBoth, completeTimestamp } from '../publish/complete.ts'
import type { Completed, Completion, Lifetimes } from '../publish/complete.ts'
import { shownError } from '../log.ts'
import { RULES } from '../publish/dialects.ts'
import { newFile } from '../publish/validate.ts'
import { lastSignedOf } from '../publish/versions.ts'
import { onlineVersions } from '../signing/online-keys.ts'
import type { WorkCache } from '../publish/work-cache.ts'
import type {
  Dialect,
  DueRepository,
  DueWindows,
  FeedStore,
  MetadataStore,
  ProposalStore,
  Publication,
  RepositoryState,
} from '../storage/store.ts'

export type FreshnessOptions = Completion & {
  readonly metadata: MetadataStore
  readonly feed: FeedStore
  readonly proposals: Pick<ProposalStore, 'prune'>
  readonly work: WorkCache
  readonly judge: (dialect: Dialect, repository?: string) => Judge
  readonly grace: number
  /** Milliseconds for which entries of the changefeed stay that later ones follow. */
  readonly feedLife: number
  readonly changed: (repository: string) => void
  readonly report: FreshnessReport
  readonly logger: Logger
  /** From 0 up to 1; spreads the work of several servers. */
  readonly random: () => number
}
export type FreshnessReport = {
  readonly signed: (count: number) => void
  readonly signingFailed: () => void
  /** A pass has come to its end; so many repositories could not be signed in it. */
  readonly looked: (failing: number) => void
}

export type Freshness = {
  /** Signs anew whatever is due now; returns how many repositories were. One that fails does not stop the others. */
  readonly pass: () => Promise<number>
  readonly start: () => void
  /** Resolves when the pass that runs, if one does, has ended. */
  readonly stop: () => Promise<void>
}

/** Repositories in one transaction: one wait for the disk serves them all. */
const BATCH = 50
const PRUNED_AT_ONCE = 200
const RECLAIM_STEPS = 16

/**
 * Keeps timestamps and snapshots alive: signed anew when half of their life is gone, never on a reader's request.
 *
 * It looks at the wall clock each time instead of waiting for a computed moment, so that a clock that jumps is noticed
 * within one interval; a file that would live half as long again as any we make was signed under a clock that ran
 * ahead, and is replaced as well.
 */
export function makeFreshness(options: FreshnessOptions): Freshness {
  const { lifetimes, logger, random } = options
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> = Promise.resolve()
  let stopped = false
  const interval = Math.min(...DIALECTS.map((dialect) => intervalOf(lifetimes[dialect])))

  function schedule(): void {
    timer = setTimeout(
      () => {
        running = tick()
      },
      interval * (0.75 + random() / 2),
    )
  }
  async function tick(): Promise<void> {
    try {
      await pass(options)
    } catch (error) {
      options.report.signingFailed()
      logger.error(shownError(error), 'freshness')
    }
    try {
      await tidy(options) // also then: it may make the space that was missing
    } catch (error) {
      logger.error(shownError(error), 'superseded files stay')
    }
    if (!stopped) schedule()
  }
  return {
    pass: () => pass(options),
    start: schedule,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}

/** Ten looks within the half of a life that is left when a file becomes due; never more than half a minute apart. */
function intervalOf({ timestamp, snapshot }: Lifetimes): number {
  return Math.min(30_000, Math.max(100, Math.min(timestamp, snapshot) / 20))
}

function windowsOf({ timestamp, snapshot }: Lifetimes, now: number): DueWindows {
  const window = (lifetime: number) => ({ soon: now + lifetime / 2, far: now + lifetime * 1.5 })
  return { timestamp: window(timestamp), snapshot: window(snapshot) }
}

const DIALECTS: readonly Dialect[] = ['tuf-1.0', 'notary-v1']

async function pass(options: FreshnessOptions): Promise<number> {
  const { report } = options
  let [signed, failing] = [0, 0]
  const signingFailed = () => {
    failing += 1
    report.signingFailed()
  }
  for (const dialect of DIALECTS) signed += await passOf({ ...options, report: { ...report, signingFailed } }, dialect)
  report.looked(failing)
  return signed
}

async function passOf(options: FreshnessOptions, dialect: Dialect): Promise<number> {
  const { metadata, lifetimes, judge } = options
  const seen = new Set<string>()
  let signed = 0
  for (;;) {
    const due = await metadata.due(dialect, windowsOf(lifetimes[dialect], judge(dialect).now), BATCH + seen.size)
    const batch = due.filter(({ name }) => !seen.has(name)).slice(0, BATCH)
    if (batch.length === 0) return signed
    for (const { name } of batch) seen.add(name)
    signed += await signBatch(options, batch)
    await yieldToOthers()
  }
}

async function signBatch(options: FreshnessOptions, batch: readonly DueRepository[]): Promise<number> {
  const publications: Publication[] = []
  for (const due of batch) {
    const publication = await tried(options, due)
    if (publication !== undefined) publications.push(publication)
    await yieldToOthers() // a reader waits for one signing, not for fifty
  }
  const stored = await options.metadata.publish(publications)
  // Where it was not stored somebody published meanwhile, which signed both files anew.
  const done = publications.filter((_, i) => stored[i] === true)
  for (const { repository } of done) options.changed(repository)
  for (const { repository, files } of done) await options.online.published(repository, onlineVersions(files))
  options.report.signed(done.length)
  return done.length
}

async function tried(options: FreshnessOptions, due: DueRepository): Promise<Publication | undefined> {
  try {
    return await publicationFor(options, due)
  } catch (error) {
    options.report.signingFailed()
    options.logger.error({ repository: due.name, ...shownError(error) }, 'could not be signed anew')
    return undefined
  }
}

async function publicationFor(options: FreshnessOptions, due: DueRepository): Promise<Publication | undefined> {
  const state = await options.metadata.state(due.name)
  if (state === undefined) return undefined
  const judge = options.judge(state.dialect, due.name)
  const completed = await completedFor(options, judge, state, due)
  const files = [newFile(judge, TIMESTAMP, completed.timestamp)]
  if (completed.snapshot !== undefined) files.push(newFile(judge, SNAPSHOT, completed.snapshot))
  for (const file of files) options.work.keep(due.name, file)
  const { now } = judge
  return { repository: due.name, base: state.revision, at: now, pruneBefore: now - options.grace, files }
}

async function completedFor(
  options: FreshnessOptions,
  judge: Judge,
  state: RepositoryState,
  due: DueRepository,
): Promise<Completed> {
  const load = (role: RoleName) => loadCurrent(options.work, state, role)
  const walking = openRoot(judge, await load(ROOT))
  // A root that has expired is for its holders to replace; until then clients refuse it whatever we do.
  const root = finishRoot(regardlessOfExpiry(walking))
  // So is a snapshot that publishers sign.
  const trust = due.holdsSnapshot ? { ...root, now: judge.now } : root
  const lastSigned = lastSignedOf(state)
  const before = lastSigned === undefined ? {} : { lastSigned }
  const subject = { repository: state.name, trust, rules: RULES[state.dialect], now: judge.now, ...before }
  const previous = { timestamp: await load(TIMESTAMP), snapshot: await load(SNAPSHOT) }
  const { soon, far } = windowsOf(options.lifetimes[state.dialect], judge.now).snapshot
  const snapshotIsDue = due.holdsSnapshot && (due.snapshotExpires <= soon || due.snapshotExpires > far)
  return snapshotIsDue
    ? completeBoth(options, subject, previous, (before, context) => nextSnapshot(before, new Map(), context))
    : completeTimestamp(options, subject, previous)
}

async function loadCurrent(work: WorkCache, state: RepositoryState, role: RoleName): Promise<Uint8Array> {
  const record = state.files.get(role)
  if (record === undefined) throw new RangeError(`${state.name} has no ${role}`)
  return work.load(state.name, record)
}

/** What nobody fetches any more goes, and its pages with it; in small steps, for other requests wait meanwhile. */
async function tidy({ metadata, feed, proposals, judge, grace, feedLife }: FreshnessOptions): Promise<void> {
  for (;;) {
    const gone = await metadata.prune(judge('tuf-1.0').now - grace, PRUNED_AT_ONCE)
    if (gone < PRUNED_AT_ONCE) break
    await yieldToOthers()
  }
  while ((await feed.prune(judge('tuf-1.0').now - feedLife, PRUNED_AT_ONCE)) === PRUNED_AT_ONCE) await yieldToOthers()
  while ((await proposals.prune(judge('tuf-1.0').now, PRUNED_AT_ONCE)) === PRUNED_AT_ONCE) await yieldToOthers()
  for (let step = 0; step < RECLAIM_STEPS && (await metadata.reclaim()); step++) await yieldToOthers()
}
