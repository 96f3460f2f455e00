import { homedir } from 'node:os'
import { isAbsolute } from 'node:path'
import facts from '../package.json' with { type: 'json' }
import { monotonicNow } from './monotonic.ts'
import { processAge } from './process-age.ts'
import { run } from './run.ts'

const interrupt = new AbortController()
let received: NodeJS.Signals | undefined
let lost: 0 | 3 = 0
// Until there is an answer. Should nothing be left to wait for before, that must not look like a yes.
process.exitCode = 3
process.once('beforeExit', sayNothingCame)
// Once: the second one ends the process whatever it is doing.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, endBy)
// A reader that went away (`| head`) changes nothing about the verdict.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    lost = 3
    process.exitCode = 3
    if (stream === process.stdout)
      process.stderr.write(`error: the answer could not be written: ${error.message} (IO)\n`)
  })
}

const work = run(process.argv.slice(2), {
  env: process.env,
  homeDirectory: homeOf(),
  stdin: () => process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: Date.now,
  monotonic: monotonicNow,
  age: processAge,
  signal: interrupt.signal,
  onHangup(listen) {
    process.off('SIGHUP', endBy)
    process.on('SIGHUP', listen)
  },
  version: facts.version,
})
void work.then(end)

function endBy(name: NodeJS.Signals): void {
  received = name
  interrupt.abort()
}

/** undefined for a user without one: a container with a number for a user, and nothing in its environment. */
function homeOf(): string | undefined {
  try {
    const home = homedir()
    return isAbsolute(home) ? home : undefined // an empty HOME would have the current folder say whom to trust
  } catch {
    return undefined
  }
}

function end(code: number): void {
  // Ended by the signal it got, as a shell expects that runs a loop of us.
  if (received !== undefined) process.kill(process.pid, received)
  process.off('beforeExit', sayNothingCame)
  process.exitCode = Math.max(code, lost)
  // Once both are written out: an end that waits for the engine to tidy up would take a millisecond longer.
  process.stdout.write('', () => process.stderr.write('', () => setImmediate(() => process.exit())))
}

function sayNothingCame(): void {
  process.stderr.write('error: internal error: nothing is left to wait for, and no answer came (INTERNAL)\n')
}
