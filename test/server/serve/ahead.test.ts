/** What is answered ahead of the application is what the route would answer. Compared byte for byte, over raw sockets. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { buildApp } from '../../../server/app.ts'
import { openFrame, type Door } from '../../../server/frame.ts'
import { makeTally } from '../../../server/readers/tally.ts'
import type { AppDeps } from '../../../server/routes/deps.ts'
import { getMetadata } from '../../../server/routes/metadata.ts'
import { openServedFiles } from '../../../server/serve/files.ts'
import type { TlsFiles } from '../../../server/tls.ts'
import { makeCertificate } from '../../support/tls.ts'
import { openTestServer, REPO } from '../support/app.ts'

const FILES = `/v2/${REPO}/_trust/tuf`
const LARGE = 'registry.example.com/team/large'
const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`
const file = (name: string, headers = '') => get(`${FILES}/${name}`, headers)
const large = (headers = '') => get(`/v2/${LARGE}/_trust/tuf/targets.json`, headers)
const ALONG = 'X-Tagseal-Along: timestamp.json\r\n'
const LAST = file('none.json', 'Connection: close\r\nAccept: */*\r\n')

/** Whatever follows on the connection is an error. */
const ENDS = /^Connection: close|HTTP\/1\.0\r\n(?![^]*keep-alive)/m

type Case = { readonly asks: string; readonly ahead: number }
const hot = (asks: string): Case => ({ asks, ahead: 1 })
const usual = (asks: string): Case => ({ asks, ahead: 0 })

