/**
 * Whoever stole a root key is out once a pin names others. A run that read the pin before, and says only where its server is,
 * must not bring the stolen one back; nor may the authority of that server go without a word.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { withLock } from '../../client/trust/lock.ts'
import { loadPins } from '../../client/trust/pins.ts'
import { madeAuthority } from '../support/authority.ts'
import { codeOf } from '../support/cli.ts'
import { tagsealHere } from '../support/in-process.ts'

const PATTERN = 'a.example/**'
const [STOLEN, NEW] = ['ab'.repeat(32), 'cd'.repeat(32)]
const SERVER = 'https://trust.example.com/'
const pins = (...keys: readonly string[]) =>
  JSON.stringify({
    version: 1,
    pins: keys.map((key) => ({ pattern: PATTERN, keys: [key], threshold: 1, server: SERVER })),
  })

type Meanwhile = { readonly written: string; readonly keys: readonly string[]; readonly code?: string }
const CASES: Record<string, Meanwhile> = {
  'was given another key meanwhile keeps that key': { written: pins(NEW), keys: [NEW] },
  'was removed meanwhile stays removed': { written: pins(), keys: [], code: 'NOT_PINNED' },
}
for (const [name, { written, keys, code }] of Object.entries(CASES)) {
  await t.test(`a pin that ${name}`, async (t) => {
    const home = t.testdir({ 'trust.json': pins(STOLEN), 'ca.pem': await madeAuthority() })
    const path = join(home, 'trust.json')
    const args = ['trust', 'add', PATTERN, '--ca', join(home, 'ca.pem')]
    const running = await withLock(join(home, '.trust.json.lock'), async () => {
      const ran = tagsealHere(args, { env: { TAGSEAL_HOME: home, HOME: home } })
      while (!(await readdir(home)).some((file) => file.startsWith('.trust.json.lock.'))) await delay(5)
      await writeFile(path, written)
      return { ran } // it goes on once this has ended
    })
    const { code: exit, ...ran } = await running.ran
    t.equal(exit === 0 ? undefined : codeOf({ code: exit, ...ran }), code, ran.stderr)
    const kept = await loadPins(path)
    t.same(
      kept.map(({ pin }) => (pin.kind === 'keys' ? pin.keyids : [])),
      keys.map((key) => [key]),
    )
    t.ok(kept.every(({ serverCa, server }) => serverCa !== undefined && server === SERVER))
  })
}

await t.test('a pin does not lose the authority of its server without a word', async (t) => {
  const home = t.testdir({ 'trust.json': pins(STOLEN), 'ca.pem': await madeAuthority() })
  const add = async (...args: readonly string[]) =>
    await tagsealHere(['trust', 'add', PATTERN, ...args], { env: { TAGSEAL_HOME: home, HOME: home } })
  const lost = /the authority that was kept for https:\/\/trust\.example\.com\/ is not kept any more/
  const STEPS: readonly (readonly [args: readonly string[], isLost: boolean])[] = [
    [['--ca', join(home, 'ca.pem')], false],
    [['--server', SERVER], false],
    [['--server', SERVER.slice(0, -1)], false],
    [['--key', NEW, '--server', SERVER], true],
    [['--ca', join(home, 'ca.pem')], false],
    [['--server', 'http://127.0.0.1:4480'], true],
    [['--server', SERVER, '--ca', join(home, 'ca.pem')], false],
    [['--server', 'https://other.example.com'], false],
  ]
  const isKept = async () => (await loadPins(join(home, 'trust.json')))[0]?.serverCa !== undefined
  for (const [args, isLost] of STEPS) {
    const ran = await add(...args)
    t.equal(ran.code, 0, ran.stderr)
    t.equal(lost.test(ran.stderr), isLost, args.join(' '))
    if (args[0] === '--server' && args[1]?.startsWith('https://trust.') === true) t.ok(await isKept(), 'it stays')
  }
})

await t.test('a pin whose authority was damaged is mended by another one, and says so', async (t) => {
  const authority = await madeAuthority()
  const home = t.testdir({ 'trust.json': pins(STOLEN), 'ca.pem': authority })
  const path = join(home, 'trust.json')
  const add = async () =>
    await tagsealHere(['trust', 'add', PATTERN, '--ca', join(home, 'ca.pem')], {
      env: { TAGSEAL_HOME: home, HOME: home },
    })
  t.equal((await add()).code, 0)
  await writeFile(path, (await readFile(path, 'utf8')).replace('MII', 'MIJ'))
  const ran = await add()
  t.match(ran, { code: 0, stderr: /replaced the pin/ }, ran.stderr)
  t.equal((await loadPins(path))[0]?.serverCa, authority)
})
