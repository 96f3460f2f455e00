import t from 'tap'
import type { Test } from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { delegatedName } from '../../../client/trust/cache.ts'
import { directoryCache } from '../../../client/trust/directory-cache.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { roleName } from '../../../tuf/index.ts'
import { trustCacheContract } from '../../contracts/trust-cache.ts'

const ADAPTERS = {
  'a folder': (t: Test) => {
    const folder = `${t.testdir()}/made/when/needed`
    return { cache: directoryCache(folder), again: () => directoryCache(folder) }
  },
  memory: () => {
    const cache = memoryCache()
    return { cache, again: () => cache }
  },
}
for (const [name, open] of Object.entries(ADAPTERS)) {
  await t.test(name, async (t) => await trustCacheContract(t, open))
}

await t.test('the name under which a delegated role is kept', async (t) => {
  const names = [
    'team',
    'team/ci',
    '../x',
    '..',
    '.',
    '/x',
    'a\\b',
    'CON',
    '\u00e9',
    '\u{1f600}',
    'e\u0301',
    '%2e',
    '%~root.json',
    '~',
    'root',
    'timestamp',
    'snapshot',
    'targets',
    'root.json',
    '__proto__',
    'lock',
    'seen',
    'x'.repeat(512),
    'x'.repeat(511),
    '\u0000',
    '\n',
    '\ud800',
    '*',
    "'",
    '.hidden',
  ]
  const kept = names.map((name) => delegatedName(roleName(name), nativeSuite))
  t.equal(new Set(kept).size, names.length, 'is another for another role')
  for (const [i, name] of kept.entries()) {
    t.match(name, /^[A-Za-z0-9%~_-][A-Za-z0-9%~._-]*\.json$/, `is one plain segment for ${JSON.stringify(names[i])}`)
    t.ok(name.length <= 210)
    t.notOk(['root.json', 'timestamp.json', 'snapshot.json', 'targets.json'].includes(name))
  }
})