/** ETAG and SMALL are those of the timestamp and of the large file's compressed form. */
const CASES: Record<string, Case> = {
  'the timestamp': hot(file('timestamp.json')),
  'a file by its version': hot(file('1.root.json')),
  'a file by its hash': hot(file('targets.HASH.json')),
  'a file that the caller has': hot(file('timestamp.json', 'If-None-Match: ETAG\r\n')),
  'a file that the caller has another one of': hot(file('timestamp.json', 'If-None-Match: "x"\r\n')),
  'a file that is in a list of what the caller has': hot(file('timestamp.json', 'If-None-Match: "x", ETAG\r\n')),
  'a file that the caller has, said weakly': hot(file('timestamp.json', 'If-None-Match: W/ETAG\r\n')),
  'a file of which the caller has any': hot(file('timestamp.json', 'If-None-Match: *\r\n')),
  'a file that the caller has, said twice': hot(
    file('timestamp.json', 'If-None-Match: "x"\r\nIf-None-Match: ETAG\r\n'),
  ),
  'a file that is too small to be compressed': hot(file('timestamp.json', 'Accept-Encoding: gzip\r\n')),
  'a large file': hot(large()),
  'a large file, compressed': hot(large('Accept-Encoding: br, gzip;q=0.5\r\n')),
  'a large file, compressed, said twice': hot(large('Accept-Encoding: br\r\nAccept-Encoding: x-gzip\r\n')),
  'a large file, not to be compressed': hot(large('Accept-Encoding: gzip;q=0, *\r\n')),
  'a large file that the caller has compressed': hot(large('Accept-Encoding: gzip\r\nIf-None-Match: SMALL\r\n')),
  'a large file that the caller has otherwise': hot(large('If-None-Match: SMALL\r\n')),
  'a caller with a request id': hot(file('timestamp.json', 'X-Request-Id: of-the-caller\r\n')),
  'a caller with a request id that is none': hot(file('timestamp.json', 'X-Request-Id: <>\r\n')),
  'a caller with two request ids': hot(file('timestamp.json', 'X-Request-Id: a\r\nX-Request-Id: b\r\n')),
  'a caller with a token': hot(file('timestamp.json', 'Authorization: Bearer tst_x\r\n')),
  'a caller who is said to be another': hot(file('timestamp.json', 'X-Forwarded-For: 10.0.0.1\r\n')),
  'a caller who waits to be asked on': hot(file('timestamp.json', 'Expect: 100-continue\r\n')),
  'a caller who keeps the connection by name': hot(file('timestamp.json', 'Connection: keep-alive\r\n')),
  'an upgrade': hot(file('timestamp.json', 'Connection: close, upgrade\r\nUpgrade: websocket\r\n')),
  'the same, and then nothing': hot(file('timestamp.json', 'Connection: close\r\n')),
  'a version of HTTP that is old': hot(`GET ${FILES}/timestamp.json HTTP/1.0\r\nHost: x\r\n\r\n`),
  'the same, kept alive': hot(`GET ${FILES}/timestamp.json HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n`),
  'requests without waiting': { asks: file('timestamp.json') + file('9.root.json') + file('root.json'), ahead: 2 },
  'many requests without waiting': { asks: (file('timestamp.json') + large()).repeat(20), ahead: 40 },
  // Two files are looked for: the root that there is, and the timestamp.
  'no such root, and the timestamp along': { asks: file('2.root.json', ALONG), ahead: 2 },
  'no such root by far, and the timestamp along': { asks: file('999999999999999.root.json', ALONG), ahead: 2 },
  'a root that is there, and nothing along': hot(file('1.root.json', ALONG)),
  'no such root, to publish on top of, and nothing along': usual(
    file('2.root.json', `${ALONG}X-Tagseal-Purpose: publish\r\n`),
  ),
  'no such root, and another file along': usual(file('2.root.json', 'X-Tagseal-Along: root.json\r\n')),
  'no such root, and the timestamp along twice': usual(file('2.root.json', ALONG.repeat(2))),
  'the head of no such root': usual(file('2.root.json', ALONG).replace('GET', 'HEAD')),
  'no such root in a repository that is not there': usual(get('/v2/x/_trust/tuf/2.root.json', ALONG)),
  'no such targets, and nothing along': usual(file('9.targets.json', ALONG)),
  'the head of a file': usual(file('timestamp.json').replace('GET', 'HEAD')),
  'the head of a file that the caller has': usual(
    file('timestamp.json', 'If-None-Match: *\r\n').replace('GET', 'HEAD'),
  ),
  'a file to publish on top of': usual(file('timestamp.json', 'X-Tagseal-Purpose: publish\r\n')),
  'a file for another purpose': hot(file('timestamp.json', 'X-Tagseal-Purpose: look\r\n')),
  'a file that is not there': usual(file('9.root.json')),
  'a repository that is not there': usual(get('/v2/x/_trust/tuf/root.json')),
  'a repository without a name': usual(get('/v2/_trust/tuf/root.json')),
  'a name that is none': usual(get('/v2/a//b/_trust/tuf/root.json')),
  'two places where the name might end': usual(get(`${FILES}/_trust/tuf/root.json`)),
  'slashes as escapes': usual(get(`/v2/${REPO.replaceAll('/', '%2F')}/_trust/tuf/timestamp.json`)),
  'a letter as an escape': usual(file('%74imestamp.json')),
  'an escape that is none': usual(file('%zz.json')),
  'a query': usual(file('timestamp.json?x=1')),
  'a query of nothing': usual(file('timestamp.json?')),
  'a fragment': usual(file('timestamp.json#x')),
  'more than the name': usual(file('timestamp.json/')),
  'the whole address, as a proxy asks': usual(get(`http://x${FILES}/timestamp.json`)),
  'a body that nobody wants': usual(`${file('timestamp.json', 'Content-Length: 6\r\n')}GET / `),
  'a body of nothing': usual(file('timestamp.json', 'Content-Length: 0\r\n')),
  'chunks that nobody wants': usual(`${file('timestamp.json', 'Transfer-Encoding: chunked\r\n')}1\r\nx\r\n0\r\n\r\n`),
  'another method': usual(file('timestamp.json').replace('GET', 'OPTIONS')),
}

type Open = {
  readonly app: FastifyInstance
  readonly port: number
  /** How many files were found ahead of the application. */
  readonly found: () => number
  /** What was counted and noted, and the lines of the log, since the last time. */
  readonly record: () => { readonly tally: object | undefined; readonly lines: readonly object[] }
}

const { deps, clock } = await filled(t)

await t.test('a public server', async (t) => {
  const [ahead, route] = [await open(t, deps, true), await open(t, deps, false)]
  const names = await namesIn(ahead.port)
  for (const [name, { asks, ahead: many }] of Object.entries(CASES)) {
    await t.test(`gives the same answer to ${name}`, async (t) => {
      const request = Object.entries(names).reduce((text, [word, value]) => text.replaceAll(word, value), asks)
      await settled(ahead, request)
      const before = ahead.found()
      const [expected, got] = [await settled(route, request), await settled(ahead, request)]
      t.match(expected.answers, /^HTTP\/1\.1 \d{3} /)
      t.equal(got.answers, expected.answers)
      t.strictSame(got.record, expected.record, 'and counts, notes and writes down the same')
      t.equal(ahead.found() - before, many, 'that many without the application')
    })
  }
})

