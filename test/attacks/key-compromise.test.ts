/** Keys are stolen. Each gives its thief no more than its role may say, and only until it is rotated away. */
import t from 'tap'
import { nextTargets, roleName, ROOT, SNAPSHOT, TARGETS, TIMESTAMP } from '../../tuf/index.ts'
import { refuseAll } from '../support/attack-lab.ts'
import { changeRoot, context, newKey, setTag, signFile, signRoot, signTargets } from '../server/support/party.ts'
import type { TestKey } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import { signingKey } from '../support/signing-key.ts'
import type { SigningKey } from '../support/signing-key.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

const TEAM = roleName('team')
const ROOTS = [signingKey(), signingKey(), signingKey()] as const
const ONLINE = ['timestamp.json', 'snapshot.json']
const keysOf = (simulator: Simulator, role: typeof ROOT) => simulator.signers.get(role) ?? []

let stolen: readonly SigningKey[] = []
/** The key of targets is stolen, its thief signs an evil tag, and the owner rotates. */
const rotated = (simulator: Simulator) => {
  stolen = keysOf(simulator, TARGETS)
  simulator.publishRoot({ targets: [signingKey()] })
  simulator.sign({ '1.0': targetOf('two') })
}
const honest = (simulator: Simulator) => {
  simulator.signers.set(TARGETS, [signingKey()])
  simulator.publishRoot({ targets: simulator.signers.get(TARGETS) ?? [] })
  simulator.sign({ '1.0': targetOf('three') })
}

await refuseAll(t, {
  'the old key of targets after it was rotated away': {
    before: rotated,
    attack: (simulator) => {
      simulator.signers.set(TARGETS, stolen)
      simulator.sign({ '1.0': targetOf('evil') })
    },
    code: 'THRESHOLD',
    stores: ONLINE,
    after: honest,
  },
  'the thief of the whole server who binds a tag with the online keys': {
    attack: (simulator) => {
      const online = [...keysOf(simulator, SNAPSHOT), ...keysOf(simulator, TIMESTAMP)]
      simulator.signers.set(TARGETS, online)
      simulator.sign({ '1.0': targetOf('evil') })
    },
    code: 'THRESHOLD',
    stores: ONLINE,
    after: honest,
  },
  'the thief of the whole server who gives targets to himself': {
    attack: (simulator) => {
      const online = [...keysOf(simulator, SNAPSHOT), ...keysOf(simulator, TIMESTAMP)]
      const root = simulator.publishRoot({ targets: online })
      simulator.files.set('3.root.json', simulator.seal(root, online))
    },
    code: 'THRESHOLD',
    libraryOnly: true,
  },
  'the thief of the whole server who takes a role away': {
    before: (simulator) => {
      simulator.delegate(TARGETS, TEAM)
      simulator.sign({ 'x-1': targetOf('one') }, TEAM)
    },
    attack: (simulator) => simulator.unlist(TEAM),
    code: 'ROLE_DISAPPEARED',
    stores: ['timestamp.json'],
    libraryOnly: true,
  },
  'the snapshot key used for the timestamp': {
    attack: (simulator) => {
      simulator.signers.set(TIMESTAMP, keysOf(simulator, SNAPSHOT))
      simulator.publishTimestamp()
    },
    code: 'THRESHOLD',
    libraryOnly: true,
  },
  'a timestamp by the old online key after it was rotated away': {
    before: (simulator) => {
      stolen = keysOf(simulator, TIMESTAMP)
      simulator.publishRoot({ timestamp: [signingKey()] })
      simulator.release()
    },
    attack: (simulator) => {
      simulator.signers.set(TIMESTAMP, stolen)
      simulator.publishTimestamp()
    },
    code: 'THRESHOLD',
    libraryOnly: true,
  },
  'the thief of one of three root keys where two must sign': {
    options: { keys: { root: ROOTS }, thresholds: { root: 2 } },
    attack: (simulator) => {
      const root = simulator.publishRoot({ targets: [signingKey()] })
      simulator.files.set('3.root.json', simulator.seal(root, [ROOTS[0]]))
    },
    code: 'THRESHOLD',
    libraryOnly: true,
    after: (simulator) => void simulator.files.delete('3.root.json'),
  },
  'a root by a root key that was rotated away': {
    before: (simulator) => {
      stolen = keysOf(simulator, ROOT)
      simulator.publishRoot({ root: [signingKey()] })
    },
    attack: (simulator) => {
      const root = simulator.publishRoot({ targets: stolen })
      simulator.files.set('4.root.json', simulator.seal(root, stolen))
    },
    code: 'THRESHOLD',
    libraryOnly: true,
    after: (simulator) => void simulator.files.delete('4.root.json'),
  },
  "a team's old key after its delegation was given new ones": {
    before: (simulator) => {
      stolen = simulator.delegate(TARGETS, TEAM)
      simulator.sign({ 'x-1': targetOf('one') }, TEAM)
    },
    attack: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { signers: [signingKey()] })
      simulator.signers.set(TEAM, stolen)
      simulator.sign({ 'x-1': targetOf('evil') }, TEAM)
    },
    tag: 'x-1',
    code: 'THRESHOLD',
    stores: [...ONLINE, 'targets.json'],
    libraryOnly: true,
  },
})

/** A root that takes targets away from its key, and then what the thief of that key sends. */
async function afterRotation({
  server,
  owner,
  now,
  repository,
}: Parameters<Parameters<typeof refuseUploads>[1][string]['send']>[0]): Promise<TestKey> {
  const [old, next] = [owner.targetsKey, await newKey()]
  changeRoot(owner, now, { targets: { keys: [next.key], threshold: 1 } })
  setTag(owner, now, '1.0', '1.0')
  const files = { root: await signRoot(owner), targets: await signTargets({ ...owner, targetsKey: next }) }
  const answer = await server.publish(files, { repository })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return old
}
await refuseUploads(t, {
  'the old key of targets after it was rotated away': {
    send: async (scene) => {
      const old = await afterRotation(scene)
      return { targets: await signFile(nextTargets(scene.owner.targets, {}, context(scene.now)), old) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'new targets keys with targets that only the old key signed': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, { targets: { keys: [(await newKey()).key], threshold: 1 } })
      setTag(owner, now, 'x', 'evil')
      return { root: await signRoot(owner), targets: await signTargets(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'the thief of the targets key who signs a root': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, {})
      return { root: await signFile(owner.root, owner.targetsKey) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
})
