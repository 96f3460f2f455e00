/** Files that are each signed, and do not belong together. */
import t from 'tap'
import { roleName, SNAPSHOT, TARGETS, version } from '../../tuf/index.ts'
import { refuseAll, until } from '../support/attack-lab.ts'
import { DAY, targetOf } from '../support/simulator.ts'

const TEAM = roleName('team')

await refuseAll(t, {
  'targets 2 under the name of targets 3': {
    attack: (simulator) => {
      simulator.sign({ '1.0': targetOf('two') })
      simulator.files.set('3.targets.json', simulator.file('2.targets.json'))
    },
    code: 'VERSION_MISMATCH',
    stores: ['timestamp.json', 'snapshot.json'],
    after: (simulator) => simulator.sign({ '1.0': targetOf('three') }),
  },
  'an older snapshot under the name of the new one': {
    attack: (simulator) => {
      simulator.release()
      simulator.files.set('3.snapshot.json', simulator.file('2.snapshot.json'))
    },
    code: 'HASH_MISMATCH',
    libraryOnly: true,
    stores: ['timestamp.json'],
    after: (simulator) => simulator.release(),
  },
  'another snapshot of the announced version and length': {
    attack: (simulator) => {
      simulator.release()
      const other = until(simulator.snapshot, simulator.snapshot.expires - DAY)
      const bytes = simulator.seal(other, simulator.signers.get(SNAPSHOT) ?? [])
      simulator.files.set('3.snapshot.json', bytes)
    },
    code: 'HASH_MISMATCH',
    stores: ['timestamp.json'],
    libraryOnly: true,
  },
  'targets with a hash other than the snapshot lists': {
    attack: (simulator) => {
      simulator.publishTargets({ set: new Map([['1.0', targetOf('two')]]) })
      simulator.publishSnapshot((body) => ({
        ...body,
        meta: new Map([
          [TARGETS, { version: version(3), hashes: new Map([['sha256', '0'.repeat(64)]]), unknown: new Map() }],
        ]),
      }))
      simulator.publishTimestamp()
    },
    code: 'HASH_MISMATCH',
    stores: ['timestamp.json', 'snapshot.json'],
    libraryOnly: true,
  },
  'targets longer than the snapshot lists': {
    attack: (simulator) => {
      simulator.publishTargets({ set: new Map([['1.0', targetOf('two')]]) })
      simulator.publishSnapshot((body) => ({
        ...body,
        meta: new Map([[TARGETS, { version: version(3), length: 20, unknown: new Map() }]]),
      }))
      simulator.publishTimestamp()
    },
    code: 'TOO_LARGE',
    stores: ['timestamp.json', 'snapshot.json'],
    libraryOnly: true,
  },
  'a delegated role older than the snapshot lists': {
    before: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
      simulator.sign({ 'team-1': targetOf('a') }, TEAM)
    },
    attack: (simulator) => {
      simulator.sign({ 'team-1': targetOf('b') }, TEAM)
      simulator.files.set('2.team.json', simulator.file('1.team.json'))
    },
    tag: 'team-1',
    code: 'VERSION_MISMATCH',
    libraryOnly: true,
    stores: ['timestamp.json', 'snapshot.json', 'targets.json'],
  },
  'a delegated role with a hash other than the snapshot lists': {
    before: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
      simulator.sign({ 'team-1': targetOf('a') }, TEAM)
    },
    attack: (simulator) => {
      simulator.publishTargets({}, TEAM)
      simulator.publishSnapshot((body) => ({
        ...body,
        meta: new Map([
          ...body.meta,
          [TEAM, { version: version(2), hashes: new Map([['sha256', '0'.repeat(64)]]), unknown: new Map() }],
        ]),
      }))
      simulator.publishTimestamp()
    },
    tag: 'team-1',
    code: 'HASH_MISMATCH',
    stores: ['timestamp.json', 'snapshot.json'],
    libraryOnly: true,
  },
})