await t.test('on a private server nobody passes by the application, which looks at who they are', async (t) => {
  const app = await open(t, { ...deps, settings: { ...deps.settings, private: true } }, true)
  for (let i = 0; i < 2; i++) t.match(await first(app, file('timestamp.json')), /^cache-control: private, no-cache\r$/m)
  t.equal(app.found(), 0)
})

await t.test('a repository that is held back is so for everybody, at once', async (t) => {
  const { metadata } = deps.store
  let held: Awaited<ReturnType<typeof metadata.holdingBack>> = []
  const files = openServedFiles({ ...metadata, holdingBack: async () => held }, 1024 * 1024)
  const app = await open(t, { ...deps, files }, true)
  for (const status of [200, 200]) t.match(await first(app, file('targets.json')), new RegExp(`^HTTP/1.1 ${status} `))
  const [targets] = (await metadata.state(REPO))?.files.values() ?? []
  held = targets === undefined ? [] : [{ role: targets.role, version: 9 }]
  files.changed(REPO)
  for (const status of [503, 503]) t.match(await first(app, file('targets.json')), new RegExp(`^HTTP/1.1 ${status} `))
})

await t.test('a connection on which a request came while the server stops ends with its answer', async (t) => {
  for (const ahead of [true, false]) {
    const server = await open(t, deps, ahead)
    await settled(server, file('timestamp.json'))
    const socket = connect(server.port, '127.0.0.1')
    const request = file('timestamp.json')
    socket.write(request.slice(0, 20))
    await once(server.app.server, 'connection')
    await new Promise((resolve) => setTimeout(resolve, 50))
    const closed = server.app.close()
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.write(request.slice(20))
    t.match(await all(socket), /^HTTP\/1\.1 200 OK\r\nconnection: close\r\n/i)
    await closed
  }
})

