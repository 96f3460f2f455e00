import {
  acceptDelegated,
  binNames,
  delegatedAuthority,
  heardRoles,
  listedMeta,
  refuseMismatch,
  search,
  stillDelegated,
  targetsFile,
  TARGETS,
  TrustError,
} from '../../tuf/index.ts'
import type { AfterTargets, Found, RoleName, SearchOrder, Targets, Verified, Version, Wanted } from '../../tuf/index.ts'
import { delegatedName } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { ClientError } from './errors.ts'
import { fetchNeeded } from './mirrors.ts'
import type { Sources } from './mirrors.ts'
import { sawDelegated } from './record.ts'
import { unlessRefused } from './refresh.ts'

/** A delegated role's file, trusted by the word of one delegator. */
export type RoleFile = {
  readonly role: RoleName
  readonly delegator: Verified<Targets>
  readonly file: Verified<Targets>
  readonly bytes: Uint8Array
}

export type Delegated = {
  /** Where a target is listed first, in the order of the specification (5.6.7); undefined where it is nowhere. */
  readonly find: (path: string, signal?: AbortSignal, order?: SearchOrder) => Promise<Found | undefined>
  /** Every delegated role once, in the order of the search: by name and, of hash bins, all of them. */
  readonly all: (signal?: AbortSignal) => AsyncGenerator<RoleFile, void, undefined>
  /** The roles that were asked for so far. */
  readonly asked: () => readonly RoleFile[]
  /** When the first of them expires. */
  readonly freshUntil: () => number
  /** One role by the word of one delegator. */
  readonly get: (wanted: Wanted, signal?: AbortSignal) => Promise<RoleFile>
  /** The version of the file that the snapshot lists for a role, whoever signed that file. */
  readonly listedVersion: (role: RoleName, signal?: AbortSignal) => Promise<Version>
}

/** More than any repository of ours has; a bound for one that delegates without an end. */
const MOST_LISTED_ROLES = 4096

/**
 * The delegated roles below one refreshed state. A file is fetched once and stored once however often it is needed,
 * and is verified again for each delegator who leads to it: their keys may differ.
 */
export function delegatedRoles(
  trust: AfterTargets,
  source: Sources,
  cache: TrustCache,
  repository = 'this repository',
): Delegated {
  const fetched = new Map<RoleName, RoleFile>()

  async function get({ role, delegator }: Wanted, signal?: AbortSignal): Promise<RoleFile> {
    const known = fetched.get(role)
    if (known?.delegator === delegator) return known
    const accept = (bytes: Uint8Array, previous?: Verified<Targets>) => ({
      role,
      delegator,
      bytes,
      file: acceptDelegated(trust, role, delegator, bytes, previous),
    })
    const got = known === undefined ? await obtain(role, delegator, accept, signal) : accept(known.bytes)
    fetched.set(role, got)
    return got
  }

  async function obtain(
    role: RoleName,
    delegator: Targets,
    accept: (bytes: Uint8Array, previous?: Verified<Targets>) => RoleFile,
    signal?: AbortSignal,
  ): Promise<RoleFile> {
    const name = delegatedName(role, trust.suite)
    const kept = await cache.load(name)
    const current = kept && unlessRefused(() => accept(kept))
    if (current !== undefined) return await remembered(current)
    const file = targetsFile(trust, role)
    const previous = kept && stillDelegated(trust, role, delegator, kept)
    const got = await fetchNeeded(source, { file, accept: (bytes) => accept(bytes, previous), signal })
    if (got === undefined) throw new ClientError('NO_TRUST_DATA', { repository, file: file.name })
    await remembered(got.value)
    await cache.store(name, got.bytes)
    return got.value
  }

  async function remembered(found: RoleFile): Promise<RoleFile> {
    const { role, delegator, file } = found
    if (listedMeta(trust, role).version === undefined)
      await sawDelegated(cache, delegatedAuthority(delegator, role), file)
    return found
  }

  async function listedVersion(role: RoleName, signal?: AbortSignal): Promise<Version> {
    const meta = listedMeta(trust, role)
    if (meta.version !== undefined) return meta.version
    const file = targetsFile(trust, role)
    const accept = (bytes: Uint8Array) => {
      refuseMismatch(role, meta, bytes, trust.suite)
      return trust.codec.decode('targets', bytes, trust).body.version
    }
    const got = await fetchNeeded(source, { file, accept, signal })
    if (got === undefined) throw new ClientError('NO_TRUST_DATA', { repository, file: file.name })
    return got.value
  }

  return {
    get,
    listedVersion,
    asked: () => [...fetched.values()],
    freshUntil: () => Math.min(...[...fetched.values()].map(({ file }) => file.expires)),
    async find(path, signal, order) {
      const steps = search(trust, path, order)
      let step = steps.next()
      while (step.done !== true) step = steps.next((await get(step.value, signal)).file)
      return step.value
    },
    async *all(signal) {
      const visited = new Set<string>([TARGETS])
      const waiting = delegatesOf(trust, TARGETS, trust.targets)
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        if (visited.has(next.role)) continue
        if (visited.size > MOST_LISTED_ROLES)
          throw new TrustError('TOO_MANY_ROLES', { target: '*', limit: MOST_LISTED_ROLES })
        visited.add(next.role)
        const found = await get(next, signal)
        yield found
        for (const each of delegatesOf(trust, next.role, found.file)) waiting.push(each)
      }
    },
  }
}

/** Last first, for a stack. Bins beyond the bound are cut off by it, not listed by the billion. */
function delegatesOf(trust: AfterTargets, name: RoleName, delegator: Verified<Targets>): Wanted[] {
  const succinct = delegator.delegations?.succinct
  if (succinct !== undefined && 2 ** succinct.bitLength > MOST_LISTED_ROLES) {
    throw new TrustError('TOO_MANY_ROLES', { target: '*', limit: MOST_LISTED_ROLES })
  }
  const names =
    succinct === undefined ? heardRoles(trust, name, delegator).map((role) => role.name) : binNames(succinct)
  return names.map((role) => ({ role, delegator })).toReversed()
}
