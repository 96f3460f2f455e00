/** What is otherwise for Notary v1: who signs the snapshot, how roles are named, which versions may follow. */
import { SNAPSHOT, nextSnapshot } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { Problem, invalidUpdate } from '../problem.ts'
import { refuseUncheckable } from './changes.ts'
import { leavingRoles, listedFiles, notaryMeta, refuseDangling } from './notary-snapshot.ts'
import type { NextFileSet, NextSnapshot, Rules } from './rules.ts'

/** Its clients count in 32 bits, and some refuse the last number: whoever reaches it could never publish again. */
const LAST_VERSION = 2 ** 31 - 2

/**
 * Of a timestamp or snapshot that somebody else signed, and that this server goes on from: the name outlives whoever
 * had it, so that nobody may bring it to its end.
 */
const LAST_FOREIGN = 2 ** 30

export const notaryRules: Rules = {
  dialect: 'notary-v1',
  refuseRole(role) {
    if (SENT.has(role) || isDelegation(role)) return
    throw new Problem('INVALID_ROLE', { role: role.slice(0, 80), reason: 'no role is named so' })
  },
  takesNothing: true, // `notary publish` where nothing is staged
  ignored: new Set(['timestamp']), // some clients send the one they know
  refuseOutOfTurn(state, role, got) {
    refuseTooHigh(role, got, role === SNAPSHOT ? LAST_FOREIGN : LAST_VERSION)
    if (isDelegation(role)) return // whether it follows depends on who may sign it now
    const current = state?.files.get(role)?.version ?? 0
    // Clients count versions that they never publish, so gaps are no fault; for roots they are, which form a chain.
    if (got <= current && (role !== 'root' || got === current)) throw new Problem('VERSION', { role, current, got })
    if (role === 'root' && state !== undefined && got !== current + 1) {
      throw invalidUpdate('ROOT_OUT_OF_TURN', { role, current, got })
    }
  },
  refuseRoot: () => undefined, // no client asks for consistent snapshots, and all find files by their hashes
  refuseUnwritable(role, previous, next) {
    refuseUncheckable(previous, next)
    for (const { name } of next.delegations?.roles ?? []) {
      const child = name.startsWith(`${role}/`) && !name.includes('/', role.length + 1)
      if (!child || !isDelegation(name)) throw invalidUpdate('OTHER_DELEGATION', { role, delegated: name })
    }
  },
  theirs: new Set(['snapshot']),
  metaOf: (_version, bytes, suite) => notaryMeta(bytes, suite),
  nextSnapshot: async (files, holdsSnapshot) => given(files) ?? (await made(files, holdsSnapshot)),
}

/** Throws INVALID_UPDATE. */
export function refuseTooHigh(role: RoleName, got: number, limit = LAST_FOREIGN): void {
  if (got > limit) throw invalidUpdate('VERSION_TOO_HIGH', { role, got, limit })
}

/** A publisher's own. */
function given(files: NextFileSet): NextSnapshot | undefined {
  const bytes = files.uploaded.get(SNAPSHOT)
  if (bytes === undefined) return undefined
  const { meta } = files.judge.codec.decode('snapshot', bytes, files.judge).body
  refuseDangling(files, meta)
  return { bytes, leaving: leavingRoles(files, meta) }
}

async function made(files: NextFileSet, holdsSnapshot: boolean): Promise<NextSnapshot> {
  if (!holdsSnapshot) throw invalidUpdate('SNAPSHOT_MISSING', { missing: SNAPSHOT })
  const meta = await listedFiles(files)
  return {
    make: (before, context) => ({ ...nextSnapshot(before, new Map(), context), meta }),
    leaving: leavingRoles(files, meta),
  }
}

const SENT: ReadonlySet<string> = new Set(['root', 'targets', 'snapshot'])

/** As its own clients name them: `targets/`, then words of `[-a-z0-9_]` with single slashes, below 256 characters. */
function isDelegation(name: RoleName): boolean {
  return name.length < 256 && /^targets(?:\/[-a-z0-9_]+)+$/.test(name)
}
