import { spawn } from 'node:child_process'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { COMPILED, TAGSEAL } from './programs.ts'
import { runInside } from './run-inside.ts'

/** What containerd makes of its verifiers: an image is pulled where `ok` says so, and `failed` is no yes either. */
export type Judgement = {
  readonly ok: boolean
  readonly code: number | undefined
  readonly reason: string
  /** What containerd only writes to its debug log. */
  readonly debug: string
  readonly failed: string | undefined
  readonly ms: number
}

export type ContainerdAsk = {
  readonly name: string
  readonly digest: string
  readonly size?: number
  /** Instead of the descriptor. */
  readonly stdin?: string
  /** Instead of the arguments. */
  readonly args?: readonly string[]
  readonly timeoutMs?: number
}

const OUTPUT_LIMIT = 32 * 1024

/** A folder as `bin_dir` names it, with one verifier in it: `tagseal verifier`, by the lines of the guide. */
export async function makeBinDir(folder: string, options: readonly string[]): Promise<string> {
  const dir = join(folder, 'bin')
  await mkdir(dir, { recursive: true })
  const words = [process.execPath, TAGSEAL, 'verifier', ...options].map((word) => `'${word}'`).join(' ')
  await writeFile(join(dir, 'tagseal'), `#!/bin/sh\nexec ${words} "$@"\n`)
  await chmod(join(dir, 'tagseal'), 0o755)
  return dir
}

/**
 * Calls every program of a `bin_dir` as containerd 2 does: in the order of their names, the descriptor on stdin, the
 * environment of the daemon, killed when it takes too long, 32 KiB of what it says kept, and the first no is final.
 */
export async function askVerifiers(
  binDir: string,
  ask: ContainerdAsk,
  env: Readonly<Record<string, string>>,
): Promise<Judgement> {
  let last: Judgement = { ok: true, code: undefined, reason: 'no verifiers', debug: '', failed: undefined, ms: 0 }
  for (const bin of (await readdir(binDir)).toSorted()) {
    last = await askOne(join(binDir, bin), ask, env)
    if (!last.ok) return last
  }
  return last
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
  const ran = await runInside(argv, { env, age, homeDirectory: undefined, input: stdinOf(ask) })
  const [code, reason, debug] = [ran.exit, ran.stdout.trim(), ran.stderr]
  return { ok: code === 0, code, reason, debug, failed: undefined, ms: performance.now() - began }
}

function argumentsOf({ name, digest, args }: ContainerdAsk): readonly string[] {
  const type = ['-stdin-media-type', 'application/vnd.oci.descriptor.v1+json']
  return args ?? ['-name', name, '-digest', digest, ...type]
}

function stdinOf({ digest, size = 1, stdin }: ContainerdAsk): string {
  const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size }
  return stdin ?? `${JSON.stringify(descriptor)}\n`
}

function askOne(program: string, ask: ContainerdAsk, env: Readonly<Record<string, string>>): Promise<Judgement> {
  const { timeoutMs = 10_000 } = ask
  const given = argumentsOf(ask)
  const began = performance.now()
  const child = spawn(program, given, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...COMPILED, PATH: process.env['PATH'], ...env },
  })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (part: Buffer) => out.push(part))
  child.stderr.on('data', (part: Buffer) => err.push(part))
  child.stdin.on('error', () => undefined) // it need not read
  child.stdin.end(stdinOf(ask))
  let failed: string | undefined
  const timer = setTimeout(() => {
    failed = 'it took too long'
    child.kill('SIGKILL')
  }, timeoutMs)
  return new Promise((resolve) => {
    child.on('error', (error) => (failed = error.message))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (signal !== null) failed ??= `it was ended by ${signal}`
      resolve({
        ok: code === 0 && failed === undefined,
        code: code ?? undefined,
        reason: Buffer.concat(out).subarray(0, OUTPUT_LIMIT).toString('utf8').trim(),
        debug: Buffer.concat(err).toString('utf8'),
        failed,
        ms: performance.now() - began,
      })
    })
  })
}