for (const ahead of [true, false]) {
  await t.test(`a caller who says no more is answered over TLS, ${ahead ? 'ahead' : 'by the route'}`, async (t) => {
    const { cert, key, caText: ca } = await makeCertificate(t.testdir())
    const server = await open(t, deps, ahead, { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
    for (let i = 0; i < 3; i++) {
      const socket = connectTls({ port: server.port, host: '127.0.0.1', ca })
      await once(socket, 'secureConnect')
      socket.end(file('timestamp.json'))
      t.match(await all(socket), /^HTTP\/1\.1 200 /)
    }
    t.equal(server.found(), ahead ? 3 : 0)
  })
}

await t.test('a caller who went before the answer is counted once, as one who did', async (t) => {
  let find: () => void = () => undefined
  const files = {
    ...deps.files,
    inMemory() {
      find()
      return deps.files.inMemory()
    },
  }
  const server = await open(t, { ...deps, files }, true)
  await settled(server, file('timestamp.json'))
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  find = () => socket.resetAndDestroy()
  socket.write(file('timestamp.json'))
  const statuses: number[] = []
  while (statuses.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    statuses.push(...statusesIn(server))
  }
  t.same(statuses, [499])
})

const MANY = 60

for (const goes of [true, false]) {
  await t.test(`large files of which the caller takes ${goes ? 'some and goes' : 'all, slowly'}`, async (t) => {
    const server = await open(t, deps, true)
    await settled(server, large())
    const before = server.found()
    const socket = connect(server.port, '127.0.0.1')
    socket.pause()
    socket.write(large().repeat(MANY))
    await new Promise((resolve) => setTimeout(resolve, 200))
    const early = statusesIn(server)
    t.ok(early.length < MANY, 'are not counted before they are over')
    if (goes) socket.destroy()
    else socket.resume()
    while (early.length < MANY) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      early.push(...statusesIn(server))
    }
    t.equal(early.includes(499), goes)
    socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(early.length + statusesIn(server).length, MANY, 'and then once each')
    t.equal(server.found() - before, MANY)
  })
}

await t.test('warns of what expires soon as the route does', async (t) => {
  const [ahead, route] = [await open(t, deps, true), await open(t, deps, false)]
  await settled(ahead, file('timestamp.json') + file('1.root.json'))
  clock.now += 20 * 3600 * 1000
  const before = ahead.found()
  for (const asks of [file('timestamp.json'), file('timestamp.json', 'If-None-Match: *\r\n'), file('1.root.json')]) {
    const { answers } = await settled(route, asks)
    t.equal((await settled(ahead, asks)).answers, answers)
    t.equal(answers.includes('warning: 299'), !asks.includes('1.root'))
  }
  t.equal(ahead.found() - before, 3)
})

/** With a small repository and a large one. */
async function filled(t: Test) {
  const server = await openTestServer(t)
  await server.create()
  await server.create(
    Array.from({ length: 2000 }, (_, i) => `tag-${i}`),
    LARGE,
  )
  return { clock: server.clock, deps: server.services.deps }
}

/** The server as it is, or its route alone; with a log and figures of its own. */
async function open(t: Test, deps: AppDeps, ahead: boolean, tls?: TlsFiles): Promise<Open> {
  const tally = makeTally()
  const lines: object[] = []
  const logger = pino(
    { base: null, timestamp: false },
    { write: (line: string) => void lines.push(comparable(JSON.parse(line) as object)) },
  )
  let found = 0
  const inMemory = () => {
    const find = deps.files.inMemory()
    return (...wanted: Parameters<typeof find>) => {
      const served = find(...wanted)
      if (served !== undefined) found += 1
      return served
    }
  }
  const [sightings, metrics] = [
    { ...deps.sightings, ...tally },
    { ...deps.metrics, ...tally },
  ]
  const own = { ...deps, logger, sightings, metrics, files: { ...deps.files, inMemory } }
  const app = ahead ? buildApp(own, { tls }) : routeOf(own, { tls })
  await app.listen({ port: 0, host: '127.0.0.1', listenTextResolver: () => '' })
  t.teardown(() => app.close())
  const record = () => ({ tally: tally.take(), lines: lines.splice(0).filter((line) => 'request' in line) })
  return { app, port: portOf(app), found: () => found, record }
}

function portOf({ server }: FastifyInstance): number {
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

function routeOf(deps: AppDeps, door: Door): FastifyInstance {
  const app = openFrame(deps, door)
  const requireReader = () => Promise.reject(new Error('nobody is asked who they are'))
  getMetadata(app, { ...deps, requireReader })
  return app
}

/** But for what differs between any two requests. */
function comparable(line: object): object {
  return { ...line, ...('ms' in line ? { ms: typeof line.ms } : {}), ...('request' in line ? { request: '' } : {}) }
}

/** Everything that comes back for these and for a last request after them, and how it was recorded. */
async function settled(server: Open, requests: string): Promise<{ answers: string; record: object }> {
  server.record()
  const socket = connect(server.port, '127.0.0.1')
  socket.write(ENDS.test(requests) ? requests : requests + LAST, 'latin1')
  const answers = (await all(socket))
    .replaceAll(/^date: .*\r\n/gim, '')
    .replaceAll(/^x-request-id: (?!of-the-caller).*\r\n/gim, 'x-request-id: ours\r\n')
  await new Promise((resolve) => setImmediate(resolve))
  return { answers, record: server.record() }
}

async function first(server: Open, request: string): Promise<string> {
  return (await settled(server, request)).answers
}

async function all(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  socket.on('data', (part: Buffer) => parts.push(part))
  socket.on('error', () => socket.destroy())
  await once(socket, 'close')
  return Buffer.concat(parts).toString('latin1')
}

/** Of the lines of the log since the last time. */
function statusesIn(server: Open): number[] {
  return server.record().lines.map((line) => ('status' in line ? Number(line.status) : 0))
}

async function namesIn(port: number): Promise<Record<string, string>> {
  const etag = async (request: string) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(request.replace('Host', 'Connection: close\r\nHost'))
    return /^etag: (.*)\r$/m.exec(await all(socket))?.[1] ?? ''
  }
  return {
    HASH: (await etag(file('targets.json'))).replaceAll('"', ''),
    SMALL: await etag(large('Accept-Encoding: gzip\r\n')),
    ETAG: await etag(file('timestamp.json')),
  }
}
