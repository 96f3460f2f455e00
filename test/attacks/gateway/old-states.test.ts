import t from 'tap'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import type { GatewayLab } from '../../support/gateway-lab.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import type { BuiltImage, Stored } from '../../support/images.ts'
import { DAY } from '../../support/simulator.ts'

const HOUR = 3_600_000
const layerOf = ({ layers: [layer] }: BuiltImage): Stored => {
  if (layer === undefined) throw new Error('no layer')
  return layer
}
const image = buildImage()
const paths = [
  `/v2/${NAME}/manifests/1.0`,
  `/v2/${NAME}/manifests/${image.manifest.digest}`,
  `/v2/${NAME}/blobs/${layerOf(image).digest}`,
]

async function opened(rule = '') {
  const lab = await openGatewayLab({ rule })
  lab.registry.serve(image)
  lab.sign({ '1.0': image.manifest })
  const statuses = async () => {
    const all = []
    for (const path of paths) all.push(await lab.get(path))
    return all.map(({ status, reason }) => reason ?? status)
  }
  return { lab, statuses }
}

await t.test('a trust server that stands still is believed until its timestamp expires, and no further', async (t) => {
  const { lab, statuses } = await opened('    maxAge: 365d')
  t.teardown(lab.close)
  t.same(await statuses(), [200, 200, 200])
  lab.pass(lab.lab.simulator.timestamp.expires - Date.now() - lab.time.wall - 10_000)
  t.same(await statuses(), [200, 200, 200], 'from memory and disk')
  lab.pass(20_000)
  t.same(await statuses(), ['EXPIRED', 'EXPIRED', 'EXPIRED'], 'not from there either')
  lab.time.wall -= 10 * DAY
  t.notOk((await statuses()).includes(200), 'nor with the clock put back')
})

await t.test('with the trust server gone, an answer is as old as the rule lets it be, and no older', async (t) => {
  const { lab, statuses } = await opened('    maxAge: 2h')
  t.teardown(lab.close)
  t.same(await statuses(), [200, 200, 200])
  lab.lab.interfere = (_file, response) => {
    response.writeHead(503).end()
    return true
  }
  lab.pass(2 * HOUR - 60_000)
  t.same(await statuses(), [200, 200, 200])
  lab.pass(2 * 60_000)
  t.same(await statuses(), ['SERVER_ERROR', 'SERVER_ERROR', 'SERVER_ERROR'])
})

/** What a gateway finds that was stopped for a day, or whose machine slept: how far its two clocks went. */
const STOPPED: Record<string, { wall: number; monotonic: number }> = {
  'both clocks went on': { wall: DAY, monotonic: DAY },
  'only the clock on the wall went on, as over the sleep of a machine': { wall: DAY, monotonic: 0 },
  'the clock on the wall was set back by as much': { wall: 0, monotonic: DAY },
  'the clock on the wall was set back by more': { wall: -3 * DAY, monotonic: DAY },
}
const SERVERS: Record<string, (lab: GatewayLab) => void> = {
  'a trust server that is gone': ({ lab }) => {
    lab.interfere = (_file, response) => {
      response.destroy()
      return true
    }
  },
  'a trust server that shows what it showed then': () => {},
}
for (const [passed, { wall, monotonic }] of Object.entries(STOPPED)) {
  for (const [server, freeze] of Object.entries(SERVERS)) {
    await t.test(`stopped for a day: ${passed}, with ${server}`, async (t) => {
      const { lab, statuses } = await opened('    maxAge: 1h')
      t.teardown(lab.close)
      t.same(await statuses(), [200, 200, 200])
      freeze(lab)
      lab.time.wall += wall
      lab.time.monotonic += monotonic
      for (const status of await statuses()) t.type(status, 'string', `${status}: nothing is answered`)
      lab.lab.interfere = () => false
      lab.lab.simulator.now += DAY
      lab.lab.simulator.release()
      lab.time.monotonic += 1000 // a refresh that failed is not tried again at once
      t.same(await statuses(), [200, 200, 200], 'until there is something fresh')
    })
  }
}

