/** Lists that a registry gives out page by page: hearsay, all of it. */
import { isJsonObject, type Json, member } from '../../tuf/model/json.ts'
import type { Client } from './client.ts'
import { printable, RegistryError } from './errors.ts'
import { drain, type Response } from './http.ts'
import { isList, parseStrictJson } from './json.ts'
import { OCI_INDEX } from './media-types.ts'
import { isTag, type RepositoryName } from './reference.ts'

const PAGE = 1000
const MOST_PAGES = 64
const PAGE_BYTES = 4 * 1024 * 1024

/** What the registry calls its tags; undefined where it has no such repository. What is no tag is left out. */
export async function listTags(
  client: Client,
  ref: RepositoryName,
  signal?: AbortSignal,
): Promise<readonly string[] | undefined> {
  const tags = new Set<string>()
  const found = await eachPage(client, { ref, path: `tags/list?n=${PAGE}`, list: 'tags', signal }, (tag) => {
    if (typeof tag === 'string' && isTag(tag)) tags.add(tag)
  })
  return found ? [...tags] : undefined
}

/**
 * Descriptors of what names this digest as its subject, as the registry wrote them. One that keeps no such lists may have
 * an index in the place of it, under a tag made of the digest.
 */
export async function listReferrers(
  client: Client,
  ref: RepositoryName,
  digest: string,
  signal?: AbortSignal,
): Promise<readonly Json[]> {
  const found: Json[] = []
  const take = (entry: Json) => found.push(entry)
  for (const path of [`referrers/${digest}`, `manifests/${fallbackTag(digest)}`]) {
    if (await eachPage(client, { ref, path, list: 'manifests', signal }, take)) break
  }
  return found
}

/** As the distribution specification makes it, which cuts long digests. */
function fallbackTag(digest: string): string {
  const [algorithm = '', encoded = ''] = digest.split(':')
  return `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`
}

type Listing = {
  readonly ref: RepositoryName
  readonly path: string
  readonly list: string
  readonly signal: AbortSignal | undefined
}

async function eachPage(client: Client, listing: Listing, take: (entry: Json) => unknown): Promise<boolean> {
  const { ref, list, signal } = listing
  let { path } = listing
  for (let page = 0; page < MOST_PAGES; page++) {
    const what = `the ${list} of ${ref.name}`
    const call = {
      ref,
      method: 'GET',
      path,
      headers: { accept: `${OCI_INDEX}, application/json` },
      what,
      signal,
    } as const
    const answer = await client.patiently(signal, async () => {
      const deadline = client.deadline(signal)
      const response = await client.ask(call, deadline)
      if (response.status !== 404)
        return { response, bytes: await client.http.read(response, PAGE_BYTES, what, deadline) }
      await drain(response)
      return undefined
    })
    if (answer === undefined) return false
    for (const entry of entriesOf(answer.response, answer.bytes, list, what)) take(entry)
    const next = nextPage(answer.response, path)
    if (next === undefined) return true
    path = next
  }
  throw new RegistryError('TOO_MANY_PARTS', { what: ref.name, of: `pages of ${list}`, limit: MOST_PAGES })
}

function entriesOf({ url }: Response, bytes: Uint8Array, list: string, what: string): readonly Json[] {
  const root = parse(bytes)
  const entries = isJsonObject(root) ? (member(root, list) ?? []) : undefined
  if (isList(entries)) return entries
  throw new RegistryError('BAD_RESPONSE', { host: url.host, what, why: 'it is no such list' })
}

function parse(bytes: Uint8Array): Json | undefined {
  try {
    return parseStrictJson(bytes)
  } catch {
    return undefined
  }
}

/** Only what comes after the question mark is taken: where a list goes on is not for the registry to say. */
function nextPage(response: Response, path: string): string | undefined {
  const link = /<([^<>]{1,2048})>\s*;[^,]*\brel="?next"?/i.exec(response.header('link') ?? '')?.[1]
  if (link === undefined) return undefined
  const query = URL.parse(link, response.url.href)?.search ?? ''
  if (query === '' || query !== printable(query, 2048)) return undefined
  const next = `${path.split('?', 1).join('')}${query}`
  return next === path ? undefined : next
}
