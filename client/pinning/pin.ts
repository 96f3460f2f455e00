/** Files in, a lock out; or files and a lock in, and whether they still go together with what is signed. */
import { stat } from 'node:fs/promises'
import type { Answer } from '../commands/declare.ts'
import { CommandError } from '../commands/errors.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { Failure } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { readUserFile } from '../files.ts'
import { pinned, printImage } from '../registry/reference.ts'
import { errnoOf, writeAtomically } from '../trust/atomic.ts'
import type { Verdicts } from '../verdict/engine.ts'
import { LockError } from './errors.ts'
import { readSource, refuseUnnamed, rewritten } from './files.ts'
import type { Source } from './files.ts'
import { parseLock, printLock } from './lock.ts'
import type { Lock } from './lock.ts'
import type { Values } from './named.ts'
import { keyOf, resolveAll } from './resolve.ts'
import type { Refused, Resolution, Resolved } from './resolve.ts'

export type PinSettings = {
  readonly files: readonly string[]
  readonly lock: string
  readonly values: Values
  /** Only says whether the lock is what it should be. */
  readonly check: boolean
  /** Writes digests into the files as well. */
  readonly write: boolean
  readonly verdicts: Verdicts
}

const LARGEST_LOCK = 16 * 1024 * 1024
const MODE = 0o644

export async function pinFiles(context: Context, settings: PinSettings): Promise<Answer> {
  const { files, values, verdicts } = settings
  const sources: Source[] = []
  for (const path of new Set(files)) sources.push(await readSource(path, values))
  refuseUnnamed(sources)
  for (const { path } of sources.filter(({ images }) => images.length === 0))
    context.terminal.warn(`no image in ${path}`)
  const named = sources.flatMap(({ images }) => images)
  const before = await readLock(settings.lock, settings.check)
  const resolution = await resolveAll(verdicts, named, settings.write)
  const wrong = settings.check && before !== undefined ? differences(before, resolution) : []
  const failures = [
    ...resolution.refused.map(toldAt),
    ...wrong.map((error) => ({ where: settings.lock, failure: failureOf(error) })),
  ]
  if (failures.length > 0) return refusalOf(context, resolution, failures)
  if (!settings.check) {
    if (settings.write) await writeSources(context, sources, resolution.resolved)
    await writeLock(context, settings.lock, before, resolution.lock)
  }
  return { lines: linesOf(resolution.resolved), document: documentOf(resolution, []) }
}

