/** An agent on its own, for machines where no gateway runs. */
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { watchFiles } from '../policy/watch.ts'
import { openAgent } from './agent.ts'
import { openDeciding } from './decide.ts'

export type AgentSettings = {
  readonly path: string
  readonly policy: FilePolicy
  /** The same file, read again. */
  readonly reload: () => Promise<FilePolicy>
}

/** Serves until the context's signal; what is under way is answered. */
export async function serveAgent(context: Context, { path, policy, reload }: AgentSettings): Promise<void> {
  const { terminal, clock, age, monotonic, signal, paths, onHangup } = context
  const log = (entry: Readonly<Record<string, unknown>>) =>
    terminal.log({ time: new Date(clock()).toISOString(), ...entry })
  const failed = (event: string, error: unknown, more: object) => {
    const { code, message } = failureOf(error)
    log({ event, reason: code, message, ...more })
  }
  const verdicts = await context.warmVerdicts(policy, (repository, error) =>
    failed('refresh failed', error, { repository }),
  )
  const agent = await openAgent({ path, decide: openDeciding(verdicts), monotonic, log })
  const watch = watchFiles(policy, {
    load: reload,
    also: [paths.trust],
    since: clock() - age(),
    adopted(next) {
      verdicts.adopt(next)
      log({ event: 'policy', outcome: 'adopted', path: next.path, rules: next.rules })
    },
    broken: (error) => failed('policy', error, { outcome: 'broken', consequence: 'the old one stays in force' }),
  })
  onHangup(watch.again)
  terminal.out(`listening on ${path}`)
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  watch.close()
  await agent.close()
}
