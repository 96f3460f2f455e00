import t from 'tap'
import {
  TARGETS,
  acceptDelegated,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  finishRoot,
  openRoot,
  roleName,
  search,
  snapshotFile,
  targetsFile,
} from '../../tuf/index.ts'
import type { AfterTargets, Found, Judge } from '../../tuf/index.ts'
import { Simulator, targetOf } from '../support/simulator.ts'

await t.test('goes from the first root to a target of a delegated role', async (t) => {
  const repository = new Simulator()
  const releases = roleName('releases')
  repository.delegate(TARGETS, releases)
  repository.publishRoot()
  repository.sign({ '1.4': targetOf('one four') }, releases)

  const trust = refreshed(repository)
  t.equal(trust.root.version, 2)
  const found = lookUp(repository, trust, '1.4')
  t.strictSame(found?.target.hashes, targetOf('one four').hashes)
  t.equal(found?.role, releases)
  t.equal(lookUp(repository, trust, '1.5'), undefined)
})

function refreshed(repository: Simulator, judge: Judge = repository.judge()): AfterTargets {
  let walking = openRoot(judge, repository.anchor())
  while (repository.files.has(`${walking.root.version + 1}.root.json`)) {
    walking = acceptRoot(walking, repository.file(`${walking.root.version + 1}.root.json`))
  }
  const timestamp = acceptTimestamp(finishRoot(walking), repository.file('timestamp.json'))
  const snapshot = acceptSnapshot(timestamp, repository.file(snapshotFile(timestamp).name))
  return acceptTargets(snapshot, repository.file(targetsFile(snapshot, TARGETS).name))
}

function lookUp(repository: Simulator, trust: AfterTargets, path: string): Found | undefined {
  const walk = search(trust, path)
  for (let step = walk.next(); ; ) {
    if (step.done) return step.value
    const { role, delegator } = step.value
    step = walk.next(acceptDelegated(trust, role, delegator, repository.file(targetsFile(trust, role).name)))
  }
}