/** A lock that cannot be read is in the way of a check alone: otherwise it is written anew. */
async function readLock(path: string, check: boolean): Promise<Lock | undefined> {
  if (!(await isThere(path))) {
    if (check) throw new LockError('LOCK_MISSING', { path })
    return undefined
  }
  try {
    return parseLock(await readUserFile(path, LARGEST_LOCK), path)
  } catch (error) {
    if (check || !(error instanceof LockError)) throw error
    return undefined
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

function differences(before: Lock, { resolved, refused, lock }: Resolution): readonly LockError[] {
  const found: LockError[] = []
  for (const [repository, { root, snapshot }] of lock.repositories) {
    const known = before.repositories.get(repository)
    if (known === undefined) continue
    if (root < known.root)
      found.push(new LockError('LOCK_AHEAD', { repository, role: 'root', locked: known.root, got: root }))
    // A new root may begin its snapshots anew.
    if (root === known.root && snapshot < known.snapshot) {
      found.push(new LockError('LOCK_AHEAD', { repository, role: 'snapshot', locked: known.snapshot, got: snapshot }))
    }
  }
  for (const [image, { digest }] of lock.images) {
    const locked = before.images.get(image)
    if (locked === undefined) found.push(new LockError('LOCK_INCOMPLETE', { image, lacks: 'lock' }))
    else if (locked.digest !== digest)
      found.push(new LockError('LOCK_STALE', { image, locked: locked.digest, signed: digest }))
  }
  const isNamed = new Set(resolved.map(({ image }) => keyOf(image)))
  for (const image of before.images.keys()) {
    if (!isNamed.has(image) && refused.length === 0)
      found.push(new LockError('LOCK_INCOMPLETE', { image, lacks: 'files' }))
  }
  return found
}

type Told = { readonly where: string; readonly failure: Failure }

function toldAt({ named, failure }: Refused): Told {
  return { where: `${named.file}:${named.line}`, failure }
}

function refusalOf({ terminal, settings }: Context, resolution: Resolution, failures: readonly Told[]): Answer {
  for (const { where, failure } of settings.json ? [] : failures) tellFailure(terminal, failure, `${where}: `)
  const exit = failures.some(({ failure }) => failure.exit === 1) ? 1 : (failures[0]?.failure.exit ?? 3)
  return { lines: [], document: documentOf(resolution, failures), exit }
}

async function writeSources(
  { terminal }: Context,
  sources: readonly Source[],
  resolved: readonly Resolved[],
): Promise<void> {
  for (const source of sources) {
    const own = resolved.filter(({ named, locked }) => named.file === source.path && locked !== undefined)
    for (const { named } of own.filter(({ named: { place } }) => place === undefined)) {
      terminal.warn(`${named.file}:${named.line}: ${named.image} depends on a variable, and stays as it is`)
    }
    const replacements = own.map(({ named, image, locked }) => ({
      named,
      image: asPinned(named.image, image.tag, locked?.digest),
    }))
    const next = rewritten(source, replacements)
    if (next === source.text) continue
    await write(source.path, next)
    terminal.note(`wrote ${source.path}`)
  }
}

/** As its author wrote it, with the tag that was meant and the digest. */
function asPinned(text: string, tag = '', digest = ''): string {
  const [name = ''] = text.split('@')
  const hasTag = name.indexOf(':', name.lastIndexOf('/') + 1) >= 0
  return `${hasTag ? name : `${name}:${tag}`}@${digest}`
}

/** What only says that the same digests come from a newer state is no change worth a commit. */
async function writeLock({ terminal }: Context, path: string, before: Lock | undefined, lock: Lock): Promise<void> {
  if (before !== undefined && sameImages(before, lock)) return terminal.note(`${path} is as it should be`)
  await write(path, printLock(lock))
  terminal.note(`wrote ${path}`)
}

function sameImages(a: Lock, b: Lock): boolean {
  const repositories = new Map([...b.repositories.keys()].map((name) => [name, { root: 0, snapshot: 0 }]))
  const both = [a, b].map(({ images }) => printLock({ repositories, images }))
  return (
    both[0] === both[1] && [...a.repositories.keys()].toSorted().join() === [...b.repositories.keys()].toSorted().join()
  )
}

async function write(path: string, text: string): Promise<void> {
  try {
    const mode = (await isThere(path)) ? (await stat(path)).mode & 0o777 : MODE
    await writeAtomically(path, Buffer.from(text), mode)
  } catch (cause) {
    const errno = errnoOf(cause)
    if (errno === undefined) throw cause
    throw new CommandError('IO', { what: path, why: errno }, { cause })
  }
}

function linesOf(resolved: readonly Resolved[]): readonly string[] {
  return resolved.map(({ named, image, locked }) => {
    const meant = locked === undefined ? `${printImage(image)}, as it is` : pinned(image, locked.digest)
    return `${named.file}:${named.line}: ${meant}`
  })
}

function documentOf({ resolved }: Resolution, failures: readonly Told[]): object {
  return {
    images: resolved.map(({ named: { file, line }, image, locked }) => ({
      file,
      line,
      image: printImage(image),
      ...locked,
    })),
    ...(failures.length === 0
      ? {}
      : { errors: failures.map(({ where, failure }) => ({ where, ...failureDocument(failure) })) }),
  }
}
