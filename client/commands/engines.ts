/** What pulls an image by digest: docker, podman or skopeo. None of them is told a tag to look up. */
import { spawn } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { withoutOurs } from '../settings.ts'
import type { Environment } from '../settings.ts'
import { CommandError } from './errors.ts'

export type EngineName = 'docker' | 'podman' | 'skopeo'

export type PullWish = {
  /** `registry/repository`. */
  readonly name: string
  readonly tag: string
  readonly digest: string
  /** Where skopeo writes an OCI layout; the others keep what they pull themselves. */
  readonly output: string | undefined
  readonly plainHttp: boolean
  readonly signal: AbortSignal
}

/** Pulls, tags, and gives the digests that the engine then says the tag has. */
export type Engine = { readonly name: EngineName; readonly pull: (wish: PullWish) => Promise<readonly string[]> }

export function openEngine(name: EngineName, env: Environment): Engine {
  if (name === 'skopeo') return { name, pull: (wish) => pullWithSkopeo(wish, env) }
  return { name, pull: (wish) => pullWithDocker(name, wish, env) }
}

/** The first of them that is installed. */
export async function findEngine(names: readonly EngineName[], env: Environment): Promise<EngineName | undefined> {
  for (const name of names) if (await isInstalled(name, env)) return name
  return undefined
}

async function isInstalled(name: string, env: Environment): Promise<boolean> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const folder of folders) {
    try {
      await access(join(folder, name), constants.X_OK)
      return true
    } catch {
      continue // not there, or not ours to run
    }
  }
  return false
}

async function pullWithDocker(
  engine: EngineName,
  { name, tag, digest, plainHttp, signal }: PullWish,
  env: Environment,
): Promise<readonly string[]> {
  const insecure = plainHttp && engine === 'podman' ? ['--tls-verify=false'] : []
  await run(engine, ['pull', ...insecure, `${name}@${digest}`], env, signal)
  await run(engine, ['tag', `${name}@${digest}`, `${name}:${tag}`], env, signal)
  const inspected = await run(
    engine,
    ['image', 'inspect', '--format', '{{join .RepoDigests " "}}', `${name}:${tag}`],
    env,
    signal,
  )
  return inspected.split(/\s+/).map((reference) => reference.slice(reference.indexOf('@') + 1))
}

async function pullWithSkopeo(
  { name, tag, digest, output, plainHttp, signal }: PullWish,
  env: Environment,
): Promise<readonly string[]> {
  const folder = output ?? '.'
  const insecure = plainHttp ? ['--src-tls-verify=false'] : []
  const from = `docker://${name}@${digest}`
  await run('skopeo', ['copy', '--all', '--preserve-digests', ...insecure, from, `oci:${folder}:${tag}`], env, signal)
  return await layoutDigests(folder, tag)
}

/** What an OCI layout says that a tag is. */
async function layoutDigests(folder: string, tag: string): Promise<readonly string[]> {
  const index: unknown = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'))
  const manifests = isObject(index) && Array.isArray(index['manifests']) ? index['manifests'] : []
  return manifests.flatMap((entry: unknown) => {
    if (!isObject(entry) || typeof entry['digest'] !== 'string' || !isObject(entry['annotations'])) return []
    return entry['annotations']['org.opencontainers.image.ref.name'] === tag ? [entry['digest']] : []
  })
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Its words go to stderr, for stdout is ours. No shell: a name cannot become a command. */
function run(program: EngineName, args: readonly string[], env: Environment, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: withoutOurs(env), signal })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (part: Buffer) => out.push(part))
    child.stderr.on('data', (part: Buffer) => err.push(part))
    child.on('error', (cause) => reject(failed(program, cause.message, cause)))
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out).toString('utf8').trim())
      else reject(failed(program, lastLine(Buffer.concat(err).toString('utf8')) ?? `exit code ${code}`))
    })
  })
}

function failed(engine: string, why: string, cause?: unknown): CommandError {
  return new CommandError('ENGINE_FAILED', { engine, why: why.slice(0, 500) }, cause === undefined ? {} : { cause })
}

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1) || undefined
}
