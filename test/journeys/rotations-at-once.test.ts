/** Two rotations from one home, by real processes: they share keys and a record of what a thief may have changed. */
import { once, EventEmitter } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { codeOf } from '../support/cli.ts'
import { startProxy } from '../support/proxy.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test('of two rotations at once from one home', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const proxy = await startProxy(town.server.url)
  t.teardown(proxy.close)
  const owner = await town.person()
  const { repository } = town
  t.equal((await owner.run(['init', repository, '--no-passphrase'])).code, 0)
  const keys = () => readdirSync(join(owner.home, 'keys')).length
  const locks = () => readdirSync(join(owner.home, 'state')).filter((name) => /^rotating-[0-9a-f]+$/.test(name))

  const told = new EventEmitter()
  const { promise: goOn, resolve } = Promise.withResolvers<void>()
  proxy.before = async ({ method }) => {
    if (method !== 'POST') return // for the answer to an upload a client waits longest
    told.emit('asked')
    await goOn
  }
  const rotate = ['rotate', repository, 'targets', '--compromised', '--since', '2020-01-01', '--no-passphrase']
  const began = once(told, 'asked')
  const first = owner.run(rotate, { env: { TAGSEAL_SERVER: proxy.url } })
  await Promise.race([began, first])
  const before = keys()

  await t.test('the second is refused by name, and makes no key', async (t) => {
    const second = await owner.run(rotate)
    t.same([second.code, codeOf(second)], [3, 'ROTATION_RUNNING'])
    t.match(second.stderr, new RegExp(`error: ${repository} is being rotated from this home already, by process \\d+`))
    t.match(second.stderr, /^hint: wait until/m)
    t.equal(keys(), before)
  })
  await t.test('one of another repository is not', async (t) => {
    const other = `${town.registry.host}/team/other`
    t.equal((await owner.run(['init', other, '--no-passphrase'])).code, 0)
    const ran = await owner.run(['rotate', other, 'targets', '--no-passphrase'])
    t.equal(ran.code, 0, ran.stderr)
  })
  await t.test('the first goes through, and leaves no lock behind', async (t) => {
    resolve()
    const ran = await first
    t.equal(ran.code, 0, ran.stderr)
    t.same(locks(), [])
    const again = await owner.run([...rotate, '--keep', 'all'])
    t.not(codeOf(again), 'ROTATION_RUNNING')
  })
  await t.test('one that was killed keeps nobody out', async (t) => {
    const { promise: never } = Promise.withResolvers<void>()
    proxy.before = async () => await never
    const ended = owner.run(['rotate', repository, 'targets', '--no-passphrase'], {
      env: { TAGSEAL_SERVER: proxy.url },
    })
    while (locks().length === 0) await delay(10)
    const [holder = ''] = readdirSync(join(owner.home, 'state', locks()[0] ?? ''))
    process.kill(Number(holder.split('-')[0]), 'SIGKILL')
    t.equal((await ended).code, null)
    t.equal(locks().length, 1)
    const ran = await owner.run(['rotate', repository, 'targets', '--no-passphrase'])
    t.equal(ran.code, 0, ran.stderr)
  })
})
