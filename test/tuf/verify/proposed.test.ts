/** Who may sign what of a proposal, what of it is junk, and what it is called. */
import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  REPOSITORY_FIELD,
  TARGETS,
  TIMESTAMP,
  SNAPSHOT,
  ROOT,
  firstRoot,
  firstTargets,
  judgeProposal,
  likenessOf,
  missingSigners,
  nextTargets,
  proposalId,
  roleName,
  signersOf,
  succinctBins,
  tufCodec,
  withDelegation,
} from '../../../tuf/index.ts'
import type { Authority, Limits, ProposalGround, RoleName, Targets } from '../../../tuf/index.ts'
import { NOW } from '../../support/simulator.ts'
import { renamed, signingKey } from '../../support/signing-key.ts'
import type { SigningKey } from '../../support/signing-key.ts'

const [ALICE, BOB, CAROL, EVE] = [signingKey(), signingKey(), signingKey(), signingKey()]
const [TEAM, BELOW, BINS, BIN] = ['team', 'team/below', 'bins', 'bin-2'].map(roleName) as [
  RoleName,
  RoleName,
  RoleName,
  RoleName,
]
const REPO = 'registry.example.com/team/app'
const MAKING = { codec: tufCodec, expires: NOW + 1000 }
const set = (threshold: number, ...keys: readonly SigningKey[]) => ({ keys: keys.map((key) => key.public), threshold })
const delegated = (name: RoleName, keys: ReturnType<typeof set>) => ({
  ...keys,
  name,
  scope: { kind: 'paths' as const, paths: ['*'] },
  terminating: false,
})

const ROOT_1 = firstRoot(
  {
    root: set(1, EVE),
    targets: set(2, ALICE, BOB),
    snapshot: set(1, EVE),
    timestamp: set(1, EVE),
  },
  MAKING,
  new Map([[REPOSITORY_FIELD, REPO]]),
)
const TARGETS_1 = firstTargets(
  {
    delegations: withDelegation(
      withDelegation(undefined, delegated(TEAM, set(1, CAROL))),
      delegated(BINS, set(2, ALICE, BOB)),
    ),
  },
  MAKING,
)
const TEAM_1 = firstTargets({ delegations: withDelegation(undefined, delegated(BELOW, set(1, EVE))) }, MAKING)
const BINS_1 = firstTargets({ delegations: succinctBins(set(2, ALICE, BOB), 2, 'bin') }, MAKING)
const PUBLISHED = new Map<RoleName, { body: Targets; by: readonly SigningKey[] }>([
  [TARGETS, { body: TARGETS_1, by: [ALICE, BOB] }],
  [TEAM, { body: TEAM_1, by: [CAROL] }],
  [BINS, { body: BINS_1, by: [ALICE, BOB] }],
])

function fileOf(body: Targets, ...keys: readonly SigningKey[]): Uint8Array {
  const payload = tufCodec.encode(body)
  const signatures = keys.map((key) => ({ keyid: key.id, sig: key.sign(payload), unknown: new Map() }))
  return tufCodec.assemble(body, signatures)
}

function ground(limits: Partial<Limits> = {}): ProposalGround {
  const suite = nativeSuite
  const published = (authority: Authority) => {
    const found = PUBLISHED.get(authority.name)
    const signed =
      found && tufCodec.decode('targets', fileOf(found.body, ...found.by), { suite, limits: DEFAULT_LIMITS })
    return signed && signersOf(authority, signed, suite).size >= authority.role.threshold ? signed.body : undefined
  }
  const all = { ...DEFAULT_LIMITS, ...limits }
  return { codec: tufCodec, suite, limits: all, now: NOW, root: ROOT_1, published, delegators: [TARGETS, TEAM, BINS] }
}

const next = (body: Targets, change: Parameters<typeof nextTargets>[1] = {}) => nextTargets(body, change, MAKING)
const first = (change: Parameters<typeof nextTargets>[1] = {}) => firstTargets(change, MAKING)
const handed = withDelegation(TARGETS_1.delegations, delegated(TEAM, set(1, EVE)))

