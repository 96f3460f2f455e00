/** Uploads that are no uploads: bodies that lie about themselves, come in halves, never end, or hide a second request. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { readUpload } from '../../server/publish/upload.ts'
import { openTestServer, REPO } from '../server/support/app.ts'
import { multipart, setTag, signRoot, signTargets } from '../server/support/party.ts'
import { heldBytes } from '../support/held-bytes.ts'
import { everythingOf, refuseUploads } from '../support/upload-lab.ts'

await refuseUploads(t, {
  'a snapshot': { send: async ({ owner }) => ({ snapshot: await signTargets(owner) }), code: 'INVALID_ROLE' },
  'a timestamp beside good targets': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      return { targets: await signTargets(owner), timestamp: Buffer.from('{}') }
    },
    code: 'INVALID_ROLE',
  },
  'one role under two names': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      const targets = await signTargets(owner)
      return { targets, 'targets.json': targets }
    },
    code: 'MALFORMED_UPLOAD',
  },
  'more parts than a repository has roles': {
    send: async ({ owner }) => {
      const file = await signTargets(owner)
      return Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`r${i}`, file.subarray(0, 1)]))
    },
    code: 'MALFORMED_UPLOAD',
  },
  'a root as what changes in it': {
    send: async ({ owner }) => ({ root: await signRoot(owner) }),
    options: { types: { root: 'application/vnd.tagseal.targets-delta+json' } },
    code: 'MALFORMED_UPLOAD',
  },
  'a change of targets that is no change of what is stored': {
    send: async () => ({
      targets: Buffer.from(
        JSON.stringify({
          base: { version: 1, sha256: '0'.repeat(64) },
          set: {},
          remove: [],
          version: 2,
          expires: '2030-01-01T00:00:00Z',
          signatures: [],
        }),
      ),
    }),
    options: { types: { targets: 'application/vnd.tagseal.targets-delta+json' } },
    code: 'VERSION',
  },
  'targets larger than any': {
    send: async () => ({ root: Buffer.alloc(600 * 1024, ' ') }),
    code: 'TOO_LARGE',
  },
})

await t.test('over a real connection', async (t) => {
  const server = await openTestServer(t, { maxUpload: 256 * 1024, requestTimeout: 2, headersTimeout: 1 })
  const owner = await server.create()
  setTag(owner, server.clock.now, 'x', 'x')
  const { payload, headers } = multipart({ targets: await signTargets(owner) })
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const address = server.app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const before = await everythingOf(server, REPO)
  const head = (...more: readonly string[]) =>
    [
      `POST /v2/${REPO}/_trust/tuf/ HTTP/1.1`,
      'host: x',
      `content-type: ${headers['content-type']}`,
      ...more,
      '',
      '',
    ].join('\r\n')
  /** All that comes back until the server hangs up, or says nothing more. */
  const say = async (...parts: readonly (string | Buffer)[]): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk: Buffer) => void (text += chunk.toString()))
    socket.on('error', () => socket.destroy())
    for (const part of parts) if (socket.writable) socket.write(part)
    const quiet = setTimeout(() => socket.destroy(), 4000)
    while (!socket.destroyed) {
      await Promise.race([
        once(socket, 'close'),
        once(socket, 'data').then(() => new Promise((resolve) => setTimeout(resolve, 50))),
      ])
      if (text !== '') socket.destroy()
    }
    clearTimeout(quiet)
    return text
  }
  const chunk = (bytes: Buffer | string) => `${Buffer.byteLength(bytes).toString(16)}\r\n${bytes.toString()}\r\n`
  const half = payload.subarray(0, payload.length / 2)
  const CASES: Record<string, { parts: readonly (string | Buffer)[]; answer: RegExp }> = {
    'a length and chunks at once': {
      parts: [head(`content-length: ${payload.length}`, 'transfer-encoding: chunked'), chunk(payload), '0\r\n\r\n'],
      answer: /^HTTP\/1\.1 400 /,
    },
    'two lengths': {
      parts: [head(`content-length: ${payload.length}`, 'content-length: 5'), payload],
      answer: /^HTTP\/1\.1 400 /,
    },
    'a length that is no number': { parts: [head('content-length: +5'), payload], answer: /^HTTP\/1\.1 400 / },
    'an encoding that hides chunks': {
      parts: [head('transfer-encoding: xchunked'), chunk(payload), '0\r\n\r\n'],
      answer: /^HTTP\/1\.1 (?:400|501) /,
    },
    'a chunk longer than it says': {
      parts: [head('transfer-encoding: chunked'), `5\r\n${payload.toString()}\r\n0\r\n\r\n`],
      answer: /^HTTP\/1\.1 400 /,
    },
    'a body shorter than it says, that never comes': {
      parts: [head(`content-length: ${payload.length}`), half],
      answer: /^HTTP\/1\.1 408 /,
    },
    'a body that says it is shorter than it is': {
      parts: [head(`content-length: ${half.length}`), payload],
      answer: /^HTTP\/1\.1 400 /,
    },
    'a part without an end': {
      parts: [
        head('transfer-encoding: chunked'),
        chunk(half),
        ...Array.from({ length: 20 }, () => chunk('x'.repeat(16 * 1024))),
      ],
      answer: /^HTTP\/1\.1 413 /,
    },
    'a length beyond the limit': { parts: [head('content-length: 999999999')], answer: /^HTTP\/1\.1 413 / },
    'a boundary that is missing': {
      parts: [head(`content-length: ${payload.length}`).replace(/; boundary=[^\r]+/, ''), payload],
      answer: /^HTTP\/1\.1 400 /,
    },
    'a line break within a header': {
      parts: [head('x-evil: a\nb: c', `content-length: ${payload.length}`), payload],
      answer: /^HTTP\/1\.1 400 /,
    },
  }
  for (const [name, { parts, answer }] of Object.entries(CASES)) {
    await t.test(`the server takes nothing from ${name}`, async (t) => {
      t.match(await say(...parts), answer)
      t.same(await everythingOf(server, REPO), before, 'nothing is stored')
    })
  }
  await t.test('half an upload is invisible, and gone when its sender is', async (t) => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(head(`content-length: ${payload.length}`))
    socket.write(payload.subarray(0, payload.length - 4))
    await new Promise((resolve) => setTimeout(resolve, 100))
    t.same(await everythingOf(server, REPO), before, 'while it comes')
    socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.same(await everythingOf(server, REPO), before, 'and after it broke off')
  })
  await t.test('the same upload, whole, is taken', async (t) => {
    t.match(await say(head(`content-length: ${payload.length}`), payload), /^HTTP\/1\.1 200 /)
  })
})

