import t from 'tap'
import { notaryCodec, firstTargets, nextSnapshot, roleName, version } from '../../../tuf/index.ts'
import { aboveFloors, raiseFloors } from '../../../client/publish/floors.ts'
import type { Floors } from '../../../client/publish/floors.ts'

const TEAM = roleName('targets/team')
const OTHER = roleName('targets/other')
const CONTEXT = { codec: notaryCodec, expires: Date.UTC(2029, 1, 1) }
const NOTHING = { snapshot: nextSnapshot(undefined, new Map(), CONTEXT) }
const EDITS = [{ role: TEAM, body: firstTargets({}, CONTEXT), authorities: [] }]

const LISTED = {
  snapshot: {
    ...nextSnapshot(undefined, new Map(), CONTEXT),
    meta: new Map([[TEAM, { version: version(1), unknown: new Map() }]]),
  },
}

/** The versions that are tried until one is above what the server remembers. */
function tries(remembered: number, tell: boolean): number[] {
  const floors: Floors = new Map()
  const tried: number[] = []
  while (tried.length < 30) {
    const edits = aboveFloors(EDITS, floors)
    const got = edits[0]?.body.version ?? 0
    tried.push(got)
    if (got > remembered) break
    raiseFloors(floors, edits, NOTHING, { kind: 'conflict', role: undefined, current: tell ? remembered : undefined })
  }
  return tried
}

await t.test('a role that begins anew', async (t) => {
  await t.test('begins at 1 where nobody remembers it', async (t) => t.same(tries(0, false), [1]))
  await t.test('goes on from what the server says', async (t) => t.same(tries(41, true), [1, 42]))
  await t.test('finds a version by itself where the server does not say', async (t) => {
    t.same(tries(41, false), [1, 2, 4, 8, 16, 32, 64])
  })
  await t.test('is not driven to the end of all versions', async (t) => {
    t.equal(Math.max(...tries(2 ** 31, true)), 2 ** 20 + 1)
  })
})

await t.test('other roles stay as they are', async (t) => {
  const floors: Floors = new Map()
  const conflict = { kind: 'conflict', current: 7 } as const
  await t.test('where the conflict is about another', async (t) => {
    raiseFloors(floors, EDITS, NOTHING, { ...conflict, role: OTHER })
    t.same(aboveFloors(EDITS, floors), EDITS)
  })
  await t.test('where the snapshot lists them, and so tells their version', async (t) => {
    for (const told of [
      { role: TEAM, current: 0 },
      { role: TEAM, current: undefined },
      { role: undefined, current: 7 },
    ]) {
      raiseFloors(floors, EDITS, LISTED, { kind: 'conflict', ...told })
    }
    t.equal(floors.size, 0)
  })
})

await t.test('a listed role goes on above what a restored server says that it lost', async (t) => {
  const floors: Floors = new Map()
  raiseFloors(floors, EDITS, LISTED, { kind: 'conflict', role: TEAM, current: 7 })
  t.equal(aboveFloors(EDITS, floors)[0]?.body.version, 8)
})
