/** Runs the conformance client as the suite's harness does, in this process or as the executable. */
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { runConformance } from '../../client/conformance.ts'
import { PeerRepository } from './peer-repository.ts'
import type { PeerServer } from './peer-repository.ts'

const EXECUTABLE = join(import.meta.dirname, 'tuf-client')
const run = promisify(execFile)

export type Runner = (args: readonly string[], now: number | undefined) => Promise<number>

export const inProcess: Runner = async (args, now) =>
  await runConformance(
    args,
    () => undefined,
    () => now ?? Date.now(),
  )

/** The executable, under the real `faketime` where another time is asked for. */
export const asExecutable: Runner = async (args, now) => {
  const [program, ...rest] =
    now === undefined ? [EXECUTABLE, ...args] : ['faketime', new Date(now).toISOString(), EXECUTABLE, ...args]
  try {
    await run(program ?? '', rest, { cwd: '/' })
    return 0
  } catch (error) {
    const code: unknown = (error as { code?: unknown }).code
    return typeof code === 'number' ? code : -1
  }
}

type KeptFile = { readonly signed: { readonly version: number; readonly meta: Record<string, unknown> } }

export class ConformanceClient {
  readonly metadataDir: string
  readonly targetDir: string
  private readonly folder: string
  private readonly runner: Runner
  private readonly urls: { metadataUrl: string; targetsUrl: string }

  constructor(folder: string, runner: Runner, urls: { metadataUrl: string; targetsUrl: string }) {
    this.folder = folder
    this.runner = runner
    this.urls = urls
    this.metadataDir = join(folder, 'metadata')
    this.targetDir = join(folder, 'targets')
    mkdirSync(this.metadataDir)
    mkdirSync(this.targetDir)
  }

  async init(root: Uint8Array): Promise<number> {
    const file = join(this.folder, 'initial_root.json')
    writeFileSync(file, root)
    return await this.runner(['--metadata-dir', this.metadataDir, 'init', file], undefined)
  }

  async refresh(now?: number): Promise<number> {
    const args = ['--metadata-url', this.urls.metadataUrl, '--metadata-dir', this.metadataDir, 'refresh']
    return await this.runner(args, now)
  }

  async download(names: string | readonly string[], now?: number): Promise<number> {
    const args = ['--metadata-url', this.urls.metadataUrl, '--metadata-dir', this.metadataDir]
    for (const name of [names].flat()) args.push('--target-name', name)
    args.push('--target-dir', this.targetDir, '--target-base-url', this.urls.targetsUrl, 'download')
    return await this.runner(args, now)
  }

  /** As `[name, version]` of every `*.json` directly in the folder, sorted: each must be metadata. */
  trusted(): [string, number][] {
    return readdirSync(this.metadataDir)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => [name.slice(0, -5), this.metadata(name).signed.version])
  }

  metadata(name: string): KeptFile {
    return JSON.parse(this.file(name)) as KeptFile
  }

  version(role: string): number | undefined {
    return this.trusted().find(([name]) => name === role)?.[1]
  }

  file(name: string): string {
    return readFileSync(join(this.metadataDir, name), 'utf8')
  }

  /** The contents of all downloaded files, oldest first. */
  downloads(): string[] {
    return readdirSync(this.targetDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
      .map((path) => readFileSync(path, 'utf8'))
  }
}

export type Setting = { readonly client: ConformanceClient; readonly repository: PeerRepository }

/** A client that was initialised with the repository's first root. */
export async function initialised(
  server: PeerServer,
  repository: PeerRepository,
  { name, folder, runner = inProcess }: { name: string; folder: string; runner?: Runner },
): Promise<Setting> {
  const client = new ConformanceClient(folder, runner, server.serve(name, repository))
  const root = repository.published.get('root')?.[0]
  if (root === undefined || (await client.init(root)) !== 0) throw new Error('init failed')
  return { client, repository }
}

export type Case = (t: Test, setting: Setting) => Promise<void>

/** Each case has a repository and a client of its own; the name in the URL has what Python quotes. */
export async function runCases(
  t: Test,
  server: PeerServer,
  cases: Record<string, Case>,
  runner: Runner = inProcess,
): Promise<void> {
  for (const [name, run] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const options = { name: `${t.fullname}[é]`, folder: t.testdir(), runner }
      await run(t, await initialised(server, new PeerRepository(), options))
    })
  }
}
