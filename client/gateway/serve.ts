/** A gateway from its settings to its end. */
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import type { Signer } from '../../keys/signer.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { readUserFile } from '../files.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { watchFiles } from '../policy/watch.ts'
import { readClients } from './clients.ts'
import { openAgent } from '../verifier/agent.ts'
import { openDeciding } from '../verifier/decide.ts'
import { openGateway } from './gateway.ts'
import { listen } from './listen.ts'
import type { Tls } from './listen.ts'
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
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined
  readonly users: string | undefined
  /** Where the image verifiers of this machine are answered as well. */
  readonly agentSocket: string | undefined
  /** The caller closes them. */
  readonly bridge: readonly Signer[]
}

const MAX_PEM = 4 * 1024 * 1024
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
  const clients = users === undefined ? undefined : readClients(await textOf(users), users)
  const { upstream, monotonic } = context
  const { bridge } = settings
  const gateway = openGateway({ policy, verdicts, upstream, store, metrics, clients, bridge, monotonic, log })
  const watch = watchFiles(policy, {
    load: settings.reload,
    also: [context.paths.trust],
    since: context.clock() - context.age(),
    adopted(next) {
      gateway.adopt(next)
      metrics.policyGood(true)
      log({ event: 'policy', outcome: 'adopted', path: next.path, rules: next.rules })
    },
    broken(error) {
      metrics.policyGood(false)
      const { code, message } = failureOf(error)
      log({ event: 'policy', outcome: 'broken', reason: code, message, consequence: 'the old one stays in force' })
    },
  })
  const { host, port, agentSocket } = settings
  const handle: RequestListener = (request, response) => {
    gateway.handle(request, response).catch((error: unknown) => {
      log({ event: 'bug', message: error instanceof Error ? error.stack : String(error) })
      response.destroy()
    })
  }
  const listening = await listen({ host, port, tls: await readTls(settings.tls), handle })
  const agent =
    agentSocket === undefined
      ? undefined
      : await openAgent({ path: agentSocket, decide: openDeciding(verdicts), monotonic, log })
  context.terminal.out(`listening on ${listening.url}`)
  try {
    await aborted(context.signal)
  } finally {
    watch.close()
    await Promise.all([listening.close(DRAIN_MS), agent?.close()])
  }
}

/** JSON, so that no text from outside can begin a line of its own. */
function writeLine({ terminal, clock }: Context, entry: Readonly<Record<string, unknown>>): void {
  terminal.log({ time: new Date(clock()).toISOString(), ...entry })
}

async function readTls(files: GatewaySettings['tls']): Promise<Tls | undefined> {
  if (files === undefined) return undefined
  const { cert, key, clientCa } = files
  return {
    cert: await readUserFile(cert, MAX_PEM),
    key: await readUserFile(key, MAX_PEM),
    clientCa: clientCa === undefined ? undefined : await readUserFile(clientCa, MAX_PEM),
  }
}

async function textOf(path: string): Promise<string> {
  return Buffer.from(await readUserFile(path, MAX_PEM)).toString('utf8')
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
