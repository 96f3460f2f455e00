/** Several processes that accept connections, as an operator runs them. */
import { Agent, get, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificate } from '../../support/tls.ts'
import { basic } from '../support/access.ts'
import { REPO } from '../support/app.ts'
import { run, startProcess } from '../support/process.ts'
import { createRepository, FILES, publishNext, readersOf, runs, startWithReaders, until } from './support.ts'

const local = (data: string) => ['--data', data, '--listen', '127.0.0.1:0', '--open']

/** One connection that stays: the process that accepted it answers all. */
function openCaller(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = async (path: string) => {
    const request = get(`${url}${path}`, { agent })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    return {
      status: response.statusCode,
      body: Buffer.concat(chunks).toString(),
      id: String(response.headers['x-request-id']),
    }
  }
  return { ask, close: () => agent.destroy() }
}

await t.test('two readers of one server', async (t) => {
  const server = await startWithReaders(local(t.testdir()))
  t.teardown(() => server.stop())
  const owner = await createRepository(server.url)

  await t.test('a publish that was acknowledged is seen through every connection at once', async (t) => {
    const callers: ReturnType<typeof openCaller>[] = []
    t.teardown(() => callers.forEach(({ close }) => close()))
    const processes = new Set<string>()
    while (callers.length < 8 || processes.size < 2) {
      const caller = openCaller(server.url)
      callers.push(caller)
      processes.add((await caller.ask(`${FILES}/timestamp.json`)).id.split('-')[0] ?? '')
    }
    const wrong: string[] = []
    for (let version = 2; version <= 200; version++) {
      await publishNext(server.url, owner)
      const answers = await Promise.all(callers.map(({ ask }) => ask(`${FILES}/timestamp.json`)))
      for (const { body } of answers) {
        const seen = (JSON.parse(body) as { signed: { version: number } }).signed.version
        if (seen !== version) wrong.push(`${seen} after ${version}`)
      }
    }
    t.strictSame(wrong, [])
  })

  await t.test('reading goes on while a large upload keeps the main process busy', async (t) => {
    const tag = (i: number) => `"tag-${i}":{"hashes":{"sha256":"${'0'.repeat(64)}"},"length":1}`
    const targets = `{"signatures":[],"signed":{"_type":"targets","expires":"2030-01-01T00:00:00Z","spec_version":"1.0.31","targets":{${Array.from({ length: 150_000 }, (_, i) => tag(i)).join(',')}},"version":${owner.targets.version + 1}}}`
    const body = new FormData()
    body.append('files', new Blob([targets]), 'targets')
    let refused: number | undefined
    const upload = fetch(`${server.url}${FILES}/`, { method: 'POST', body }).then(({ status }) => (refused = status))
    const { ask, close } = openCaller(server.url)
    t.teardown(close)
    const began = performance.now()
    let [answers, slowest] = [0, 0]
    while (refused === undefined) {
      const asked = performance.now()
      const { status } = await ask(`${FILES}/timestamp.json`)
      if (status !== 200) t.fail(`answered ${status}`)
      slowest = Math.max(slowest, performance.now() - asked)
      answers += 1
    }
    await upload
    const took = performance.now() - began
    t.comment(
      `${targets.length} bytes refused after ${Math.round(took)} ms; ${answers} answers, the slowest after ${Math.round(slowest)} ms`,
    )
    t.equal(refused, 400)
    t.ok(answers > 20, `${answers} answers meanwhile`)
    t.ok(slowest < took / 2, 'none of which waited for it')
  })

  await t.test('requests of all readers are counted, and each is logged once', async (t) => {
    for (let i = 0; i < 20; i++) await fetch(`${server.url}${FILES}/99.root.json`, { headers: { connection: 'close' } })
    await fetch(`${server.url}/healthz`)
    const figures = async () => (await fetch(`${server.url}/metrics`)).text()
    const all = /tagseal_requests_total\{route="\/v2\/:repository\/_trust\/tuf\/:file",status="404"\} 20\n/
    await until(async () => all.test(await figures()))
    await fetch(`${server.url}${FILES}/timestamp.json`)
    const sightings = async () => (await fetch(`${server.url}/v1/repositories/${REPO}/_sightings`)).text()
    await until(async () => /"who":"127\.0\.0\.0\/24","version":\d+/.test(await sightings()))
    await until(() => server.log().includes('_sightings'))
    const lines = server
      .log()
      .split('\n')
      .filter((line) => line.includes('"msg":"request"'))
    t.equal(lines.filter((line) => line.includes('99.root.json')).length, 20)
    t.equal(lines.filter((line) => line.includes('/healthz')).length, 1)
    const read = lines.filter((line) => !line.includes('POST')).map((line) => JSON.parse(line) as { url: string })
    // One for each address: readers were asked many thousand times above.
    for (const line of new Map(read.map((each) => [each.url, each])).values())
      t.match(line, { request: /./, method: 'GET', url: /^\//, status: Number, ms: Number })
  })

  await t.test('a reader that dies is replaced, and its callers find the others', async (t) => {
    const [first = 0] = readersOf(server)
    process.kill(first, 'SIGKILL')
    const statuses = new Set<number>()
    const isReplaced = () => readersOf(server).length === 3
    while (!isReplaced()) {
      const answer = await fetch(`${server.url}${FILES}/timestamp.json`, { headers: { connection: 'close' } }).catch(
        () => undefined,
      )
      if (answer !== undefined) statuses.add(answer.status)
    }
    t.strictSame([...statuses], [200])
    await until(() => server.log().includes(`"reader":${first},"ended":"SIGKILL"`))
    t.equal(await server.stop(), 0)
    t.strictSame(readersOf(server).filter(runs), [], 'and all end with the server')
  })
})

await t.test('readers end with a server that is killed, and the next one starts at once', async (t) => {
  const data = t.testdir()
  const server = await startWithReaders(local(data))
  const readers = readersOf(server)
  const owner = await createRepository(server.url)
  await server.stop('SIGKILL')
  const next = await startProcess(['--data', data, '--listen', new URL(server.url).host, '--open', '--readers', '1'])
  t.teardown(() => next.stop())
  await until(() => !readers.some(runs))
  await publishNext(next.url, owner)
  t.equal((await fetch(`${next.url}${FILES}/2.targets.json`)).status, 200)
})

await t.test('a signal to the whole group of processes drains as one to the main process does', async (t) => {
  const server = await startWithReaders(local(t.testdir()))
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`POST ${FILES}/ HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Type: multipart/form-data; boundary=b\r\n`)
  socket.write('Content-Length: 9\r\n\r\n--b\r\n')
  await new Promise((resolve) => setTimeout(resolve, 200))
  for (const pid of readersOf(server)) process.kill(pid, 'SIGTERM')
  const ended = server.stop()
  await new Promise((resolve) => setTimeout(resolve, 200))
  socket.write('x'.repeat(4))
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.match(answer.toString(), /^HTTP\/1\.1 400 [^]*connection: close[^]*MALFORMED_UPLOAD/)
  t.equal(await ended, 0)
})

await t.test('every reader takes up a new certificate', async (t) => {
  const dir = t.testdir({ one: {}, two: {}, data: {} })
  const [one, two] = [await makeCertificate(join(dir, 'one')), await makeCertificate(join(dir, 'two'))]
  const server = await startWithReaders([...local(join(dir, 'data')), '--tls-cert', one.cert, '--tls-key', one.key])
  t.teardown(() => server.stop())
  const port = Number(new URL(server.url).port)
  const isVouchedBy = async (ca: string): Promise<boolean> => {
    const socket = connectTls({ port, host: '127.0.0.1', ca })
    const [event] = await Promise.race([
      once(socket, 'secureConnect').then(() => [true]),
      once(socket, 'error').then(() => [false]),
    ])
    socket.destroy()
    return event === true
  }
  t.ok(await isVouchedBy(one.caText))
  writeFileSync(one.cert, two.caText)
  writeFileSync(one.key, readFileSync(two.key))
  server.child.kill('SIGHUP')
  await until(() => server.log().includes('was read again'))
  await until(() => isVouchedBy(two.caText))
  const [first = 0] = readersOf(server)
  process.kill(first, 'SIGKILL')
  await until(() => readersOf(server).length === 3)
  const many = await Promise.all(Array.from({ length: 20 }, () => isVouchedBy(two.caText)))
  t.notOk(many.includes(false), 'one that comes later as well')
})

await t.test('a private server shows nothing without a token', async (t) => {
  const data = t.testdir()
  const token = (...args: string[]) => run(['token', ...args, '--data', data])
  const made = await token('create', '--name', 'ci', '--repo', '**', '--allow', 'push')
  const server = await startWithReaders(['--data', data, '--listen', '127.0.0.1:0', '--private'])
  t.teardown(() => server.stop())
  const status = async (secret?: string) =>
    (
      await fetch(
        `${server.url}${FILES}/root.json`,
        secret === undefined ? {} : { headers: { authorization: `Bearer ${secret}` } },
      )
    ).status
  t.equal(await status(), 401)
  t.equal(await status(made.stdout.trim()), 404)
  await token('revoke', 'ci')
  t.equal(await status(made.stdout.trim()), 401)
})

await t.test('wrong secrets are counted by the address they come from, whatever it is said to be', async (t) => {
  const server = await startWithReaders(['--data', t.testdir(), '--listen', '127.0.0.1:0'])
  t.teardown(() => server.stop())
  const guess = async (i: number) => {
    const headers = { ...basic(`tst_${String(i).padStart(43, 'x')}`), 'x-forwarded-for': `10.0.0.${i}` }
    return (await fetch(`${server.url}/token`, { headers })).status
  }
  for (let i = 0; i < 30; i++) t.equal(await guess(i), 401)
  t.equal(await guess(31), 429)
})

await t.test('readers have no key of the server, and nobody else the way to it', async (t) => {
  const data = t.testdir()
  const kek = Buffer.alloc(32, 'a key-encryption key of 32 bytes').toString('base64')
  const server = await startWithReaders(local(data), 2, { TAGSEAL_SERVER_KEK: kek })
  t.teardown(() => server.stop())
  t.equal(statSync(join(data, 'main.sock')).mode & 0o777, 0o600)
  for (const pid of readersOf(server)) {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1')
    t.ok(environment.includes('NODE_UNIQUE_ID='), 'its environment can be seen')
    t.notOk(environment.includes(kek), 'and holds no key')
  }
})

await t.test('a data folder may have a longer path than sockets can', async (t) => {
  const server = await startWithReaders(local(join(t.testdir(), 'x'.repeat(120))), 1)
  t.equal((await fetch(`${server.url}/readyz`)).status, 200)
  t.equal(await server.stop(), 0)
})

await t.test('does not start where it cannot', async (t) => {
  const taken = await startWithReaders(local(t.testdir()))
  t.teardown(() => taken.stop())
  const { host } = new URL(taken.url)
  const second = await run(['--data', t.testdir(), '--listen', host, '--open', '--readers', '2'])
  t.match(second, { code: 2, stdout: '', stderr: /^error: cannot listen on .*: EADDRINUSE \(LISTEN_FAILED\)$/m })
  t.match(await run([...local(t.testdir()), '--readers', 'many']), { code: 2, stderr: /SETTING_INVALID/ })
})
