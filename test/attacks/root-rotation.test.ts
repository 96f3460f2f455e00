/** A new root must be signed by the old root's threshold and by its own, and be exactly the next version. */
import t from 'tap'
import { ROOT, version } from '../../tuf/index.ts'
import type { Root } from '../../tuf/index.ts'
import { refuseAll } from '../support/attack-lab.ts'
import { signingKey } from '../support/signing-key.ts'
import type { SigningKey } from '../support/signing-key.ts'
import type { Simulator } from '../support/simulator.ts'

const THIEF = signingKey()

/** The next root, naming the thief's key, signed by whom the case says; served under the next version's name. */
function forge(
  simulator: Simulator,
  signers: (honest: readonly SigningKey[]) => readonly SigningKey[],
  change: Partial<Root> = {},
): void {
  const honest = simulator.signers.get(ROOT) ?? []
  const real = new Map(simulator.files)
  const root = simulator.publishRoot({ root: [THIEF] })
  const bytes = simulator.seal({ ...root, ...change }, signers(honest))
  simulator.files.clear()
  for (const [name, file] of real) simulator.files.set(name, file)
  simulator.files.set('3.root.json', bytes)
}
const mend = (simulator: Simulator) => simulator.files.delete('3.root.json')

await refuseAll(t, {
  'a root that only the new key signed': {
    attack: (simulator) => forge(simulator, () => [THIEF]),
    code: 'THRESHOLD',
    after: mend,
  },
  'a root that only the old key signed': {
    attack: (simulator) => forge(simulator, (honest) => honest),
    code: 'THRESHOLD',
    libraryOnly: true,
    after: mend,
  },
  'a root that nobody signed': {
    attack: (simulator) => forge(simulator, () => []),
    code: 'THRESHOLD',
    libraryOnly: true,
    after: mend,
  },
  'a root that skips a version': {
    attack: (simulator) => forge(simulator, (honest) => [...honest, THIEF], { version: version(4) }),
    code: 'VERSION_MISMATCH',
    libraryOnly: true,
    after: mend,
  },
  'the root of now under the name of the next': {
    attack: (simulator) => simulator.files.set('3.root.json', simulator.file('2.root.json')),
    code: 'ROLLBACK',
    after: mend,
  },
  'one of two old signatures, though the new threshold is one': {
    options: { keys: { root: [signingKey(), signingKey()] }, thresholds: { root: 2 } },
    attack: (simulator) => forge(simulator, ([first]) => [...(first === undefined ? [] : [first]), THIEF]),
    code: 'THRESHOLD',
    libraryOnly: true,
    after: mend,
  },
})
