import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { Test } from 'tap'
import { openFill, SHOWN } from '../../../client/gateway/fill.ts'
import type { Fill } from '../../../client/gateway/fill.ts'
import { openStore } from '../../../client/gateway/store.ts'
import type { Store } from '../../../client/gateway/store.ts'
import { heldBytes } from '../../support/held-bytes.ts'
import { sha256 } from '../../support/images.ts'

const PIECE = 3 * SHOWN

/** A fill whose bytes arrive when the test says so, in chunks of a size that fits nothing. */
async function openArriving(t: Test, content: Buffer) {
  const store = await openStore(t.testdir(), 64 * 1024 * 1024)
  const digest = sha256(content)
  const incoming = await store.receive(digest, content.length)
  if (incoming === undefined) throw new Error('there is room')
  let [sink, sent] = [async (_chunk: Uint8Array) => {}, 0]
  const { promise: over, resolve: end, reject: fail } = Promise.withResolvers<void>()
  const fill = openFill({ size: content.length, most: PIECE }, incoming, (given) => {
    sink = given
    return over
  })
  const arrive = async (to = content.length) => {
    while (sent < to) {
      const chunk = content.subarray(sent, Math.min(sent + 50_001, to))
      sent += chunk.length
      await sink(chunk)
    }
  }
  return { store, digest, incoming, fill, arrive, end, fail }
}

/** From a position on, as a client gets it. */
async function readAll(fill: Fill, from = 0): Promise<Buffer> {
  const parts: Buffer[] = []
  fill.enter()
  try {
    for (let at = from; at < fill.size; at += parts.at(-1)?.length ?? 0) {
      await fill.more(at)
      const held = fill.hold(at)
      const buffer = Buffer.alloc(100_000)
      parts.push(held === undefined ? buffer.subarray(0, await fill.read(buffer, at)) : Buffer.from(held.bytes))
      held?.release()
    }
  } finally {
    fill.leave()
  }
  return Buffer.concat(parts)
}

async function kept(store: Store, digest: string, size: number): Promise<Buffer | undefined> {
  const found = await store.open(digest, size)
  const bytes = await found?.handle.readFile()
  await found?.handle.close()
  return bytes
}

for (const size of [1, 1000, SHOWN, SHOWN + 1, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE, 12 * PIECE + 12_345]) {
  await t.test(`${size} bytes reach who keeps up, who comes late, and the disk`, async (t) => {
    const content = randomBytes(size)
    const { fill, arrive, end, store, digest } = await openArriving(t, content)
    const early = readAll(fill)
    await arrive(Math.floor(size / 2))
    const late = readAll(fill)
    await arrive()
    end()
    await fill.finished
    t.ok(content.equals(await early))
    t.ok(content.equals(await late))
    t.ok(content.equals((await kept(store, digest, size)) ?? Buffer.alloc(0)))
  })
}

await t.test('who falls behind reads from the disk, and keeps nothing in memory', async (t) => {
  const content = randomBytes(16 * PIECE)
  const { fill, arrive, end } = await openArriving(t, content)
  await arrive()
  t.equal(fill.hold(0), undefined)
  t.ok(fill.hold(15 * PIECE - 1))
  const reading = readAll(fill)
  end()
  t.ok(content.equals(await reading))
})

await t.test('what a client is still being sent stays what it is, however much arrives after it', async (t) => {
  const content = randomBytes(16 * PIECE)
  const { fill, arrive, end } = await openArriving(t, content)
  await arrive(2 * SHOWN)
  const { bytes, release } = fill.hold(0) ?? { bytes: Buffer.alloc(0), release: () => {} }
  t.ok(bytes.length >= SHOWN && bytes.length < PIECE, 'a piece that is not full yet')
  await arrive()
  t.ok(content.subarray(0, bytes.length).equals(bytes))
  release()
  end()
  await fill.finished
})

await t.test('clients that stop each at another place keep a few pieces in memory, not one each', async (t) => {
  const content = randomBytes(48 * PIECE)
  const { fill, arrive, end } = await openArriving(t, content)
  const stopped: Buffer[] = []
  const before = heldBytes().buffers
  for (let at = 0; at < 47 * PIECE; at += PIECE) {
    await arrive(at + PIECE)
    const held = fill.hold(at)
    if (held !== undefined) stopped.push(Buffer.from(held.bytes.buffer, held.bytes.byteOffset, held.bytes.length))
    else t.equal(await fill.read(Buffer.alloc(1000), at), 1000, 'who comes then is given a copy')
  }
  const more = heldBytes().buffers - before
  t.ok(more < 12 * PIECE, `${Math.round(more / PIECE)} pieces for ${stopped.length} of 47 clients`)
  await arrive()
  end()
  await fill.finished
})

for (const size of [1, 1000, SHOWN, SHOWN + 1, PIECE, PIECE + 1, 8 * PIECE]) {
  await t.test(`of ${size} wrong bytes the last never goes out, nor stays`, async (t) => {
    const { fill, arrive, fail, store, digest } = await openArriving(t, randomBytes(size))
    await arrive()
    const reading = t.rejects(readAll(fill), { message: 'wrong' })
    const waiting = t.rejects(fill.more(size - 1), { message: 'wrong' })
    fail(new Error('wrong'))
    await Promise.all([reading, waiting])
    await t.rejects(fill.finished, { message: 'wrong' })
    t.equal(await kept(store, digest, size), undefined)
  })
}

await t.test('what is given out at once is not begun before it is known to be right', async (t) => {
  const { fill, arrive, fail } = await openArriving(t, randomBytes(SHOWN))
  await arrive()
  const waiting = t.rejects(fill.more(0), { message: 'wrong' })
  fail(new Error('wrong'))
  await waiting
})

await t.test('a disk that cannot be written to ends it, and those who wait are told', async (t) => {
  const { fill, arrive, incoming, fail } = await openArriving(t, randomBytes(8 * PIECE))
  await incoming.handle.close()
  const arriving = arrive()
  await t.rejects(arriving, { code: 'EBADF' })
  fail(await arriving.catch((error: unknown) => error)) // as a download does with what its sink throws
  await t.rejects(fill.more(7 * PIECE), { code: 'EBADF' })
  await t.rejects(fill.finished, { code: 'EBADF' })
})
