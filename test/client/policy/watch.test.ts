import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { loadPolicy } from '../../../client/policy/policy.ts'
import { watchFiles } from '../../../client/policy/watch.ts'

const text = (pattern: string) => `version: 1\nrules: [{ pattern: ${pattern}, unsigned: true }]\n`

await t.test('a policy file is followed', async (t) => {
  const path = join(t.testdir({ 'policy.yaml': text('a.io/x') }), 'policy.yaml')
  const [adopted, broken]: [string[], unknown[]] = [[], []]
  const watch = watchFiles(loadPolicy(path, []), {
    load: async () => loadPolicy(path, []),
    also: [`${path}.pins`],
    adopted: (policy) => adopted.push(policy.matching('a.io/y')[0]?.pattern ?? 'nothing'),
    broken: (error) => broken.push(error),
    intervalMs: 10,
  })
  t.teardown(watch.close)
  const settled = async () => await delay(150)

  await settled()
  t.same([adopted, broken], [[], []], 'nothing happens while nothing changes')
  writeFileSync(path, text('a.io/y'))
  await settled()
  t.same(adopted, ['a.io/y'])
  writeFileSync(path, 'version: 1\nrules: [')
  await settled()
  t.match(broken, [{ code: 'POLICY_MALFORMED' }], 'a broken one is told once, and changes nothing')
  t.equal(adopted.length, 1)
  rmSync(path)
  await settled()
  t.match(broken[1], { code: 'POLICY_UNUSABLE' }, 'one that is gone is broken')
  writeFileSync(`${path}.new`, text('a.io/**'))
  renameSync(`${path}.new`, path)
  await settled()
  t.same(adopted, ['a.io/y', 'a.io/**'], 'and a good one counts again')
  writeFileSync(`${path}.pins`, '')
  await settled()
  t.equal(adopted.length, 3, 'the pins of this machine are part of it')
})

await t.test('what changed between the first look and the watch is read again', async (t) => {
  const path = join(t.testdir({ 'policy.yaml': text('a.io/x') }), 'policy.yaml')
  await delay(50)
  const since = Date.now()
  const first = loadPolicy(path, [])
  await delay(50)
  writeFileSync(path, text('a.io/y'))
  const adopted: string[] = []
  const watch = watchFiles(first, {
    load: async () => loadPolicy(path, []),
    also: [`${path}.pins`],
    adopted: (policy) => adopted.push(policy.matching('a.io/y')[0]?.pattern ?? 'nothing'),
    broken: (error) => t.error(error),
    intervalMs: 10,
    since,
  })
  for (let i = 0; i < 100 && adopted.length === 0; i++) await delay(50)
  await delay(100)
  watch.close()
  t.same(adopted, ['a.io/y'], 'and once is enough')
})
