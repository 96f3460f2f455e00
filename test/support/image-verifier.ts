import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { COMPILED, TAGSEAL } from './programs.ts'
import { runInside } from './run-inside.ts'

/** What containerd makes of its verifiers: an image is pulled where `ok` says so, and `failed` is no yes either. */
export type Judgement = {
  readonly ok: boolean
  /** Of the verifier that was asked last. */
  readonly code: number | undefined
  readonly reason: string
  /** What containerd only writes to its debug log. */
  readonly debug: string
  readonly failed: string | undefined
  readonly ms: number
}
/** And what whoever pulls is told of all of them. */
export type Judged = Judgement & { readonly words: string }

export type ContainerdAsk = {
  readonly name: string
  readonly digest: string
  readonly size?: number
  readonly annotations?: Readonly<Record<string, string>>
  /** Instead of the descriptor; undefined where nothing is written, and the pipe is never closed. */
  readonly stdin?: string | Buffer | undefined
  /** Instead of the arguments. */
  readonly args?: readonly string[]
  /** `per_verifier_timeout` */
  readonly timeoutMs?: number
  /** `max_verifiers` */
  readonly most?: number
  /** Told of each program once it runs. */
  readonly started?: (child: ChildProcess) => void
}

const OUTPUT_LIMIT = 32 * 1024
const NOTHING = { code: undefined, reason: '', debug: '', failed: undefined, ms: 0 }

/** A folder as `bin_dir` names it, with one verifier in it: `tagseal verifier`, by the lines of the guide. */
export async function makeBinDir(folder: string, options: readonly string[]): Promise<string> {
  const dir = join(folder, 'bin')
  await mkdir(dir, { recursive: true })
  const words = [process.execPath, TAGSEAL, 'verifier', ...options].map((word) => `'${word}'`).join(' ')
  await addVerifier(dir, 'tagseal', `exec ${words} "$@"`)
  return dir
}

/** A program of such a folder. */
export async function addVerifier(dir: string, name: string, script: string, mode = 0o755): Promise<void> {
  await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`)
  await chmod(join(dir, name), mode)
}

/**
 * Calls the programs of a `bin_dir` as containerd 2 does (pkg/imageverifier/bindir): in the order of their names, the
 * descriptor on stdin, in a process group that is killed when it takes too long, 32 KiB of what each says kept and the rest
 * thrown away, and the first no is final. A folder without any is a yes.
 */
export async function askVerifiers(
  binDir: string,
  ask: ContainerdAsk,
  env: Readonly<Record<string, string>>,
): Promise<Judged> {
  const { most = -1 } = ask
  const names = await readdir(binDir).catch(() => undefined)
  if (names === undefined) return { ...NOTHING, ok: true, words: `image verifier directory ${binDir} does not exist` }
  if (names.length === 0) return { ...NOTHING, ok: true, words: `no image verifier binaries found in ${binDir}` }
  const reasons: string[] = []
  let last: Judgement = { ...NOTHING, ok: true }
  for (const bin of names.toSorted().slice(0, most < 0 ? names.length : most)) {
    last = await askOne(join(binDir, bin), ask, env)
    if (last.failed !== undefined) return { ...last, words: `failed to call verifier ${bin}: ${last.failed}` }
    if (!last.ok) {
      return { ...last, words: `verifier ${bin} rejected image (exit code ${last.code}): ${last.reason}` }
    }
    reasons.push(`${bin} => ${last.reason}`)
  }
  return { ...last, words: reasons.join(', ') }
}

/** The same question to the program in this process, for tables: a process takes a second of a busy machine. */
export async function askInside(
  options: readonly string[],
  ask: ContainerdAsk,
  env: Readonly<Record<string, string>>,
  age = () => 0,
): Promise<Judgement> {
  const began = performance.now()
  const argv = ['verifier', ...options, ...argumentsOf(ask)]
  const ran = await runInside(argv, { env, age, homeDirectory: undefined, input: String(stdinOf(ask) ?? '') })
  const [code, reason, debug] = [ran.exit, ran.stdout.trim(), ran.stderr]
  return { ok: code === 0, code, reason, debug, failed: undefined, ms: performance.now() - began }
}

function argumentsOf({ name, digest, args }: ContainerdAsk): readonly string[] {
  const type = ['-stdin-media-type', 'application/vnd.oci.descriptor.v1+json']
  return args ?? ['-name', name, '-digest', digest, ...type]
}

function stdinOf(ask: ContainerdAsk): string | Buffer | undefined {
  if ('stdin' in ask) return ask.stdin
  const { digest, size = 1, annotations } = ask
  return `${JSON.stringify({ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size, annotations })}\n`
}

function askOne(program: string, ask: ContainerdAsk, env: Readonly<Record<string, string>>): Promise<Judgement> {
  const { timeoutMs = 10_000, started = () => {} } = ask
  const began = performance.now()
  const child = spawn(program, argumentsOf(ask), {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...COMPILED, PATH: process.env['PATH'], ...env },
    detached: true, // a process group of its own, which is killed as one
  })
  child.stdin.on('error', () => undefined) // it need not read
  const stdin = stdinOf(ask)
  if (stdin !== undefined) child.stdin.end(stdin)
  const [out, err] = [capped(child.stdout), capped(child.stderr)]
  let failed: string | undefined
  const timer = setTimeout(() => {
    failed = 'waiting on command to exit: signal: killed'
    if (child.pid !== undefined) killGroup(child.pid)
  }, timeoutMs)
  started(child)
  return new Promise((resolve) => {
    child.on('error', (error) => (failed = `starting process: ${error.message}`))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      child.stdin.destroy()
      if (signal !== null) failed ??= `waiting on command to exit: signal: ${signal}`
      const ok = code === 0 && failed === undefined
      const truncated = out.size() > OUTPUT_LIMIT ? '(stdout truncated)' : ''
      const reason = out.text().trim() + truncated
      const ms = performance.now() - began
      resolve({
        ok,
        code: failed === undefined ? (code ?? undefined) : undefined,
        reason,
        debug: err.text(),
        failed,
        ms,
      })
    })
  })
}

/** What comes is read to its end, and no more than the limit is kept. */
function capped(stream: Readable) {
  const parts: Buffer[] = []
  let size = 0
  stream.on('data', (part: Buffer) => {
    if (size < OUTPUT_LIMIT) parts.push(part.subarray(0, OUTPUT_LIMIT - size))
    size += part.length
  })
  return { text: () => Buffer.concat(parts).toString('utf8'), size: () => size }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // it has ended by itself meanwhile
  }
}
