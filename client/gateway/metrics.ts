import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Followed } from './follow.ts'

export type GatewayMetrics = {
  readonly contentType: string
  readonly text: () => Promise<string>
  readonly request: (kind: string, status: number) => void
  /** `reason` is our own code of a refusal; `seconds` until the verdict was known. */
  readonly verdict: (outcome: 'admitted' | 'refused', reason: string, seconds: number) => void
  readonly sent: (from: 'cache' | 'upstream', bytes: number) => void
  readonly refreshFailed: () => void
  /** A name and a password, or only one of them, that nobody here has. */
  readonly loginFailed: () => void
  /** Whether the newest file counts: 0 while it is broken and an older one stays in force. */
  readonly good: (what: Followed, good: boolean) => void
}

/** Names of repositories are not among these figures: there may be many, and some are nobody's business. */
export function openMetrics(cacheBytes: () => number): GatewayMetrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Counter({
    name: 'tagseal_gateway_requests_total',
    help: 'Requests by what they asked for and status.',
    labelNames: ['kind', 'status'],
    registers,
  })
  const verdicts = new Counter({
    name: 'tagseal_gateway_verdicts_total',
    help: 'Images and digests that were admitted or refused, and why.',
    labelNames: ['outcome', 'reason'],
    registers,
  })
  const seconds = new Histogram({
    name: 'tagseal_gateway_manifest_seconds',
    help: 'From a request for a manifest to the beginning of its answer.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers,
  })
  const bytes = new Counter({
    name: 'tagseal_gateway_blob_bytes_total',
    help: 'Bytes of blobs that were sent, by where they came from.',
    labelNames: ['from'],
    registers,
  })
  const failures = new Counter({
    name: 'tagseal_gateway_refresh_failures_total',
    help: 'Refreshes of trust metadata that failed while nobody waited for them.',
    registers,
  })
  const logins = new Counter({
    name: 'tagseal_gateway_failed_logins_total',
    help: 'Requests with a login that nobody here has.',
    registers,
  })
  const goodness = (what: Followed) =>
    new Gauge({
      name: `tagseal_gateway_${what}_good`,
      help: `1 while the newest file of it (${what}) is in force, 0 while it is broken and an older one is.`,
      registers,
    })
  const good = { policy: goodness('policy'), certificate: goodness('certificate'), users: goodness('users') }
  const kept = new Gauge({
    name: 'tagseal_gateway_cache_bytes',
    help: 'What the content that is kept takes on disk.',
    registers,
  })
  for (const one of Object.values(good)) one.set(1)
  return {
    contentType: registry.contentType,
    async text() {
      kept.set(cacheBytes())
      return await registry.metrics()
    },
    request: (kind, status) => requests.inc({ kind, status }),
    verdict(outcome, reason, took) {
      verdicts.inc({ outcome, reason })
      seconds.observe(took)
    },
    sent: (from, count) => bytes.inc({ from }, count),
    refreshFailed: () => failures.inc(),
    loginFailed: () => logins.inc(),
    good: (what, isGood) => good[what].set(isGood ? 1 : 0),
  }
}
