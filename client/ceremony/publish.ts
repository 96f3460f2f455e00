/** A proposal that everybody signed, on its way to the server: checked as consumers will check it, and safe to repeat. */
import { sameBytes } from '../../keys/bytes.ts'
import {
  acceptRoot,
  finishRoot,
  instant,
  openRoot,
  rootFile,
  ROOT,
  TARGETS,
  TrustError,
  verifyThreshold,
} from '../../tuf/index.ts'
import type { Judge, RoleName, Signature } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { openDesk } from '../publish/desk.ts'
import type { Edit, Plan } from '../publish/edit.ts'
import { publish } from '../publish/publish.ts'
import type { Desk, Published } from '../publish/publish.ts'
import type { Standing } from '../publish/standing.ts'
import { CeremonyError } from './errors.ts'
import { companionsFor, publishedFiles } from './make.ts'
import { followedBy, partsOf, payloadOf } from './opened.ts'
import type { Opened } from './opened.ts'
import { refuseMissing } from './signatures.ts'
import { openSource } from './source.ts'

/** `published` is false where it was done already. Throws CeremonyError, TrustError and PublishError. */
export async function publishProposal(context: Context, opened: Opened): Promise<Published> {
  return followedBy(opened) === undefined ? await found(context, opened) : await follow(context, opened)
}

/** Of a few that found a repository at the same moment, one is first, and the others find that out. */
const ATTEMPTS = 3

async function found(context: Context, opened: Opened): Promise<Published> {
  const { repository } = opened.proposal
  const [server, source] = [await context.api(repository), await openSource(context, repository)]
  for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
    const newest = await source.get('root.json', opened.judge.limits.root, context.signal)
    if (newest !== undefined) {
      const first = (await source.get(rootFile(1), opened.judge.limits.root, context.signal)) ?? newest
      const published = opened.judge.codec.decode('root', newest, opened.judge).body.version
      if (isOurs(opened, first)) return { published: false, attempts, unsigned: [] }
      throw new CeremonyError('PROPOSAL_STALE', { repository, version: 1, published })
    }
    refuseMissing(opened)
    refuseUnfit(opened, judgeNow(opened, context))
    const outcome = await server.upload(opened.proposal.next)
    if (outcome.kind === 'stored') return { published: true, attempts: attempts + 1, unsigned: outcome.unsigned }
  }
  throw new CeremonyError('PROPOSAL_STALE', { repository, version: 1, published: 1 })
}

function isOurs({ judge, root }: Opened, bytes: Uint8Array): boolean {
  return sameBytes(judge.codec.decode('root', bytes, judge).payload, root.signed.payload)
}

function judgeNow({ judge }: Opened, { clock }: Pick<Context, 'clock'>): Judge {
  return { ...judge, now: instant(clock()) }
}

/** By the rules of a consumer: the chain, the thresholds, and what has expired while people were signing. */
function refuseUnfit(opened: Opened, judge: Judge): void {
  const bytes = opened.proposal.next.get(ROOT) ?? new Uint8Array()
  const followed = followedBy(opened)
  finishRoot(followed === undefined ? openRoot(judge, bytes) : acceptRoot({ ...followed, ...judge }, bytes))
  for (const { role, signed, demands } of opened.companions) {
    for (const { authority } of demands) verifyThreshold(authority, signed, judge.suite)
    const { expires } = signed.body
    if (judge.now >= expires) throw new TrustError('EXPIRED', { role, expired: expires, now: judge.now })
  }
}

async function follow(context: Context, opened: Opened): Promise<Published> {
  const { repository } = opened.proposal
  const desk = await openDesk(context, repository)
  try {
    return await publish({ ...desk, keyring: signedAlready(desk, opened) }, planFor(context, opened))
  } finally {
    desk.close()
  }
}

/**
 * What was collected takes the place of keys: nothing of the proposal is signed here. A file that has to have another
 * version than was signed, because a restored server lost some, is another file.
 */
