/** A server that answers so slowly that it holds whoever asks, though it never stops sending; and one that says nothing. */
import type { ServerResponse } from 'node:http'
import t from 'tap'
import { openLab } from '../support/attack-lab.ts'
import type { Interference } from '../support/attack-lab.ts'
import { drip, hang, startHostileRegistry, when } from '../support/hostile-registry.ts'
import { buildImage } from '../support/images.ts'
import { parseImage } from '../../client/registry/reference.ts'
import { openRegistry } from '../../client/registry/registry.ts'
import { walkImage } from '../../client/registry/walk.ts'
import { roleName, TARGETS } from '../../tuf/index.ts'
import { targetOf } from '../support/simulator.ts'

const IMPATIENT = { idle: 300, grace: 400, rate: 1024 }
/** Nobody may be held for longer, whatever the server does. */
const MOST_MS = 3000

function trickle(response: ServerResponse): true {
  response.writeHead(200, { 'content-type': 'application/json' })
  const timer = setInterval(() => response.write(' '), 50)
  response.on('close', () => clearInterval(timer))
  return true
}
const WAYS: Record<string, (response: ServerResponse) => true> = {
  'a byte every now and then': trickle,
  'a head and nothing after it': (response) => {
    response.writeHead(200, { 'content-length': 400 }).flushHeaders()
    return true
  },
  'nothing at all': () => true,
}
const FILES = ['.root.json', 'timestamp.json', '.snapshot.json', '.targets.json', '.team.json']
const slow = (suffix: string, way: (response: ServerResponse) => true): Interference => {
  return (file, response) => file.endsWith(suffix) && way(response)
}

for (const [name, way] of Object.entries(WAYS)) {
  for (const suffix of name === 'a byte every now and then' ? FILES : FILES.slice(1, 2)) {
    await t.test(`gives up where *${suffix} is ${name}`, async (t) => {
      const lab = await openLab()
      t.teardown(lab.close)
      const { simulator } = lab
      simulator.delegate(TARGETS, roleName('team'))
      simulator.sign({ 'x-1': targetOf('one') }, roleName('team'))
      lab.interfere = slow(suffix, way)
      const start = performance.now()
      await t.rejects(lab.library({ patience: IMPATIENT }, 'x-1'), { code: 'TIMEOUT' })
      t.ok(performance.now() - start < MOST_MS, 'and soon')
      const kept = Object.keys(await lab.kept('library'))
      t.notOk(
        kept.some((file) => file.endsWith(suffix.replace(/^\./, '')) && suffix !== '.root.json'),
        'it is not stored',
      )
      lab.interfere = () => false
      await t.resolves(lab.library({}, 'x-1'), 'and the next honest answer is taken')
    })
  }
}

await t.test('redirects do not start the clock again', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  lab.interfere = (file, response) => {
    setTimeout(
      () => response.writeHead(302, { location: `/v2/registry.example.com/team/app/_trust/tuf/${file}` }).end(),
      150,
    )
    return true
  }
  const start = performance.now()
  await t.rejects(lab.library({ patience: IMPATIENT }), { code: 'TIMEOUT' })
  t.ok(performance.now() - start < MOST_MS)
})

await t.test('a registry that is slow holds nobody either', async (t) => {
  const server = await startHostileRegistry()
  t.teardown(server.close)
  const image = buildImage()
  const { digest, size: length } = server.serve(image, '1.0')
  const limits = { idleMs: 300, requestMs: 600, bytesPerSecond: 1e9 }
  const registry = openRegistry({ plainHttp: true, sleep: async () => {}, limits })
  t.teardown(registry.close)
  const ref = parseImage(`${server.host}/team/app:1.0`)
  for (const lie of [
    drip(/manifests/, length, 50),
    hang(/manifests/, length),
    when(/manifests/, () => {}),
    drip(/blobs/, 100, 50),
  ]) {
    server.lie(lie)
    const start = performance.now()
    await t.rejects(walkImage(registry, ref, { digest, length }, { deep: true }), {
      code: /^(?:TIMEOUT|SIZE_MISMATCH)$/,
    })
    t.ok(performance.now() - start < 2 * MOST_MS, 'retries included')
  }
})
