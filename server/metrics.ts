import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { MetadataStore, StorageSummary } from './storage/store.ts'

export type Metrics = {
  readonly contentType: string
  readonly text: () => Promise<string>
  readonly request: (route: string, status: number, times?: number) => void
  /** Starts a publish; what it returns is called when it was acknowledged. */
  readonly publishTimer: () => () => void
  readonly conflict: () => void
  readonly signed: (count: number) => void
  readonly signingFailed: () => void
  /** A look at all repositories came to its end, and that many could not be signed anew. */
  readonly looked: (failing: number) => void
  /** The certificate that is shown ends then, in seconds since 1970. */
  readonly certificate: (end: number) => void
}

export type MetricsOptions = {
  readonly clock: () => number
  readonly summary: () => Promise<StorageSummary>
  readonly expiries: MetadataStore['expiries']
}

/** Figures for operators. Names of repositories are not among them: there may be many, and some are nobody's business. */
export function makeMetrics({ clock, summary, expiries }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  // Looking at the event loop wakes an idle process; ten times a second tells as much as a hundred times.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 })
  const requests = new Counter({
    name: 'tagseal_requests_total',
    help: 'Requests by route and status.',
    labelNames: ['route', 'status'],
    registers,
  })
  const publishes = new Histogram({
    name: 'tagseal_publish_seconds',
    help: 'From the whole upload to the acknowledgement.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const conflicts = new Counter({
    name: 'tagseal_publish_conflicts_total',
    help: 'Publishes that came too late.',
    registers,
  })
  const signed = new Counter({
    name: 'tagseal_refreshed_total',
    help: 'Repositories signed anew ahead of expiry.',
    registers,
  })
  const failed = new Counter({
    name: 'tagseal_refresh_failures_total',
    help: 'Repositories that could not be.',
    registers,
  })
  const failing = new Gauge({
    name: 'tagseal_refresh_failing_repositories',
    help: 'Repositories that the last look at all of them could not sign anew.',
    registers,
  })
  const looked = new Gauge({
    name: 'tagseal_refresh_looked_timestamp_seconds',
    help: 'When the last look at all repositories came to its end, in seconds since 1970; 0 before the first.',
    registers,
  })
  const certificate = new Gauge({
    name: 'tagseal_certificate_end_timestamp_seconds',
    help: 'When the TLS certificate expires, in seconds since 1970; 0 where there is none.',
    registers,
  })
  const measure = storageGauges(registry, clock, summary)
  const measureExpiries = expiryGauges(registry, clock, expiries)
  const children = new Map<string, (times: number) => void>()
  return {
    contentType: registry.contentType,
    async text() {
      await measure()
      await measureExpiries()
      return registry.metrics()
    },
    request(route, status, times = 1) {
      const name = `${status} ${route}`
      const known = children.get(name)
      if (known !== undefined) return known(times)
      const child = requests.labels(route, String(status))
      children.set(name, (more) => child.inc(more))
      return child.inc(times)
    },
    publishTimer: () => publishes.startTimer(),
    conflict: () => conflicts.inc(),
    signed: (count) => signed.inc(count),
    signingFailed: () => failed.inc(),
    certificate: (end) => certificate.set(end),
    looked(repositories) {
      failing.set(repositories)
      looked.set(clock() / 1000)
    },
  }
}

/** Looked up when somebody asks for the figures. */
function storageGauges(registry: Registry, clock: () => number, summary: () => Promise<StorageSummary>) {
  const gauge = (name: string, help: string) => new Gauge({ name: `tagseal_${name}`, help, registers: [registry] })
  const repositories = gauge('repositories', 'Repositories.')
  const pending = gauge('proposals', 'Proposals that wait for signatures, stale ones included.')
  const size = gauge('database_bytes', 'Size of the database.')
  const age = gauge('oldest_timestamp_seconds', 'Age of the oldest timestamp.')
  const left = gauge('timestamp_left_seconds', 'Until the first timestamp expires; negative where one has.')
  const waiting = gauge('held_repositories', 'Repositories that wait for what a restored backup lacks.')
  return async () => {
    const { held, repositories: many, proposals, bytes, oldestTimestamp, firstExpiry } = await summary()
    const now = clock()
    repositories.set(many)
    pending.set(proposals)
    waiting.set(held)
    size.set(bytes)
    age.set(oldestTimestamp === undefined ? 0 : (now - oldestTimestamp) / 1000)
    left.set(firstExpiry === undefined ? 0 : (firstExpiry - now) / 1000)
  }
}

/** Three values each, however many repositories there are. A role that nobody has is left out. */
function expiryGauges(registry: Registry, clock: () => number, expiries: MetadataStore['expiries']) {
  const labelNames = ['role'] as const
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `tagseal_${name}`, help, labelNames, registers: [registry] })
  const left = gauge('role_left_seconds', 'Until the first file of that role expires; negative where one has.')
  const due = gauge('roles_expiring', 'Files of that role with a fifth of their life left, or less.')
  return async () => {
    const now = clock()
    left.reset()
    for (const [role, { first, due: many }] of Object.entries(await expiries(now))) {
      due.set({ role }, many)
      if (first !== undefined) left.set({ role }, (first - now) / 1000)
    }
  }
}
