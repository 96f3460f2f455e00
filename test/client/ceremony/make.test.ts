/** Proposals on top of what is published, with the roles that follow the keys of targets. */
import t from 'tap'
import type { Test } from 'tap'
import { companionsFor, editsFor, proposalOf, refreshed } from '../../../client/ceremony/make.ts'
import { withSignatures } from '../../../client/ceremony/merge.ts'
import { openProposal } from '../../../client/ceremony/open.ts'
import { partsOf } from '../../../client/ceremony/opened.ts'
import type { Opened } from '../../../client/ceremony/opened.ts'
import { encodeProposal } from '../../../client/ceremony/proposal.ts'
import { isMet, tallyOf } from '../../../client/ceremony/signatures.ts'
import { foundingEdits } from '../../../client/publish/found.ts'
import { spreadIfLarge } from '../../../client/publish/layout.ts'
import { named } from '../../../client/publish/publish.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { openRepository } from '../../../client/trust/repository.ts'
import type { RepositoryOptions } from '../../../client/trust/repository.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  authorityOf,
  delegationTo,
  nextTargets,
  roleName,
  ROOT,
  TARGETS,
  tufCodec,
  withDelegation,
} from '../../../tuf/index.ts'
import type { RoleName, Signature, Targets } from '../../../tuf/index.ts'
import { openTestServer, REPO } from '../../server/support/app.ts'
import { context, newKey, signFile, target } from '../../server/support/party.ts'
import type { TestKey } from '../../server/support/party.ts'

const TEAM = roleName('team')

/** A repository of one root key and one targets key, with a role that is under the key of targets and one that is not. */
async function published(t: Test, tags: number) {
  const now = Date.now()
  const server = await openTestServer(t, {}, { now })
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' })
  const [root, targets, team] = [await newKey(), await newKey(), await newKey()]
  const online = await server.onlineKeys()
  const plan = {
    repository: REPO,
    root: [root.key],
    rootThreshold: 1,
    targets: [targets.key],
    targetsThreshold: 1,
    ...online,
  }
  const [first, empty] = foundingEdits(plan, tufCodec, nativeSuite, now)
  if (first === undefined || empty?.body.type !== 'targets') throw new Error('both are made')
  const rootFile = await signFile(first.body, root)
  await publish({ root: rootFile, targets: await signFile(empty.body, targets) })
  const scope = { kind: 'paths', paths: ['team-*'] } as const
  const own = { name: TEAM, keys: [targets.key], threshold: 1, scope, terminating: false }
  const theirs = { ...own, name: roleName('theirs'), keys: [team.key] }
  const set = new Map(Array.from({ length: tags }, (_, i) => [`v${i}`, target(`v${i}`)] as const))
  const delegations = withDelegation(withDelegation(undefined, own), theirs)
  const body = nextTargets(empty.body, { set, delegations }, context(now))
  const edit = { role: TARGETS, body, authorities: [] }
  const edits = spreadIfLarge(edit, { keys: [targets.key], threshold: 1 }, nativeSuite, context(now))
  const files = edits.map(
    async (each) => [each.role, await signFile(named(each, tufCodec, REPO).body, targets)] as const,
  )
  await publish(Object.fromEntries(await Promise.all(files)))
  const place = { repository: REPO, server: url, cache: memoryCache(), pin: { kind: 'root', bytes: rootFile } }
  const repository = openRepository({ ...place, plainHttp: () => true } as RepositoryOptions)
  t.teardown(repository.close)

  async function publish(upload: Readonly<Record<string, Uint8Array>>): Promise<void> {
    const answer = await server.publish(upload)
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }
  return { repository, publish, root, targets, now, roots: [rootFile], clock: () => now }
}

/** The proposal with what these keys sign of it. */
async function signedBy(opened: Opened, role: RoleName | undefined, ...keys: readonly TestKey[]): Promise<Opened> {
  const added = new Map<RoleName, readonly Signature[]>()
  for (const part of partsOf(opened)) {
    if (role === ROOT ? part.role !== ROOT : part.role === ROOT) continue
    const sign = async ({ signer, key }: TestKey) => ({
      keyid: key.id,
      sig: await signer.sign(part.signed.payload),
      unknown: new Map(),
    })
    added.set(part.role, await Promise.all(keys.map(sign)))
  }
  return withSignatures(opened, added)
}

