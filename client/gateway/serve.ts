/** A gateway from its settings to its end. */
import type { IncomingMessage, RequestListener } from 'node:http'
import { join } from 'node:path'
import type { Signer } from '../../keys/signer.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { readCertificate } from './certificate.ts'
import type { Certificate, CertificateFiles } from './certificate.ts'
import { readUsers } from './clients.ts'
import type { Users } from './clients.ts'
import { openFollow } from './follow.ts'
import { openAgent } from '../verifier/agent.ts'
import { openDeciding } from '../verifier/decide.ts'
import { openGateway } from './gateway.ts'
import { listen } from './listen.ts'
import type { Listening } from './listen.ts'
import { openMetrics } from './metrics.ts'
import { openStore } from './store.ts'
import { boundYoungSpace } from './young-space.ts'

export type GatewaySettings = {
  readonly host: string
  readonly port: number
  readonly policy: FilePolicy
  /** The same file, read again. */
  readonly reload: () => Promise<FilePolicy>
  readonly cache: string | undefined
  readonly cacheBytes: number
  readonly tls: CertificateFiles | undefined
  readonly users: string | undefined
  /** Where the image verifiers of this machine are answered as well. */
  readonly agentSocket: string | undefined
  /** The caller closes them. */
  readonly bridge: readonly Signer[]
}

const DRAIN_MS = 10_000

/** Serves until the context's signal, and then gives what is under way ten seconds. */
export async function serveGateway(context: Context, settings: GatewaySettings): Promise<void> {
  boundYoungSpace()
  const { policy, users } = settings
  const log = (entry: Readonly<Record<string, unknown>>) => writeLine(context, entry)
  const store = await openStore(settings.cache ?? join(context.paths.state, 'gateway'), settings.cacheBytes)
  const metrics = openMetrics(store.bytes)
  const verdicts = await context.warmVerdicts(policy, (repository, error) => {
    metrics.refreshFailed()
    const { code, message } = failureOf(error)
    log({ event: 'refresh failed', repository, reason: code, message })
  })
  const firstUsers = users === undefined ? undefined : await readUsers(users)
  let known = firstUsers?.clients
  const clients = known && { nameOf: (request: IncomingMessage) => known?.nameOf(request) }
  const { upstream, monotonic } = context
  const { bridge } = settings
  const gateway = openGateway({ policy, verdicts, upstream, store, metrics, clients, bridge, monotonic, log })
  const { host, port, agentSocket, tls } = settings
  const handle: RequestListener = (request, response) => {
    gateway.handle(request, response).catch((error: unknown) => {
      log({ event: 'bug', message: error instanceof Error ? error.stack : String(error) })
      response.destroy()
    })
  }
  const certificate = tls === undefined ? undefined : await readCertificate(tls)
  const listening = await listen({ host, port, tls: certificate?.tls, handle })
  const agent =
    agentSocket === undefined
      ? undefined
      : await openAgent({ path: agentSocket, decide: openDeciding(verdicts), monotonic, log })
  const follow = openFollow({ since: context.clock() - context.age(), log, good: metrics.good })
  follow.add('policy', policy, {
    load: settings.reload,
    also: [context.paths.trust],
    adopted(next) {
      gateway.adopt(next)
      return { rules: next.rules }
    },
  })
  if (tls !== undefined && certificate !== undefined) {
    const load = async () => await renewed(listening, tls)
    follow.add('certificate', certificate, { load, adopted: () => undefined })
  }
  if (users !== undefined && firstUsers !== undefined) {
    const load = async () => await readUsers(users)
    const takeUsers = (next: Users) => {
      known = next.clients
      return undefined
    }
    follow.add('users', firstUsers, { load, adopted: takeUsers })
  }
  context.onHangup(follow.again)
  context.terminal.out(`listening on ${listening.url}`)
  try {
    await aborted(context.signal)
  } finally {
    follow.close()
    await Promise.all([listening.close(DRAIN_MS), agent?.close()])
  }
}

async function renewed(listening: Listening, files: CertificateFiles): Promise<Certificate> {
  const next = await readCertificate(files)
  listening.renew(next.tls)
  return next
}

/** JSON, so that no text from outside can begin a line of its own. */
function writeLine({ terminal, clock }: Context, entry: Readonly<Record<string, unknown>>): void {
  terminal.log({ time: new Date(clock()).toISOString(), ...entry })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
