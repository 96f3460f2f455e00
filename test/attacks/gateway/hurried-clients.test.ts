/** Clients that ask and ask and read no answer: each of them would be kept ready for them. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { NAME, openGatewayLab, signLarge } from '../../support/gateway-lab.ts'
import { heldBytes } from '../../support/held-bytes.ts'

const MIB = 1024 * 1024
const CLIENTS = 200

const lab = await openGatewayLab()
t.teardown(lab.close)
const { layer, path } = await signLarge(lab, 16 * MIB)
const asking = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`

const isServed = async (): Promise<boolean> => (await lab.get(path)).bytes.equals(layer.bytes)

async function hurry(text: string): Promise<Socket> {
  const socket = connect(Number(new URL(lab.url).port), '127.0.0.1')
  socket.on('error', () => undefined) // it is ended by the gateway, or by us
  socket.pause()
  await new Promise((resolve) => socket.write(text, resolve))
  return socket
}

/** What more is held than before, once it grows no more. */
async function heldSince(before: number): Promise<number> {
  for (let more = -1; ; await delay(500)) {
    const now = heldBytes().buffers - before
    if (now <= more) return Math.max(now, more)
    more = now
  }
}

const AHEAD: Record<string, number> = {
  'a layer that is asked for a few times before it is read': 10,
  'a layer that is asked for again and again before it is read': 300,
}
for (const [name, requests] of Object.entries(AHEAD)) {
  await t.test(`${name} is held once`, async (t) => {
    t.ok(await isServed())
    await delay(100)
    const before = heldBytes().buffers
    const socket = await hurry(asking(path).repeat(requests))
    const more = await heldSince(before)
    t.ok(more < 4 * MIB, `${Math.round(more / MIB)} MiB for one client`)
    socket.destroy()
    t.ok(await isServed(), 'and others are served')
  })
}

await t.test('a few requests ahead are answered, one after the other', async (t) => {
  const socket = connect(Number(new URL(lab.url).port), '127.0.0.1')
  const ended = new Promise<string>((resolve) => {
    let got = ''
    socket.on('data', (part) => (got += part.toString('latin1')))
    socket.on('close', () => resolve(got))
  })
  const tags = asking(`/v2/${NAME}/tags/list`)
  socket.write(
    `${tags}${tags}${asking(`/v2/${NAME}/manifests/none`)}GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
  )
  t.same((await ended).match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 403', 'HTTP/1.1 200'])
})

await t.test(`${CLIENTS} clients that do not read are given small buffers`, async (t) => {
  await delay(100)
  const before = heldBytes().buffers
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, async () => await hurry(asking(path))))
  for (let i = 0; i < 100 && heldBytes().buffers - before < 10 * MIB; i++) await delay(100)
  const more = await heldSince(before)
  t.ok(more > 10 * MIB, 'they are being answered')
  t.ok(more < 60 * MIB, `${Math.round(more / MIB)} MiB for ${CLIENTS} clients`)
  t.ok(await isServed(), 'and others are served')
  for (const socket of sockets) socket.destroy()
})
