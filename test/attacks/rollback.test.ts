/** Older files that were all signed once: no role may go back, whichever of them is shown again. */
import t from 'tap'
import { nextTargets, ROOT, roleName, TARGETS, version } from '../../tuf/index.ts'
import { refuseAll } from '../support/attack-lab.ts'
import { changeRoot, context, setTag, signFile, signRoot, signTargets } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import type { Scene } from '../support/upload-lab.ts'
import { targetOf, type Simulator } from '../support/simulator.ts'

const TEAM = roleName('team')

let old: ReadonlyMap<string, Uint8Array> = new Map()
const remember = (simulator: Simulator) => {
  old = new Map(simulator.files)
  simulator.sign({ '1.0': targetOf('two') })
}
const replay =
  (...names: readonly string[]) =>
  (simulator: Simulator) => {
    for (const name of names) simulator.files.set(name, old.get(name) ?? new Uint8Array())
  }
const listAt = (role: typeof TARGETS, at: number) => (simulator: Simulator) => {
  simulator.publishSnapshot((body) => {
    const listed = body.meta.get(role)
    return { ...body, meta: new Map([...body.meta, [role, { unknown: new Map(), ...listed, version: version(at) }]]) }
  })
  simulator.publishTimestamp()
}
const mend = (simulator: Simulator) => simulator.release()

await refuseAll(t, {
  'the timestamp of yesterday': { before: remember, attack: replay('timestamp.json'), code: 'ROLLBACK', after: mend },
  'the whole repository as it was yesterday': {
    before: remember,
    attack: (simulator) => {
      simulator.files.clear()
      for (const [name, bytes] of old) simulator.files.set(name, bytes)
    },
    code: 'ROLLBACK',
    libraryOnly: true,
  },
  'a new timestamp that announces an older snapshot': {
    before: remember,
    attack: (simulator) =>
      simulator.publishTimestamp((body) => ({ ...body, snapshot: { ...body.snapshot, version: version(2) } })),
    code: 'ROLLBACK',
    libraryOnly: true,
    after: mend,
  },
  'a new snapshot that lists older targets': {
    before: remember,
    attack: listAt(TARGETS, 2),
    code: 'ROLLBACK',
    stores: ['timestamp.json'],
    after: mend,
  },
  'a new snapshot that lists an older delegated role': {
    before: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
      simulator.sign({ 'team-1': targetOf('a') }, TEAM)
      simulator.sign({ 'team-1': targetOf('b') }, TEAM)
    },
    attack: listAt(TEAM, 1),
    code: 'ROLLBACK',
    stores: ['timestamp.json'],
    libraryOnly: true,
    after: mend,
  },
  'a new snapshot from which a role is gone': {
    before: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
      simulator.sign({ 'team-1': targetOf('a') }, TEAM)
    },
    attack: (simulator) => simulator.unlist(TEAM),
    code: 'ROLE_DISAPPEARED',
    stores: ['timestamp.json'],
    libraryOnly: true,
    after: mend,
  },
  'a root chain that became shorter': {
    before: (simulator) => simulator.publishRoot(),
    attack: (simulator) => {
      simulator.files.delete('3.root.json')
      simulator.files.set('root.json', simulator.file('2.root.json'))
    },
    wipe: ['root.json'],
    code: 'ROLLBACK',
    libraryOnly: true,
  },
})

/** Publishes version 2 of both, honestly. */
async function grown(scene: Scene): Promise<void> {
  const { server, owner, now, repository } = scene
  changeRoot(owner, now, {})
  setTag(owner, now, 'x', 'x')
  const files = { root: await signRoot(owner), targets: await signTargets(owner) }
  const answer = await server.publish(files, { repository })
  if (answer.statusCode !== 200) throw new Error(answer.body)
}
await refuseUploads(t, {
  'targets of yesterday once more': {
    send: async (scene) => {
      const yesterday = await signTargets(scene.owner)
      await grown(scene)
      return { targets: yesterday }
    },
    code: 'VERSION',
  },
  'the root of yesterday once more': {
    send: async (scene) => {
      const yesterday = await signRoot(scene.owner)
      await grown(scene)
      return { root: yesterday }
    },
    code: 'VERSION',
  },
  'other targets under the version that is there': {
    send: async (scene) => {
      const { owner, now } = scene
      const other = nextTargets(owner.targets, {}, context(now))
      await grown(scene)
      return { targets: await signFile(other, owner.targetsKey) }
    },
    code: 'VERSION',
  },
  'another root under the version that is there': {
    send: async (scene) => {
      const { owner, now } = scene
      await grown(scene)
      return { root: await signFile({ ...owner.root, unknown: new Map([[ROOT, now]]) }, owner.rootKey) }
    },
    code: 'VERSION',
  },
})
