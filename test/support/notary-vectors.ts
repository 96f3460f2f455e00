import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nativeSuite } from '../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  TARGETS,
  acceptDelegated,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  codecOf,
  finishRoot,
  instant,
  isTrustError,
  listedRoles,
  openRoot,
} from '../../tuf/index.ts'
import type { AfterTargets, Judge, RoleName, Suite, Targets, TopRole, Verified } from '../../tuf/index.ts'

/** States that the original `notary` and `docker` made; its README says of what. */
export const NOTARY_VECTORS = fileURLToPath(new URL('../vectors/notary-v1/', import.meta.url))

/** Of each state, the repository it was made for. */
export const NOTARY_STATES: Readonly<Record<string, string>> = {
  '01-alpha-delegation-x509': 'example.com/alpha',
  '02-beta-snapshot-server': 'example.com/beta',
  '03-gamma-root-rotated': 'example.com/gamma',
  '04-delta-rsa-root-many-delegations': 'example.com/delta',
  '06-zeta-ca-signed-wildcard-root-eku-codeSigning': 'example.com/zeta/codeSigning',
  '06-zeta-ca-signed-wildcard-root-eku-none': 'example.com/zeta/none',
  '07-docker-push-targets-role': '127.0.0.1:5000/team/app',
  '08-docker-trust-signers': '127.0.0.1:5000/team/app',
  '12-iota-delegation-removed-roles-null': 'example.com/iota',
  '14-pg-remote-signer-ecdsa-timestamp': 'example.com/pg',
}

/** The clock that the states are to be judged by. */
export const NOTARY_NOW = instant(Date.UTC(2026, 10, 24))

/** Gives the bytes of a state's file, changed or not, by its path without `.json`. */
export type ReadFile = (name: string) => Uint8Array

/** The same bytes each time. */
export function readFrom(state: string): ReadFile {
  const files = new Map<string, Uint8Array>()
  return (name) => {
    const bytes = files.get(name) ?? new Uint8Array(readFileSync(join(NOTARY_VECTORS, state, `${name}.json`)))
    files.set(name, bytes)
    return bytes
  }
}

/** Every file of a state, by its path without `.json`, and what it decodes as. */
export function filesOf(state: string): readonly { readonly name: string; readonly type: TopRole }[] {
  const paths = readdirSync(join(NOTARY_VECTORS, state), { recursive: true, encoding: 'utf8' })
  return paths.flatMap((path) => {
    if (!path.endsWith('.json')) return []
    const name = path.slice(0, -'.json'.length)
    const last = /^(?:\d+\.)?(root|timestamp|snapshot)$/.exec(name)?.[1]
    return [{ name, type: last === 'root' || last === 'timestamp' || last === 'snapshot' ? last : 'targets' }]
  })
}

export function judgeOf(state: string, suite: Suite = nativeSuite): Judge {
  const codec = codecOf(readFrom(state)('1.root'), DEFAULT_LIMITS)
  const limits = { ...DEFAULT_LIMITS, ...codec.limits }
  return { codec, suite, limits, now: NOTARY_NOW, repository: NOTARY_STATES[state] }
}

export type Loaded = { readonly trust: AfterTargets; readonly roles: ReadonlyMap<RoleName, Verified<Targets>> }

/** The whole workflow over the files as they lie there, and every delegated role that the snapshot lists. */
export function load(state: string, judge: Judge, read: ReadFile): Loaded {
  let root = openRoot(judge, read('1.root'))
  for (let next = 2; existsSync(join(NOTARY_VECTORS, state, `${next}.root.json`)); next++) {
    root = acceptRoot(root, read(`${next}.root`))
  }
  const timestamp = acceptTimestamp(finishRoot(root), read('timestamp'))
  const trust = acceptTargets(acceptSnapshot(timestamp, read('snapshot')), read('targets'))
  const roles = new Map<RoleName, Verified<Targets>>([[TARGETS, trust.targets]])
  for (const [, delegator] of roles) {
    for (const { name } of listedRoles(delegator)) {
      if (trust.snapshot.meta.has(name)) roles.set(name, acceptDelegated(trust, name, delegator, read(name)))
    }
  }
  return { trust, roles }
}

/** Whether a state loads when one of its files is this. */
export function loadsWith(state: string, judge: Judge, read: ReadFile, changed: string, bytes: Uint8Array): boolean {
  try {
    load(state, judge, (name) => (name === changed ? bytes : read(name)))
    return true
  } catch (error) {
    if (isTrustError(error)) return false
    throw error
  }
}