type Case = {
  readonly files: Readonly<Record<string, Uint8Array>>
  /** How many signatures each file still needs. */
  readonly missing?: Readonly<Record<string, number>>
  readonly limits?: Partial<Limits>
  readonly refused?: string
}
const CASES: Record<string, Case> = {
  'targets that one of two has signed': { files: { targets: fileOf(next(TARGETS_1), ALICE) }, missing: { targets: 1 } },
  'targets that both have signed': { files: { targets: fileOf(next(TARGETS_1), ALICE, BOB) }, missing: { targets: 0 } },
  'a role whose only key has signed': { files: { team: fileOf(next(TEAM_1), CAROL) }, missing: { team: 0 } },
  'a role below a published role': { files: { 'team/below': fileOf(first(), EVE) }, missing: { 'team/below': 0 } },
  'a bin that is there for the first time': { files: { 'bin-2': fileOf(first(), BOB) }, missing: { 'bin-2': 1 } },
  'a role under the keys that the proposal gives it': {
    files: { targets: fileOf(next(TARGETS_1, { delegations: handed }), ALICE), team: fileOf(first(), EVE) },
    missing: { targets: 1, team: 0 },
  },
  'a role under the keys that the proposal takes from it': {
    files: { targets: fileOf(next(TARGETS_1, { delegations: handed }), ALICE), team: fileOf(next(TEAM_1), CAROL) },
    refused: 'THRESHOLD',
  },
  'a role below one whose published file counts no more': {
    files: { targets: fileOf(next(TARGETS_1, { delegations: handed }), ALICE), 'team/below': fileOf(first(), EVE) },
    refused: 'ROLE_NOT_LISTED',
  },
  'a file without a signature': { files: { targets: fileOf(next(TARGETS_1)) }, refused: 'THRESHOLD' },
  "a file with a stranger's signature": { files: { targets: fileOf(next(TARGETS_1), EVE) }, refused: 'THRESHOLD' },
  'one key under two ids as one': {
    files: { targets: fileOf(next(TARGETS_1), ALICE, renamed(ALICE, 'again')) },
    missing: { targets: 1 },
  },
  'a role that nobody delegates to': { files: { nobody: fileOf(first(), ALICE) }, refused: 'ROLE_NOT_LISTED' },
  'a file for another repository': {
    files: { targets: fileOf({ ...next(TARGETS_1), unknown: new Map([[REPOSITORY_FIELD, 'elsewhere']]) }, ALICE) },
    refused: 'OTHER_REPOSITORY',
  },
  'a file that expired this very moment': {
    files: { targets: fileOf(nextTargets(TARGETS_1, {}, { ...MAKING, expires: NOW }), ALICE) },
    refused: 'EXPIRED',
  },
  'a file above the limit': {
    files: { targets: fileOf(next(TARGETS_1), ALICE) },
    limits: { targets: 100 },
    refused: 'TOO_LARGE',
  },
  'a file of another kind': {
    files: { targets: Buffer.from(fileOf(next(TARGETS_1), ALICE)).fill('x', 0, 1) },
    refused: 'MALFORMED',
  },
}
for (const [name, { files, missing, limits, refused }] of Object.entries(CASES)) {
  await t.test(`${refused === undefined ? 'takes' : 'refuses'} ${name}`, async (t) => {
    const judge = () =>
      judgeProposal(ground(limits), new Map(Object.entries(files).map(([role, bytes]) => [roleName(role), bytes])))
    if (refused !== undefined) {
      t.throws(judge, { name: 'TrustError', code: refused })
      return
    }
    const judged = [...judge()].map(([role, file]) => [role, missingSigners(file)] as const)
    t.same(Object.fromEntries(judged), missing)
  })
}

await t.test('each file comes with what it follows and whose word counts', async (t) => {
  const files = new Map([
    [TARGETS, fileOf(next(TARGETS_1, { delegations: handed }), ALICE)],
    [TEAM, fileOf(first(), EVE)],
    [BIN, fileOf(first(), ALICE)],
  ])
  const judged = judgeProposal(ground(), files)
  t.equal(judged.get(TARGETS)?.published?.version, 1)
  t.equal(judged.get(TEAM)?.published, undefined, 'its old keys say nothing any more')
  t.same(judged.get(TEAM)?.authority.role.keyids, [EVE.id])
  t.same(judged.get(BIN)?.authority.role.keyids, [ALICE.id, BOB.id])
})

await t.test('a proposal is called by its repository, its roles and their bytes', async (t) => {
  const [a, b] = [Buffer.from('a'), Buffer.from('b')]
  const named = (repository: string, ...files: readonly (readonly [RoleName, Uint8Array])[]) =>
    proposalId(repository, new Map(files), nativeSuite)
  const id = named(REPO, [TARGETS, a], [TEAM, b])
  t.match(id, /^[0-9a-f]{32}$/)
  t.equal(named(REPO, [TEAM, b], [TARGETS, a]), id, 'in any order')
  const others = [
    named(`${REPO}x`, [TARGETS, a], [TEAM, b]),
    named(REPO, [TARGETS, b], [TEAM, a]),
    named(REPO, [TARGETS, a], [BELOW, b]),
    named(REPO, [TARGETS, a]),
  ]
  t.equal(new Set([id, ...others]).size, 5)
})

await t.test('proposals are alike that differ in when their files expire alone', async (t) => {
  const like = (body: Targets) => likenessOf(REPO, new Map([[TARGETS, body]]), { codec: tufCodec, suite: nativeSuite })
  const body = next(TARGETS_1)
  t.equal(like(nextTargets(TARGETS_1, {}, { ...MAKING, expires: NOW + 9_000_000 })), like(body))
  t.not(like(next(body)), like(body), 'the version counts')
  t.not(like(next(TARGETS_1, { delegations: null })), like(body))
})

for (const role of [ROOT, SNAPSHOT, TIMESTAMP]) {
  await t.test(`${role} is nothing to propose`, async (t) => {
    const files = new Map([[role, fileOf(first(), EVE)]])
    t.throws(() => judgeProposal(ground(), files), { code: 'ROLE_NOT_LISTED' })
  })
}