const MIB = 1024 * 1024
const LIMITS = { total: 4 * MIB, parts: 3, root: MIB, targets: 4 * MIB }
const TYPE = 'multipart/form-data; boundary=b'

/** Both ends of an upload that has begun. */
async function begin(
  t: Test,
  framing: string,
): Promise<{ readonly sender: Socket; readonly request: IncomingMessage }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const sender = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1')
  sender.on('error', () => undefined)
  const arrived = new Promise<IncomingMessage>((resolve) => server.once('request', resolve))
  sender.write(`POST / HTTP/1.1\r\nhost: x\r\n${framing}\r\n\r\n`)
  return { sender, request: await arrived }
}

await t.test(
  'an upload in chunks of a byte takes a few times its length in memory, not hundreds of times',
  async (t) => {
    const { sender, request } = await begin(t, 'transfer-encoding: chunked')
    const [bytes, before] = [300_000, heldBytes()]
    const reading = readUpload(request, TYPE, LIMITS)
    let came = 0
    const { promise: all, resolve } = Promise.withResolvers<void>()
    request.on('data', (chunk: Buffer) => {
      came += chunk.length
      if (came === bytes) resolve()
    })
    sender.write('1\r\nx\r\n'.repeat(bytes))
    await all
    const held = heldBytes()
    const more = held.buffers + held.objects - before.buffers - before.objects
    t.ok(more < 20 * MIB, `${Math.round(more / MIB)} MiB`)
    sender.end('0\r\n\r\n')
    await t.rejects(reading, { code: 'MALFORMED_UPLOAD' })
  },
)

await t.test('of an upload whose sender left while it was asked who that is nothing is waited for', async (t) => {
  const { sender, request } = await begin(t, 'content-length: 1000')
  sender.destroy()
  while (!request.destroyed) await delay(10)
  const silence = delay(5_000, 'silence', { ref: false })
  await t.rejects(Promise.race([readUpload(request, TYPE, LIMITS), silence]), { code: 'MALFORMED_UPLOAD' })
})
