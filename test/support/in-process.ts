import { monotonicNow } from '../../client/monotonic.ts'
import { run } from '../../client/run.ts'
import type { CliOptions, Ran } from './cli.ts'

/** What the program does, in this process: for journeys of so many steps that starting it each time would be most of them. */
export async function tagsealHere(args: readonly string[], { env = {} }: Pick<CliOptions, 'env'> = {}): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await run(args, {
    env,
    homeDirectory: env['HOME'],
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    clock: Date.now,
    monotonic: monotonicNow,
    signal: new AbortController().signal,
    version: '0',
  })
  return { code, stdout: out.join(''), stderr: err.join('') }
}
