import {
  TARGETS,
  acceptDelegated,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  finishRoot,
  openRoot,
  search,
  snapshotFile,
  targetsFile,
} from '../../tuf/index.ts'
import type { AfterRoot, AfterSnapshot, AfterTargets, AfterTimestamp, Found, Judge } from '../../tuf/index.ts'
import type { Simulator } from './simulator.ts'

/** The client workflow over the files of a simulator, by the trust rules alone: no cache, no network. */
export function walkedRoot(repository: Simulator, judge: Judge = repository.judge()): AfterRoot {
  let trust = openRoot(judge, repository.anchor())
  for (;;) {
    const next = repository.files.get(`${trust.root.version + 1}.root.json`)
    if (next === undefined) return finishRoot(trust)
    trust = acceptRoot(trust, next)
  }
}

export function timestamped(repository: Simulator, judge?: Judge): AfterTimestamp {
  return acceptTimestamp(walkedRoot(repository, judge), repository.file('timestamp.json'))
}

export function snapshotted(repository: Simulator, judge?: Judge): AfterSnapshot {
  const trust = timestamped(repository, judge)
  return acceptSnapshot(trust, repository.file(snapshotFile(trust).name))
}

export function refreshed(repository: Simulator, judge?: Judge): AfterTargets {
  const trust = snapshotted(repository, judge)
  return acceptTargets(trust, repository.file(targetsFile(trust, TARGETS).name))
}

/** The search for one target; `visited` receives the delegated roles in the order they were asked. */
export function lookedUp(
  repository: Simulator,
  trust: AfterTargets,
  path: string,
  visited: string[] = [],
): Found | undefined {
  const walk = search(trust, path)
  let step = walk.next()
  while (!step.done) {
    const { role, delegator } = step.value
    visited.push(role)
    step = walk.next(acceptDelegated(trust, role, delegator, repository.file(targetsFile(trust, role).name)))
  }
  return step.value
}