for (const [size, tags] of Object.entries({ small: 3, large: 1001 })) {
  await t.test(`a ${size} repository comes under two of three targets keys`, async (t) => {
    const { repository, publish, root, roots, clock } = await published(t, tags)
    const next = [await newKey(), await newKey(), await newKey()] as const
    const standing = await repository.refreshToPublish()
    const wanted = { keys: next.map(({ key }) => key), threshold: 2 }
    const edits = await editsFor(standing, { targets: wanted }, new Map(), { clock })
    const unsigned = await proposalOf(standing, edits, { repository: REPO, roots })
    const made = openProposal(encodeProposal(unsigned.proposal), 'made')
    t.equal(made.fingerprint, unsigned.fingerprint, 'what is written is read the same')
    t.equal(made.companions.length, tags > 1000 ? 2 + 64 : 1)
    t.ok(made.proposal.words.includes(`targets 3 gives team the keys that targets has then`))
    t.equal(
      made.proposal.words.some((line) => line.includes('theirs')),
      false,
      'another role keeps its keys',
    )
    t.equal(made.proposal.words.includes('bins 2 gives the bins bin the keys that targets has then'), tags > 1000)

    const one = await signedBy(await signedBy(made, ROOT, root), undefined, next[0])
    const missing = tallyOf(one).filter((tally) => !isMet(tally))
    t.equal(missing.length, made.companions.length, 'one of two is too few, also for bins')
    const both = await signedBy(one, undefined, next[2])
    t.ok(tallyOf(both).every(isMet))
    await publish(Object.fromEntries(both.proposal.next))
    for (const tag of ['v0', `v${tags - 1}`]) t.ok(await repository.find(tag), tag)
    const after = await repository.refresh()
    t.equal(authorityOf(after.root, TARGETS).role.threshold, 2)
    t.equal(delegationTo(after.targets, TEAM)?.threshold, 2, 'a role that asked for as many keys as targets goes on so')
    t.same(
      delegationTo(after.targets, TEAM)?.keyids,
      wanted.keys.map(({ id }) => id),
    )
  })
}

await t.test('what is signed by enough of the new keys already stays as it is', async (t) => {
  const { repository, publish, root, targets, now, clock, roots } = await published(t, 3)
  const other = await newKey()
  const wanted = { keys: [targets.key, other.key], threshold: 1 }

  await t.test('unless another role is under the very keys of targets, which would be left behind', async (t) => {
    const standing = await repository.refreshToPublish()
    const edits = await editsFor(standing, { targets: wanted }, new Map(), { clock })
    t.same(
      edits.map(({ role }) => role),
      [ROOT, TARGETS],
    )
  })
  const before = (await repository.refreshToPublish()).targets
  await publish({ targets: await signFile(nextTargets(before, { delegations: null }, context(now)), targets) })
  const standing = await repository.refreshToPublish()
  const edits = await editsFor(standing, { targets: wanted }, new Map(), { clock })
  t.same(
    edits.map(({ role }) => role),
    [ROOT],
  )
  const made = await proposalOf(standing, edits, { repository: REPO, roots })
  t.ok(made.proposal.words.includes('targets 3 stays: enough of the keys it has then have signed it'))
  const signed = await signedBy(made, ROOT, root)

  await t.test('and is made anew after all, where the keys that leave published since', async (t) => {
    const replaced = await editsFor(standing, { targets: { keys: [other.key], threshold: 1 } }, new Map(), { clock })
    t.same(
      replaced.map(({ role }) => role),
      [ROOT, TARGETS],
    )
    const again = await refreshed(signed, standing, { clock })
    t.equal(again.fingerprint, signed.fingerprint, 'and not, where nothing changed')
  })
  await publish(Object.fromEntries(signed.proposal.next))
  const after = await repository.refresh()
  t.same(await companionsFor(after, after.root, { clock }), [], 'nothing is left to do')
  t.ok(await repository.find('v0'))
  const bytes: Targets = after.targets
  t.equal(bytes.version, 3)
})
