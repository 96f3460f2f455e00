/** Nothing new is shown: what has expired is refused, in every role, and an error is no end of the root chain. */
import t from 'tap'
import { TARGETS } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { refuseAll, until } from '../support/attack-lab.ts'
import type { Attack } from '../support/attack-lab.ts'
import { DIALECTS } from '../support/dialects.ts'
import { DAY, targetOf } from '../support/simulator.ts'

const past = () => Date.now() - 1000

const attacks = (TEAM: RoleName): Record<string, Attack> => ({
  'a timestamp that has expired': {
    attack: (simulator) => simulator.publishTimestamp((body) => until(body, past())),
    code: 'EXPIRED',
    after: (simulator) => simulator.release(),
  },
  'a repository that stands still for two days': {
    attack: () => {},
    library: { clock: () => Date.now() + 2 * DAY },
    code: 'EXPIRED',
    libraryOnly: true,
  },
  'a snapshot that has expired': {
    attack: (simulator) => {
      simulator.publishSnapshot((body) => until(body, past()))
      simulator.publishTimestamp()
    },
    code: 'EXPIRED',
    stores: ['timestamp.json'],
    libraryOnly: true,
    after: (simulator) => simulator.release(),
  },
  'targets that have expired': {
    attack: (simulator) => {
      simulator.publishTargets({}, TARGETS, (body) => until(body, past()))
      simulator.release()
    },
    code: 'EXPIRED',
    libraryOnly: true,
    stores: ['timestamp.json', 'snapshot.json'],
    after: (simulator) => {
      simulator.publishTargets()
      simulator.release()
    },
  },
  'a last root that has expired': {
    attack: (simulator) => simulator.publishRoot({}, { twist: (body) => until(body, past()) }),
    code: 'EXPIRED',
    stores: ['root.json'],
    after: (simulator) => {
      simulator.publishRoot()
      simulator.release()
    },
  },
  'a delegated role that has expired': {
    before: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
      simulator.sign({ 'team-1': targetOf('a') }, TEAM)
    },
    attack: (simulator) => {
      simulator.publishTargets({}, TEAM, (body) => until(body, past()))
      simulator.release()
    },
    tag: 'team-1',
    code: 'EXPIRED',
    libraryOnly: true,
    stores: ['timestamp.json', 'snapshot.json'],
  },
  'a server error where the next root would be': {
    attack: (_, lab) => {
      lab.interfere = (file, response) => {
        if (!file.endsWith('.root.json')) return false
        response.writeHead(500).end()
        return true
      }
    },
    code: 'SERVER_ERROR',
    exit: 3,
    after: (_, lab) => void (lab.interfere = () => false),
  },
  'an answer of 410 where the next root would be': {
    attack: (_, lab) => {
      lab.interfere = (file, response) => {
        if (!file.endsWith('.root.json')) return false
        response.writeHead(410).end()
        return true
      }
    },
    code: 'SERVER_ERROR',
    libraryOnly: true,
  },
  'a timestamp that is withheld': {
    attack: (simulator) => simulator.files.delete('timestamp.json'),
    code: 'NO_TRUST_DATA',
    exit: 1,
  },
})

for (const [dialect, { options, team }] of Object.entries(DIALECTS)) {
  await t.test(dialect, async (t) => {
    const cases = Object.entries(attacks(team)).map(([name, attack]) => [name, { ...attack, options }] as const)
    await refuseAll(t, Object.fromEntries(cases))
  })
}
