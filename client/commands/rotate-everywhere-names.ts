/** Which repositories a key shall leave: those of a file, or those that are pinned here and those that servers list. */
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { readUserFile } from '../files.ts'
import { isPublishError } from '../publish/errors.ts'
import { parseRepo } from '../registry/reference.ts'
import { listRepositories } from '../repository-list.ts'
import type { Pattern } from '../trust/pattern.ts'
import { loadPins } from '../trust/pins.ts'
import type { PinRule } from '../trust/pins.ts'
import { keptCa, serverFor } from '../trust/server-ca.ts'
import type { TrustServer } from '../trust/server-ca.ts'
import { CommandError } from './errors.ts'

export type Meant = {
  /** In order, each once. */
  readonly names: readonly string[]
  /** Of the file, those that the pattern leaves out. */
  readonly outside: readonly string[]
  /** Servers that may have other repositories, with the code of what kept them from listing them. */
  readonly unlisted: readonly { readonly server: string; readonly code: string }[]
}

const MAX_NAMES = 32 * 1024 * 1024

export async function repositoriesMeant(context: Context, pattern: Pattern, file: string | undefined): Promise<Meant> {
  const { names, unlisted } = file === undefined ? await known(context) : await inFile(file)
  const all = [...new Set(names)].toSorted()
  const matching = all.filter((name) => pattern.matches(name))
  const outside = file === undefined ? [] : all.filter((name) => !pattern.matches(name))
  // Where only one can be meant, and it is there, no list says more.
  return { names: matching, outside, unlisted: pattern.literal && matching.length > 0 ? [] : unlisted }
}

type Found = Pick<Meant, 'names' | 'unlisted'>

/** Throws FILE_MALFORMED: a line that is passed over is a repository that keeps the key. */
async function inFile(path: string): Promise<Found> {
  const text = Buffer.from(await readUserFile(path, MAX_NAMES)).toString('utf8')
  const names = text.split('\n').flatMap((line, i) => {
    const name = line.trim()
    return name === '' || name.startsWith('#') ? [] : [nameIn(name, path, i + 1)]
  })
  return { names, unlisted: [] }
}

function nameIn(line: string, path: string, number: number): string {
  try {
    return parseRepo(line).name
  } catch (cause) {
    const why = `line ${number}: ${failureOf(cause).message}`
    throw new CommandError('FILE_MALFORMED', { path, why }, { cause })
  }
}

async function known(context: Context): Promise<Found> {
  const pins = await loadPins(context.paths.trust)
  const pinned = pins.filter(({ pattern }) => pattern.literal).map(({ pattern }) => pattern.text)
  const servers = serversOf(pins, context.settings)
  const lists = await Promise.all(servers.map(async (each) => await listedOn(context, each, pinned.length > 0)))
  return {
    names: [...pinned, ...lists.flatMap(({ names }) => names)],
    unlisted: lists.flatMap((list) => list.unlisted),
  }
}

/** Each once: with the authorities of the first pin that keeps some for it, where there is one. */
function serversOf(pins: readonly PinRule[], settings: Context['settings']): readonly TrustServer[] {
  const servers = new Map<string, TrustServer>()
  for (const pin of pins) {
    const place = serverFor(settings, { server: pin.server, serverCa: keptCa(pin) })
    const known = place && servers.get(place.server)
    if (place !== undefined && known?.serverCa === undefined) servers.set(place.server, place)
  }
  const { server } = settings
  return server === undefined || servers.size > 0 ? [...servers.values()] : [{ server }]
}

/** Only an administrator is shown the list; whoever is not names the repositories, or pins them. */
async function listedOn(context: Context, place: TrustServer, others: boolean): Promise<Found> {
  const { signal } = context
  const { server } = place
  try {
    const http = await context.httpTo(place)
    const names = await listRepositories({ http, server, token: await context.token(), signal })
    return { names, unlisted: [] }
  } catch (error) {
    if (!others || !isPublishError(error)) {
      context.terminal.warn(
        `there is no list of the repositories of ${server}, so nothing was rotated in this run: run the same command again`,
      )
      throw error
    }
    context.terminal.warn(
      `${server} does not list its repositories (${error.code}): only those are looked at that are pinned here by name; --repositories FILE names others`,
    )
    return { names: [], unlisted: [{ server, code: error.code }] }
  }
}
