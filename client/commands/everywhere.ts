/** What a key that leaves many repositories is asked for, and what came of it in each. */
import type { PublicKey, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import type { Failure } from '../exit.ts'
import type { Campaign } from '../publish/campaign.ts'
import type { Pattern } from '../trust/pattern.ts'
import type { Decisions } from './decisions.ts'
import type { RoleImpact } from './impact-everywhere.ts'
import type { Rotation } from './rotation-keys.ts'

export type Everywhere = {
  readonly pattern: Pattern
  /** undefined: whichever roles list the key. */
  readonly role: RoleName | undefined
  /** The key that leaves: an id or its beginning, or a name of a key that is here. */
  readonly gone: string
  /** A file with names of repositories, instead of what the server and the pins know. */
  readonly names: string | undefined
  readonly rotation: Omit<Rotation, 'repository' | 'role' | 'gone'>
  readonly decisions: Decisions
}

/** The record, and the key that takes the place of the leaving one once a repository turns out to list it. */
export type Running = {
  (): Campaign | undefined
  readonly keyFor: (listed: PublicKey) => Promise<string>
  readonly finished: (repository: string) => Promise<void>
  readonly save: () => Promise<void>
}

export type Done = {
  readonly repository: string
  readonly roles: readonly RoleName[]
  /** By an earlier run, and not looked at again. */
  readonly before: boolean
  /** What was found to be decided in a role that the key has left, in this run or before. */
  readonly settling: ReadonlyMap<RoleName, Settling>
  /** In this run; none where nobody stole it. */
  readonly impacts: readonly RoleImpact[]
}

export type Settling = { readonly decided: number; readonly open: number; readonly labels: readonly string[] }

export type Undone = { readonly repository: string; readonly failure: Failure }

const AT_ONCE = 8

/** A few at a time, until it is interrupted. */
export async function eachOf(
  { signal }: Context,
  names: readonly string[],
  visit: (name: string) => Promise<void>,
): Promise<void> {
  const waiting = [...names]
  const next = async () => {
    for (let name = waiting.shift(); name !== undefined && !signal.aborted; name = waiting.shift()) await visit(name)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
}

export async function idsNamed(context: Context, gone: string): Promise<ReadonlySet<string>> {
  const named = await (await context.keystore()).index()
  return new Set(named.filter(({ name }) => name === gone).map(({ id }) => id))
}

export function nameOf(gone: string): string {
  return `instead of ${gone}`.slice(0, 120)
}

/** What took the place of a key leaves like any other, and what was changed since that time is looked at once more. */
export function againFrom(pattern: string, key: string, since: number): string {
  return `tagseal rotate '${pattern}' --all-with-key ${key.slice(0, 16)} --compromised --since ${new Date(since).toISOString()}`
}
