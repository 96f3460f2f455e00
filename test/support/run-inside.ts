import { Readable } from 'node:stream'
import { run } from '../../client/run.ts'
import type { Surroundings } from '../../client/run.ts'

export type RanInside = { readonly exit: number; readonly stdout: string; readonly stderr: string }

/** The program in this process: a process of its own takes a second of a busy machine. */
export async function runInside(
  argv: readonly string[],
  { input = '', ...more }: Partial<Surroundings> & { readonly input?: string } = {},
): Promise<RanInside> {
  const [out, err]: [string[], string[]] = [[], []]
  const exit = await run(argv, {
    env: {},
    homeDirectory: '/nonexistent',
    stdin: () => Readable.from([Buffer.from(input)]),
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    clock: Date.now,
    monotonic: () => performance.now(),
    signal: new AbortController().signal,
    version: '0',
    ...more,
  })
  return { exit, stdout: out.join(''), stderr: err.join('') }
}
