/**
 * The client that the TUF conformance suite drives: `init`, `refresh` and `download` over the library, on any TUF
 * repository. Exit codes are 0 and 1 and no other.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { directoryCache, openRepository } from './index.ts'
import type { Repository } from './index.ts'

const OPTIONS = {
  'metadata-dir': { type: 'string' },
  'metadata-url': { type: 'string' },
  'target-name': { type: 'string', multiple: true },
  'target-dir': { type: 'string' },
  'target-base-url': { type: 'string' },
} as const

/** Two ticks of Linux's coarsest clock: files are told apart by their times, and these move in such steps. */
const TICK_MS = 20

/** Runs one command of the protocol. `say` gets the one line that tells why it failed. */
export async function runConformance(
  args: readonly string[],
  say: (line: string) => void,
  clock: () => number = Date.now,
): Promise<0 | 1> {
  try {
    await perform(args, clock)
    return 0
  } catch (error) {
    say(error instanceof Error ? `${error.name}: ${error.message}` : String(error))
    return 1
  }
}

async function perform(args: readonly string[], clock: () => number): Promise<void> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true })
  const [command, ...rest] = positionals
  const metadataDir = required(values['metadata-dir'], '--metadata-dir')
  const open = (): Repository => openFrom(metadataDir, required(values['metadata-url'], '--metadata-url'), clock)
  switch (command) {
    case 'init':
      return await init(metadataDir, required(rest[0], 'init ROOT'))
    case 'refresh':
      return await withRepository(open(), async (repository) => {
        await repository.refresh()
      })
    case 'download':
      return await withRepository(open(), async (repository) => {
        const targetsUrl = required(values['target-base-url'], '--target-base-url')
        const folder = required(values['target-dir'], '--target-dir')
        await repository.refresh()
        for (const name of required(values['target-name'], '--target-name')) {
          await repository.download(name, { targetsUrl, folder })
          await delay(TICK_MS)
        }
      })
    default:
      throw new Error(`no such command: ${command ?? 'none given'}`)
  }
}

/** Nothing is checked and nothing asked: the first refresh does, and takes no other root for it. */
async function init(metadataDir: string, rootFile: string): Promise<void> {
  await directoryCache(metadataDir).store('root.json', await readFile(rootFile))
}

function openFrom(metadataDir: string, metadataUrl: string, clock: () => number): Repository {
  // The protocol lets time jump from run to run, in either direction, and judges by expiry dates alone.
  const anyClock = { clock, clockTolerance: Number.MAX_SAFE_INTEGER }
  return openRepository({ metadataUrl, cache: directoryCache(metadataDir), pin: { kind: 'stored' }, ...anyClock })
}

async function withRepository(repository: Repository, use: (repository: Repository) => Promise<void>): Promise<void> {
  try {
    await use(repository)
  } finally {
    repository.close()
  }
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`${name} is missing`)
  return value
}
