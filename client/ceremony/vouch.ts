/** What this machine knows of the roots that a proposal comes from: its pin, and the root that it trusted last. */
import { sameBytes } from '../../keys/bytes.ts'
import { instant, isTrustError } from '../../tuf/index.ts'
import type { WalkingRoot } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { meets, openAnyRoot } from '../trust/anchor.ts'
import { directoryCache } from '../trust/directory-cache.ts'
import { topLevelName } from '../trust/cache.ts'
import { loadPins, pinFor } from '../trust/pins.ts'
import type { Pin } from '../trust/pins.ts'
import { stateFolder } from '../trust/repository.ts'
import { CeremonyError } from './errors.ts'
import { payloadOf } from './opened.ts'
import type { Opened } from './opened.ts'

/** `pin` and `seen` name the newest root of the chain that is known here; from there on each root vouched for the next. */
export type Vouching =
  | { readonly kind: 'pin' | 'seen'; readonly version: number }
  /** Nothing on this machine says whose repository this is, or what says it knows only roots that are not in the file. */
  | { readonly kind: 'nothing'; readonly pinned: boolean }

/** Needs no network. Throws NOT_VOUCHED, OTHER_CHAIN and PROPOSAL_STALE. */
export async function vouchFor(opened: Opened, { paths, clock }: Pick<Context, 'paths' | 'clock'>): Promise<Vouching> {
  const { repository } = opened.proposal
  const rules = await loadPins(paths.trust)
  if (!rules.some(({ pattern }) => pattern.matches(repository))) return { kind: 'nothing', pinned: false }
  const seen = await seenRoot(opened, paths.state)
  const known = seen && placeOf(opened, seen)
  const { pin } = pinFor(rules, repository)
  if (known === undefined) return vouchByPin(opened, pin, clock())
  const pinned = speaksFor(pin, opened.chain, clock()) ?? 0
  return pinned > known ? { kind: 'pin', version: pinned } : { kind: 'seen', version: known }
}

/** The root that this machine trusted last; undefined where there is none, or it is damaged and counts for nothing. */
async function seenRoot({ judge, proposal }: Opened, stateDir: string): Promise<WalkingRoot | undefined> {
  const bytes = await directoryCache(stateFolder(stateDir, proposal.repository)).load(topLevelName('root'))
  try {
    return bytes && openAnyRoot(judge, bytes)
  } catch (error) {
    if (isTrustError(error)) return undefined
    throw error
  }
}

/** Its version, where it is one of these roots; undefined where it is older than all of them. */
function placeOf({ proposal, chain, root }: Opened, seen: WalkingRoot): number | undefined {
  const { repository } = proposal
  const { version } = seen.root
  const next = root.signed.body.version
  const link = chain.find((each) => each.root.version === version)
  const payload = version === next ? root.signed.payload : link && payloadOf(link)
  if (payload !== undefined && sameBytes(payload, payloadOf(seen))) return version
  if (version >= next) throw new CeremonyError('PROPOSAL_STALE', { repository, version: next, published: version })
  if (link !== undefined) throw new CeremonyError('OTHER_CHAIN', { repository, version, who: 'this machine' })
  return undefined
}

function vouchByPin(opened: Opened, pin: Pin, now: number): Vouching {
  const { proposal, chain, file } = opened
  const isComplete = chain[0] === undefined || chain[0].root.version === 1
  const found = chain.length === 0 ? speaksForFirst(opened, pin) : speaksFor(pin, chain, now)
  if (found !== undefined) return { kind: 'pin', version: found }
  if (pin.kind === 'tofu' || !isComplete) return { kind: 'nothing', pinned: true }
  throw new CeremonyError('NOT_VOUCHED', { repository: proposal.repository, file })
}

function speaksFor(pin: Pin, chain: readonly WalkingRoot[], now: number): number | undefined {
  const link = chain.findLast((each) => {
    if (pin.kind === 'root') return sameBytes(pin.bytes, each.rootBytes)
    return pin.kind !== 'tofu' && meets(pin, { bytes: each.rootBytes, value: { ...each, now: instant(now) } })
  })
  return link?.root.version
}

/** Nobody has signed a first root yet; what can be told is whether the pin would take it once they have. */
function speaksForFirst({ judge, root, proposal }: Opened, pin: Pin): number | undefined {
  const { body, payload } = root.signed
  if (pin.kind === 'root') {
    const pinned = openAnyRoot(judge, pin.bytes)
    return sameBytes(payloadOf(pinned), payload) ? body.version : undefined
  }
  if (pin.kind !== 'keys') return undefined
  const names = new Set([...body.keys.values()].flatMap((key) => judge.codec.keyNames(key, judge.suite)))
  const able = pin.keyids.filter((id) => names.has(id)).length
  return able >= pin.threshold && proposal.roots.length === 0 ? body.version : undefined
}
