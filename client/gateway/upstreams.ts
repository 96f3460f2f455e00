/** Where the content of a repository is fetched: the registry in its name, or the one that its rule names instead. */
import type { PolicyRule } from '../policy/policy.ts'
import type { Upstream } from '../policy/rules.ts'
import type { RepositoryName } from '../registry/reference.ts'
import type { Registry } from '../registry/registry.ts'

export type Place = { readonly registry: Registry; readonly ref: RepositoryName }
export type Upstreams = { readonly placeOf: (rule: PolicyRule, repository: RepositoryName) => Promise<Place> }

export function openUpstreams(open: (upstream: Upstream) => Promise<Registry>): Upstreams {
  const opened = new Map<string, Promise<Registry>>()
  const registryFor = (upstream: Upstream): Promise<Registry> => {
    const key = JSON.stringify(upstream)
    const known = opened.get(key)
    if (known !== undefined) return known
    const made = open(upstream)
    opened.set(key, made)
    made.catch(() => opened.delete(key)) // a file that could not be read may be there the next time
    return made
  }
  return {
    async placeOf({ upstream }, repository) {
      const host = upstream.registry ?? repository.registry
      return { registry: await registryFor({ ...upstream, registry: host }), ref: { ...repository, registry: host } }
    },
  }
}
