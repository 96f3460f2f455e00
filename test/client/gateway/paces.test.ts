/** One layer, many clients, and hardly two of them at the same place: the buffers it goes through are used again. */
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openGatewayLab, signLarge } from '../../support/gateway-lab.ts'
import { sha256 } from '../../support/images.ts'

const MIB = 1024 * 1024

const lab = await openGatewayLab({ patience: 60_000 })
t.teardown(lab.close)
const { layer, path } = await signLarge(lab, 16 * MIB + 12_345)

type Pace = { readonly late?: number; readonly each: number; readonly rest: number }
const PACES: Record<string, Pace> = {
  'one that never waits': { each: layer.size, rest: 0 },
  'one that rests now and then': { each: 2 * MIB, rest: 10 },
  'one that rests all the time': { each: MIB / 2, rest: 2 },
  'one that rests long at once': { each: 9 * MIB, rest: 100 },
  'one that comes a moment later': { late: 10, each: layer.size, rest: 0 },
  'one that comes later and rests': { late: 30, each: 3 * MIB, rest: 10 },
}

/** The digest of what a client gets that reads so. */
async function read({ late = 0, each, rest }: Pace): Promise<string> {
  await delay(late)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(lab.url + path, { agent: false }, resolve).on('error', reject)
  })
  const parts: Buffer[] = []
  let since = 0
  for await (const part of answer as AsyncIterable<Buffer>) {
    parts.push(part)
    since += part.length
    if (since < each) continue
    since = 0
    await delay(rest)
  }
  return sha256(Buffer.concat(parts))
}

for (const when of ['while it arrives', 'from what is kept']) {
  await t.test(`${when}: every client gets the same bytes, at its own pace`, async (t) => {
    const names = Object.keys(PACES)
    const digests = await Promise.all(Object.values(PACES).map(read))
    for (const [at, name] of names.entries()) t.equal(digests[at], layer.digest, name)
    const fetched = lab.registry.asked.filter(({ path: asked }) => asked.includes(layer.digest))
    t.equal(fetched.length, 1, 'and it was fetched once')
  })
}
