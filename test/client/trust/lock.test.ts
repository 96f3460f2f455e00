import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { directoryCache } from '../../../client/trust/directory-cache.ts'
import { withLock } from '../../../client/trust/lock.ts'

const HOLDER = fileURLToPath(new URL('./lock-holder.ts', import.meta.url))

function start(...args: string[]) {
  return spawn(process.execPath, [HOLDER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
}

await t.test('many processes at once count to the right number', async (t) => {
  const folder = t.testdir({ number: '0' })
  const workers = Array.from({ length: 8 }, () => start('count', folder, '25'))
  for (const [code] of await Promise.all(workers.map((worker) => once(worker, 'exit')))) t.equal(code, 0)
  t.equal(readFileSync(join(folder, 'number'), 'utf8'), '200')
  t.same(readdirSync(folder), ['number'], 'nothing of the lock is left')
})

await t.test('a holder that was killed stands in nobody’s way', async (t) => {
  const folder = t.testdir()
  for (let i = 0; i < 3; i++) {
    const holder = start('hold', folder)
    await once(holder.stdout, 'data')
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const begin = performance.now()
    t.equal(await directoryCache(folder).lock(async () => 'in'), 'in')
    t.ok(performance.now() - begin < 2000, 'at once, not after a timeout')
  }
})

await t.test('a live holder is waited for, and named when patience ends', async (t) => {
  const folder = t.testdir()
  const holder = start('hold', folder)
  t.teardown(() => holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  await t.rejects(
    withLock(join(folder, 'lock'), async () => undefined, 200),
    {
      code: 'CACHE_LOCKED',
      detail: { holder: `process ${holder.pid}` },
    },
  )
  t.same(
    readdirSync(folder).filter((name) => name !== 'lock'),
    [],
    'what was prepared is gone',
  )
})

await t.test('an owner from elsewhere', async (t) => {
  const OWNER = '1-1-another.machine-00'
  await t.test('is waited for while its file is young', async (t) => {
    const folder = t.testdir({ lock: { [OWNER]: '' } })
    await t.rejects(
      withLock(join(folder, 'lock'), async () => undefined, 50),
      { code: 'CACHE_LOCKED' },
    )
  })
  await t.test('is taken for dead when it is old, or from a time to come', async (t) => {
    for (const written of [new Date(0), new Date(Date.now() + 3_600_000)]) {
      const folder = t.testdir({ lock: { [OWNER]: '' } })
      utimesSync(join(folder, 'lock', OWNER), written, written)
      t.equal(await withLock(join(folder, 'lock'), async () => 'in', 2000), 'in')
    }
  })
})

await t.test('a process number that was given out again is not its old owner', async (t) => {
  const folder = t.testdir()
  let owner = ''
  await withLock(join(folder, 'lock'), async () => {
    owner = readdirSync(join(folder, 'lock')).join('')
  })
  const [pid = '', , ...rest] = owner.split('-')
  mkdirSync(join(folder, 'lock'), { recursive: true })
  writeFileSync(join(folder, 'lock', [pid, '1', ...rest].join('-')), '')
  t.equal(await withLock(join(folder, 'lock'), async () => 'in', 2000), 'in')
})
