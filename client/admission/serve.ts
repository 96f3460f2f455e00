/** A webhook from its settings to its end. */
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { readCertificate } from '../gateway/certificate.ts'
import type { CertificateFiles } from '../gateway/certificate.ts'
import { listen } from '../gateway/listen.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { watchFiles } from '../policy/watch.ts'
import { openMetrics } from './metrics.ts'
import { openNamespaces } from './namespaces.ts'
import { openWebhook } from './webhook.ts'

export type AdmissionSettings = {
  readonly host: string
  readonly port: number
  readonly policy: FilePolicy
  /** The same file, read again. */
  readonly reload: () => Promise<FilePolicy>
  readonly certificate: CertificateFiles
  /** When the answer is no, in seconds. */
  readonly seconds: number
  /** What reviews under way may take together, in bytes. */
  readonly memory: number
}

const DRAIN_MS = 10_000
const KEPT = 'the old one stays in force'

/** Serves until the context's signal, and then gives what is under way ten seconds. */
export async function serveAdmission(context: Context, settings: AdmissionSettings): Promise<void> {
  const { terminal, clock, age, monotonic, signal, paths, onHangup } = context
  const { host, port, policy, reload } = settings
  const log = (entry: Readonly<Record<string, unknown>>) =>
    terminal.log({ time: new Date(clock()).toISOString(), ...entry })
  const failed = (event: string, error: unknown, more: object) => {
    const { code, message } = failureOf(error)
    log({ event, reason: code, message, ...more })
  }
  const metrics = openMetrics()
  const namespaces = openNamespaces(policy, async (counted) => {
    return await context.warmVerdicts(counted, (repository, error) => {
      metrics.refreshFailed()
      failed('refresh failed', error, { repository })
    })
  })
  const webhook = openWebhook({
    namespaces,
    metrics,
    monotonic,
    patience: settings.seconds * 1000,
    memory: settings.memory,
    log,
  })
  const first = await readCertificate(settings.certificate)
  const handle = (...exchange: Parameters<typeof webhook.handle>) => void webhook.handle(...exchange)
  const listening = await listen({ host, port, tls: first.tls, handle })
  const broken = (what: 'policy' | 'certificate') => (error: unknown) => {
    metrics.good(what, false)
    failed(what, error, { outcome: 'broken', consequence: KEPT })
  }
  const policies = watchFiles(policy, {
    load: reload,
    also: [paths.trust],
    since: clock() - age(),
    adopted(next) {
      namespaces.adopt(next)
      metrics.good('policy', true)
      log({ event: 'policy', outcome: 'adopted', path: next.path, rules: next.rules })
    },
    broken: broken('policy'),
  })
  const certificates = watchFiles(first, {
    async load() {
      const next = await readCertificate(settings.certificate)
      listening.renew(next.tls)
      return next
    },
    also: [],
    since: clock() - age(),
    adopted(next) {
      metrics.good('certificate', true)
      log({ event: 'certificate', outcome: 'adopted', path: next.files[0] })
    },
    broken: broken('certificate'),
  })
  onHangup(() => [policies, certificates].forEach((watch) => watch.again()))
  terminal.out(`listening on ${listening.url}`)
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  webhook.drain()
  policies.close()
  certificates.close()
  await listening.close(DRAIN_MS)
}