function signedAlready({ keyring }: Desk, opened: Opened): Desk['keyring'] {
  const parts = partsOf(opened)
  const sign = async (payload: Uint8Array): Promise<readonly Signature[]> => {
    const part = parts.find(({ signed }) => sameBytes(signed.payload, payload))
    if (part !== undefined) return part.signed.signatures
    const [companion] = opened.companions
    const { role, version } = { role: companion?.role ?? TARGETS, version: companion?.signed.body.version ?? 0 }
    throw new CeremonyError('FILES_STALE', { repository: opened.proposal.repository, role, version })
  }
  return { ...keyring, sign }
}

function planFor(context: Context, opened: Opened): Plan {
  return async (standing) => {
    if (await isPublished(context, opened, standing)) return []
    refuseMissing(opened)
    refuseUnfit(opened, judgeNow(opened, context))
    await refuseStaleFiles(opened, standing, context)
    return partsOf(opened).map(({ role, signed }): Edit => ({ role, body: signed.body, authorities: [] }))
  }
}

/** Throws PROPOSAL_STALE and OTHER_CHAIN. */
async function isPublished(context: Context, opened: Opened, { root, rootBytes }: Standing): Promise<boolean> {
  const { proposal, chain } = opened
  const { repository } = proposal
  const next = opened.root.signed.body.version
  if (root.version >= next) {
    const there = root.version === next ? rootBytes : await fetchRoot(context, opened, next)
    if (there !== undefined && isOurs(opened, there)) return true
    throw new CeremonyError('PROPOSAL_STALE', { repository, version: next, published: root.version })
  }
  const link = chain.at(-1)
  const fits = link !== undefined && root.version === link.root.version
  if (fits && sameBytes(payloadOf(link), payloadOf({ ...link, rootBytes }))) return false
  throw new CeremonyError('OTHER_CHAIN', { repository, version: root.version, who: 'the server' })
}

async function fetchRoot(
  context: Context,
  { proposal, judge }: Opened,
  version: number,
): Promise<Uint8Array | undefined> {
  const source = await openSource(context, proposal.repository)
  return await source.get(rootFile(version), judge.limits.root, context.signal)
}

/** What goes with the root must be on top of what is published now, and be all that has to. Throws FILES_STALE. */
async function refuseStaleFiles(opened: Opened, standing: Standing, making: Pick<Context, 'clock'>): Promise<void> {
  const { proposal, companions, root } = opened
  const next = root.signed.body
  const given = new Map(companions.map(({ role, signed }) => [role, signed.body.version]))
  const stale = (role: RoleName) =>
    new CeremonyError('FILES_STALE', {
      repository: proposal.repository,
      role,
      version: given.get(role) ?? standing.targets.version + 1,
    })
  const due = await companionsFor(standing, next, making)
  const wrong = due.find(({ role, body }) => given.get(role) !== body.version)
  const published = new Set(due.map(({ role }) => role))
  const more = companions.find(({ role }) => !published.has(role))
  if (wrong !== undefined || more !== undefined) throw stale(wrong?.role ?? more?.role ?? TARGETS)
  const other = await otherThanPublished(opened, standing)
  if (other !== undefined) throw stale(other)
}

/**
 * A role whose files begin from another one of the same version: whoever has a key that leaves can have signed that, and
 * its tags would come in under the keys that follow.
 */
async function otherThanPublished(
  { proposal, companions, judge }: Opened,
  standing: Standing,
): Promise<RoleName | undefined> {
  const published = await publishedFiles(standing, companions)
  const payload = (bytes: Uint8Array) => judge.codec.decode('targets', bytes, judge).payload
  return companions.find(({ role }) => {
    const [told, now] = [proposal.before.get(role), published.get(role)]
    return told === undefined || now === undefined || !sameBytes(payload(told), payload(now))
  })?.role
}
