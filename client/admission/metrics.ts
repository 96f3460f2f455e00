import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export type AdmissionMetrics = {
  readonly contentType: string
  readonly text: () => Promise<string>
  readonly request: (task: string, status: number) => void
  /** `reason` is our own code; `seconds` until the verdict was known. */
  readonly verdict: (task: string, outcome: 'admitted' | 'refused', reason: string, seconds: number) => void
  readonly refreshFailed: () => void
  /** Whether the newest policy file, or certificate, counts: 0 while it is broken and an older one stays in force. */
  readonly good: (what: 'policy' | 'certificate', good: boolean) => void
}

/** Names of images and namespaces are not among these figures: there may be many, and some are nobody's business. */
export function openMetrics(): AdmissionMetrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Counter({
    name: 'tagseal_admission_requests_total',
    help: 'Requests by webhook and status.',
    labelNames: ['webhook', 'status'],
    registers,
  })
  const verdicts = new Counter({
    name: 'tagseal_admission_verdicts_total',
    help: 'Objects that were admitted or refused, and why.',
    labelNames: ['webhook', 'outcome', 'reason'],
    registers,
  })
  const seconds = new Histogram({
    name: 'tagseal_admission_review_seconds',
    help: 'From a review to its answer.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
    registers,
  })
  const failures = new Counter({
    name: 'tagseal_admission_refresh_failures_total',
    help: 'Refreshes of trust metadata that failed while nobody waited for them.',
    registers,
  })
  const policy = new Gauge({
    name: 'tagseal_admission_policy_good',
    help: '1 while the newest policy file is in force, 0 while it is broken and an older one is.',
    registers,
  })
  const certificate = new Gauge({
    name: 'tagseal_admission_certificate_good',
    help: '1 while the newest certificate is shown, 0 while it is broken and an older one is.',
    registers,
  })
  policy.set(1)
  certificate.set(1)
  return {
    contentType: registry.contentType,
    text: async () => await registry.metrics(),
    request: (webhook, status) => requests.inc({ webhook, status }),
    verdict(webhook, outcome, reason, took) {
      verdicts.inc({ webhook, outcome, reason })
      seconds.observe(took)
    },
    refreshFailed: () => failures.inc(),
    good: (what, isGood) => (what === 'policy' ? policy : certificate).set(isGood ? 1 : 0),
  }
}
