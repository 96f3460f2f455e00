/** Clients that ask for a large layer and then read nothing of it, so that the gateway keeps it for them. */
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openGatewayLab, signLarge } from '../../support/gateway-lab.ts'

const MIB = 1024 * 1024
const CLIENTS = 40

const lab = await openGatewayLab()
t.teardown(lab.close)
const { layer, path } = await signLarge(lab, 24 * MIB)

const stall = async (): Promise<IncomingMessage> =>
  await new Promise((resolve, reject) => {
    const asked = get(lab.url + path, { agent: false }, (answer) => {
      answer.on('error', () => undefined) // it is left by us
      resolve(answer)
    })
    asked.on('error', reject)
  })

/** These clients, their sockets among them, are in this process too. */
const MOST_FOR_EACH = MIB

for (const when of ['while it arrives', 'from what is kept']) {
  await t.test(`${when}: who does not read costs little, and keeps nobody from reading`, async (t) => {
    const before = process.memoryUsage().arrayBuffers
    const stalled = await Promise.all(Array.from({ length: CLIENTS }, stall))
    t.ok((await lab.get(path)).bytes.equals(layer.bytes), 'another client gets all of it')
    await delay(200)
    const more = process.memoryUsage().arrayBuffers - before
    t.ok(more < CLIENTS * MOST_FOR_EACH + 4 * layer.size, `${Math.round(more / MIB)} MiB for ${CLIENTS} clients`)
    const fetched = lab.registry.asked.filter(({ path: asked }) => asked.includes(layer.digest))
    t.equal(fetched.length, 1, 'and it was fetched once')
    for (const answer of stalled) answer.destroy()
  })
}
