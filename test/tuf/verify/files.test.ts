import t from 'tap'
import {
  DEFAULT_LIMITS,
  SNAPSHOT,
  TARGETS,
  fileName,
  roleName,
  rootFile,
  snapshotFile,
  targetsFile,
  timestampFile,
} from '../../../tuf/index.ts'
import { snapshotted, timestamped } from '../../support/refresh.ts'
import { Simulator } from '../../support/simulator.ts'

const FILE_NAMES: readonly (readonly [role: string, file: string])[] = [
  ['targets', 'targets.json'],
  ['targets/releases', 'targets%2Freleases.json'],
  ['../x', '..%2Fx.json'],
  ['..', '...json'],
  ['.', '..json'],
  ['/etc/passwd', '%2Fetc%2Fpasswd.json'],
  ['a\\b', 'a%5Cb.json'],
  ['%2e%2e', '%252e%252e.json'],
  ['a b', 'a%20b.json'],
  ['?#', '%3F%23.json'],
  ["!'()*", '%21%27%28%29%2A.json'],
  ['é😀', '%C3%A9%F0%9F%98%80.json'],
  ['a\u0000b', 'a%00b.json'],
  ['__proto__', '__proto__.json'],
  ['-_.~', '-_.~.json'],
  ['half \ud800', 'half%20%EF%BF%BD.json'],
]
for (const [role, file] of FILE_NAMES) {
  await t.test(`${JSON.stringify(role)} is one name in a folder or URL`, async (t) => {
    t.equal(fileName(roleName(role)), file)
    t.notMatch(file, /[/\\?#]/)
  })
}

await t.test('consistent repositories put the version in front, others do not', async (t) => {
  const consistent = new Simulator()
  consistent.release()
  t.equal(snapshotFile(timestamped(consistent)).name, '2.snapshot.json')
  t.equal(targetsFile(snapshotted(consistent), TARGETS).name, '1.targets.json')
  const plain = new Simulator({ consistent: false })
  plain.release()
  t.equal(snapshotFile(timestamped(plain)).name, 'snapshot.json')
  t.equal(targetsFile(snapshotted(plain), TARGETS).name, 'targets.json')
})

await t.test('roots are always numbered, timestamps never', async (t) => {
  t.equal(rootFile(7), '7.root.json')
  t.equal(timestampFile(), 'timestamp.json')
})

await t.test('a file may be as long as listed, but never longer than the limit', async (t) => {
  const repository = new Simulator()
  const trust = timestamped(repository)
  t.equal(snapshotFile(trust).maxBytes, repository.newest(SNAPSHOT).length)
  t.equal(snapshotFile({ ...trust, limits: { ...DEFAULT_LIMITS, snapshot: 5 } }).maxBytes, 5)
  t.equal(targetsFile(snapshotted(repository), TARGETS).maxBytes, DEFAULT_LIMITS.targets)
})

await t.test('there is no file of a role that is not listed', async (t) => {
  t.throws(() => targetsFile(snapshotted(new Simulator()), roleName('team')), { code: 'ROLE_NOT_LISTED' })
})
