/** Whoever approves is shown all that a next file changes, or it is refused. */
import t from 'tap'
import { changesOf } from '../../../client/proposals/changes.ts'
import {
  firstTargets,
  nextTargets,
  REPOSITORY_FIELD,
  roleName,
  TARGETS,
  threshold,
  tufCodec,
  withDelegation,
} from '../../../tuf/index.ts'
import type { Delegations, Targets } from '../../../tuf/index.ts'
import { signingKey } from '../../support/signing-key.ts'

const REPO = 'registry.example.com/team/app'
const OWNER = signingKey()
const context = { codec: tufCodec, expires: Date.UTC(2030, 0, 1) }
const BINS: Delegations = {
  keys: new Map([[OWNER.id, OWNER.public]]),
  roles: [],
  succinct: { keyids: [OWNER.id], threshold: threshold(1), bitLength: 4, namePrefix: 'bin', unknown: new Map() },
  unknown: new Map(),
}
const TEAM = { name: roleName('team'), keys: [OWNER.public], threshold: 1, terminating: false }
const published: Targets = {
  ...firstTargets({ delegations: BINS }, context),
  unknown: new Map([[REPOSITORY_FIELD, REPO]]),
}

const CASES: Readonly<Record<string, Delegations | null>> = {
  'with all delegations': null,
  'with an empty list of roles in their place': { keys: new Map(), roles: [], unknown: new Map() },
  'with a role in their place': withDelegation(undefined, { ...TEAM, scope: { kind: 'paths', paths: ['t-*'] } }),
}

for (const [name, delegations] of Object.entries(CASES)) {
  await t.test(`refuses what takes hash bins, and every tag in them, away ${name}`, async (t) => {
    const next = nextTargets(published, { delegations }, context)
    const refuse = (why: string): never => {
      throw new Error(why)
    }
    const subject = { role: TARGETS, published, next, payload: tufCodec.encode(next), repository: REPO }
    t.throws(() => changesOf({ ...subject, codec: tufCodec, refuse }), { message: 'it takes the hash bins away' })
  })
}
