import { spawn } from 'node:child_process'
import { basename } from 'node:path'
import { concat } from '../../bytes.ts'
import { KeyError } from '../../errors.ts'
import type { Surroundings } from '../custodian.ts'
import { safeFile } from '../safe-file.ts'
import type { Command } from './command.ts'

const MAX_OUTPUT = 64 * 1024
/** What a program has to say to people; more is left away. */
const MOST_LINES = 200
const LONGEST_LINE = 1000

export type Verb = 'describe' | 'generate' | 'sign'
/** Added to the environment. */
export type Facts = Readonly<Record<string, string>>
export type Run = {
  readonly command: Command
  readonly verb: Verb
  readonly input: Uint8Array
  readonly facts: Facts
}

/** `the signer program vault-sign`, for errors. */
export function nameOf({ program }: Command): string {
  return `the signer program ${basename(program)}`
}

/**
 * What a program writes to stdout when it is given `input` on stdin: `PROGRAM VERB ARG...`, in the root folder, without
 * a shell. Its stderr is passed on line by line.
 */
export function runProgram(
  { command, verb, input, facts }: Run,
  { env, say }: Surroundings,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const signer = nameOf(command)
  const program = safeFile(command.program, signer, 'execute')
  const failed = (why: string) => new KeyError('SIGNER_FAILED', { signer, why })
  return new Promise((resolve, reject) => {
    const child = spawn(program, [verb, ...command.args], {
      cwd: '/',
      env: { ...env, ...facts },
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
      argv0: command.program,
    })
    const parts: Uint8Array[] = []
    let length = 0
    const stop = (error: Error) => {
      child.kill('SIGKILL')
      // What it started may hold them open; nobody listens any more.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
      child.unref()
      reject(error)
    }
    const give = () => stop(failed('nobody waits for it any more'))
    signal.addEventListener('abort', give, { once: true })
    const passOn = lines(MOST_LINES, (line) => say(`${basename(command.program)}: ${line}`))
    child.stderr.on('data', passOn.add)
    child.stdout.on('data', (part: Buffer) => {
      parts.push(part)
      length += part.length
      if (length > MAX_OUTPUT) stop(failed(`it wrote more than ${MAX_OUTPUT} bytes`))
    })
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(new KeyError('SIGNER_UNAVAILABLE', { signer, why: `it did not start (${error.code ?? 'unknown'})` }))
    })
    child.on('close', (code, by) => {
      signal.removeEventListener('abort', give)
      passOn.end()
      if (code === 0) resolve(concat(...parts))
      else reject(failed(by === null ? `it ended with code ${code}` : `it was ended by ${by}`))
    })
    child.stdin.on('error', () => child.stdin.destroy()) // one that ends without reading tells us by its code
    child.stdin.end(input)
  })
}

/** Text as it comes, line by line, and no more than so many of them. */
function lines(most: number, tell: (line: string) => void): { add: (part: Buffer) => void; end: () => void } {
  let [rest, told] = ['', 0]
  const one = (line: string) => {
    if (line.trim() === '' || told >= most) return
    told += 1
    tell(line.slice(0, LONGEST_LINE))
  }
  return {
    add(part) {
      if (told >= most) return
      const [last = '', ...before] = `${rest}${part.toString('utf8')}`.split('\n').toReversed()
      for (const line of before.toReversed()) one(line)
      rest = last.slice(0, LONGEST_LINE)
    },
    end: () => one(rest),
  }
}