await t.test('with the registry gone, what is kept is served', async (t) => {
  const { lab, statuses } = await opened()
  t.teardown(lab.close)
  t.same(await statuses(), [200, 200, 200])
  await lab.registry.close()
  await lab.restart()
  t.same(await statuses(), [200, 200, 200])
  t.equal((await lab.get(`/v2/${NAME}/blobs/${image.config.digest}`)).status, 503, 'and what is not is not')
})

await t.test('a tag that is revoked is gone, with everything below it', async (t) => {
  const { lab, statuses } = await opened('    maxAge: 1h')
  t.teardown(lab.close)
  t.same(await statuses(), [200, 200, 200])
  lab.lab.simulator.publishTargets({ remove: new Set(['1.0']) })
  lab.lab.simulator.release()
  lab.pass(HOUR)
  t.same(await statuses(), ['TAG_NOT_SIGNED', 'DIGEST_NOT_SIGNED', 'DIGEST_NOT_SIGNED'])
})

await t.test('a tag that was signed anew means the new image, and the old one is gone', async (t) => {
  const { lab, statuses } = await opened('    maxAge: 1h')
  t.teardown(lab.close)
  t.same(await statuses(), [200, 200, 200])
  const next = buildImage({ layers: [{ n: 'next' }] })
  lab.registry.serve(next)
  lab.sign({ '1.0': next.manifest })
  lab.pass(HOUR)
  const got = await lab.get(paths[0] ?? '')
  t.equal(got.headers.get('docker-content-digest'), next.manifest.digest)
  t.same(await statuses(), [200, 'DIGEST_NOT_SIGNED', 'DIGEST_NOT_SIGNED'])
})

await t.test('an older state of the trust server is refused, also after a restart', async (t) => {
  const { lab, statuses } = await opened('    maxAge: 1h')
  t.teardown(lab.close)
  const before = new Map(lab.lab.simulator.files)
  const next = buildImage({ layers: [{ n: 'next' }] })
  lab.registry.serve(next)
  lab.sign({ '1.0': next.manifest })
  t.equal((await lab.get(paths[0] ?? '')).headers.get('docker-content-digest'), next.manifest.digest)
  for (const [name, bytes] of before) lab.lab.simulator.files.set(name, bytes)
  lab.pass(HOUR)
  t.same(await statuses(), ['ROLLBACK', 'ROLLBACK', 'ROLLBACK'])
  await lab.restart()
  t.same(await statuses(), ['ROLLBACK', 'ROLLBACK', 'ROLLBACK'])
})

await t.test('whoever comes by digest first, to a gateway that just started, finds what is signed', async (t) => {
  const { lab } = await opened()
  t.teardown(lab.close)
  const index = buildIndex()
  lab.registry.serve(index)
  lab.sign({ multi: index.index })
  const [first, second] = index.images
  if (first === undefined || second === undefined) throw new Error('no children')
  t.equal((await lab.get(`/v2/${NAME}/blobs/${layerOf(second).digest}`)).status, 200, 'a layer of a child')
  await lab.restart()
  t.equal((await lab.get(`/v2/${NAME}/manifests/${first.manifest.digest}`)).status, 200, 'a child')
})

await t.test(
  'an image that was signed once is pulled by digest until its tag is revoked, where the rule says so',
  async (t) => {
    const { lab, statuses } = await opened('    maxAge: 1h\n    signedOnce: true')
    t.teardown(lab.close)
    const next = buildImage({ layers: [{ n: 'next' }] })
    lab.registry.serve(next)
    lab.sign({ '1.0': next.manifest })
    t.same(await statuses(), [200, 200, 200])
    await lab.restart()
    t.same(await statuses(), [200, 200, 200], 'also by a gateway that never saw it signed')
    lab.lab.simulator.publishTargets({ remove: new Set(['1.0']) })
    lab.lab.simulator.release()
    lab.pass(HOUR)
    t.same(await statuses(), ['TAG_NOT_SIGNED', 'DIGEST_NOT_SIGNED', 'DIGEST_NOT_SIGNED'])
  },
)
