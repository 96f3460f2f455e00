import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { spawn } from 'node:child_process'

/** What a series of runs took, in milliseconds. */
export type Series = { readonly runs: number; readonly median: number; readonly min: number; readonly max: number }

export type Program = {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Runs a program to its end and gives what it printed; a failure is an error, for a failed run measures nothing. */
export async function run(program: Program): Promise<string> {
  const child = spawn(program.command, program.args, {
    cwd: program.cwd,
    env: { ...process.env, ...program.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (part: Buffer) => out.push(part))
  child.stderr.on('data', (part: Buffer) => err.push(part))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code === 0) return Buffer.concat(out).toString('utf8')
  const said = Buffer.concat(err).toString('utf8') + Buffer.concat(out).toString('utf8')
  throw new Error(`${program.command} ${program.args.join(' ')} ended with ${code}: ${said.slice(-500)}`)
}

/**
 * Wall time of whole processes, the contenders taking turns, so that whatever else the machine does meets them alike.
 * `prepare` runs before each run and is not counted.
 */
export async function compare(
  contenders: Readonly<
    Record<string, { readonly program: (i: number) => Program; readonly prepare?: () => Promise<void> }>
  >,
  runs: number,
): Promise<Record<string, Series>> {
  const times = new Map<string, number[]>(Object.keys(contenders).map((name) => [name, []]))
  for (let i = -1; i < runs; i++) {
    for (const [name, { program, prepare }] of Object.entries(contenders)) {
      await prepare?.()
      const started = performance.now()
      await run(program(i + 1))
      if (i >= 0) times.get(name)?.push(performance.now() - started)
    }
  }
  return Object.fromEntries([...times].map(([name, list]) => [name, series(list)]))
}

export function series(times: readonly number[]): Series {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (index: number) => round(sorted[index] ?? Number.NaN)
  return { runs: sorted.length, median: at(Math.floor(sorted.length / 2)), min: at(0), max: at(sorted.length - 1) }
}

export function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Requests per second as `wrk` counts them. */
export async function load(
  url: string,
  options: { seconds: number; connections: number; close: boolean; headers?: readonly string[] },
): Promise<number> {
  const headers = [...(options.headers ?? []), ...(options.close ? ['Connection: close'] : [])]
  const header = headers.flatMap((line) => ['-H', line])
  const args = ['-t2', `-c${options.connections}`, `-d${options.seconds}s`, ...header, url]
  const said = await run({ command: 'wrk', args })
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(said)
  if (failed !== null) throw new Error(`wrk got ${failed[1]} failed answers from ${url}`)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1])
}

export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)))
}
