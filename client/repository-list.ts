/** The names of the repositories that a server has, for a token that administers them. */
import { isJsonList, isJsonObject, member } from '../tuf/index.ts'
import type { Json } from '../tuf/index.ts'
import { PublishError } from './publish/errors.ts'
import { askServer } from './server-api.ts'
import type { ServerApiOptions } from './server-api.ts'
import { baseUrl } from './trust/fetch.ts'

/** No server of ours has more. */
const MOST = 1_000_000
const PAGE = 1000

/** In the order of their names. Throws UNAUTHORIZED and DENIED. */
export async function listRepositories(options: Omit<ServerApiOptions, 'repository'>): Promise<readonly string[]> {
  const { server } = options
  const names: string[] = []
  for (let after: string | undefined, more = true; more; more = after !== undefined) {
    const url = new URL(`${baseUrl(server)}v1/repositories`)
    url.search = new URLSearchParams({ limit: String(PAGE), ...(after === undefined ? {} : { after }) }).toString()
    const page = await askServer({ ...options, repository: 'every repository' }, { url })
    const next = nextOf(page)
    if (names.length > MOST || (next !== undefined && next <= (after ?? ''))) throw malformed(server)
    names.push(...namesIn(server, page))
    after = next
  }
  return names
}

function namesIn(server: string, page: Json | undefined): readonly string[] {
  const list = isJsonObject(page) ? member(page, 'repositories') : undefined
  if (!isJsonList(list)) throw malformed(server)
  return list.map((each) => {
    const name = isJsonObject(each) ? member(each, 'name') : undefined
    if (typeof name !== 'string') throw malformed(server)
    return name
  })
}

function nextOf(page: Json | undefined): string | undefined {
  const next = isJsonObject(page) ? member(page, 'next') : undefined
  return typeof next === 'string' ? next : undefined
}

function malformed(server: string): PublishError {
  return new PublishError('BAD_ANSWER', { server, why: 'it is no list of repositories' })
}
