/** Files with signatures by the thousand, each of which would cost a verification. */
import t from 'tap'
import { openLab, refuseAll } from '../support/attack-lab.ts'
import { changeRoot, setTag, signRoot, signTargets } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import type { Simulator } from '../support/simulator.ts'

/** So many signatures by keys that do not exist, before the good one. */
function stuff(file: Uint8Array, count: number, same = false): Uint8Array {
  const junk = Array.from({ length: count }, (_, i) => {
    return { keyid: (same ? 0 : i).toString(16).padStart(64, '0'), sig: '00'.repeat(64) }
  })
  const text = JSON.stringify(junk).slice(1, -1)
  return Buffer.from(Buffer.from(file).toString().replace('"signatures":[', `"signatures":[${text},`))
}
const mend = (simulator: Simulator) => {
  simulator.files.delete('3.root.json')
  simulator.release()
}

await refuseAll(t, {
  'a root with two thousand signatures': {
    attack: (simulator) => {
      simulator.publishRoot()
      simulator.files.set('3.root.json', stuff(simulator.file('3.root.json'), 2000))
    },
    code: 'MALFORMED',
    after: mend,
  },
  'a root with one signature more than are ever read': {
    attack: (simulator) => {
      simulator.publishRoot()
      simulator.files.set('3.root.json', stuff(simulator.file('3.root.json'), 1024))
    },
    code: 'MALFORMED',
    libraryOnly: true,
    after: mend,
  },
  'a timestamp with a thousand signatures, which is too long': {
    attack: (simulator) => simulator.files.set('timestamp.json', stuff(simulator.file('timestamp.json'), 1000)),
    code: 'TOO_LARGE',
    libraryOnly: true,
    after: mend,
  },
  'targets with a hundred thousand signatures': {
    attack: (simulator) => {
      simulator.publishTargets()
      simulator.files.set('3.targets.json', stuff(simulator.file('3.targets.json'), 100_000))
      simulator.release()
    },
    code: 'MALFORMED',
    stores: ['timestamp.json', 'snapshot.json'],
    libraryOnly: true,
  },
  'a timestamp with one key id in its signatures twice': {
    attack: (simulator) => simulator.files.set('timestamp.json', stuff(simulator.file('timestamp.json'), 2, true)),
    code: 'MALFORMED',
    libraryOnly: true,
    after: mend,
  },
})

await t.test('a root with as many signatures as are read costs no more than reading them', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  lab.simulator.publishRoot()
  lab.simulator.files.set('3.root.json', stuff(lab.simulator.file('3.root.json'), 1023))
  await t.resolves(lab.library(), 'signatures by keys that the role does not list are not verified at all')
})

await refuseUploads(t, {
  'a root with two thousand signatures': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, {})
      return { root: stuff(await signRoot(owner), 2000) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'targets with a hundred thousand signatures': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      return { targets: stuff(await signTargets(owner), 100_000) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
})
