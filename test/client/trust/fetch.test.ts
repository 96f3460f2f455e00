import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import type { Test } from 'tap'
import { baseUrl, httpSource, metadataUrlOf } from '../../../client/trust/fetch.ts'
import { fetchNeeded } from '../../../client/trust/mirrors.ts'
import { DEFAULT_PATIENCE } from '../../../client/trust/transfer.ts'
import type { TransferOptions } from '../../../client/trust/transfer.ts'
import { openHttp } from '../../../client/http.ts'
import { hash } from '../../../keys/digest.ts'
import { TrustError } from '../../../tuf/index.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

async function serve(t: Test, answer: Answer): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function sourceAt(t: Test, url: string, more: Partial<TransferOptions> = {}) {
  const http = openHttp()
  t.teardown(() => http.close())
  return httpSource(url, { http, ...more })
}

const answers =
  (status: number, body = '', headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(status, headers).end(body)
  }

await t.test('a file comes as it is', async (t) => {
  const asked: string[] = []
  const url = await serve(t, (request, response) => {
    asked.push(request.url ?? '')
    response.end('{"a":1} ')
  })
  const source = sourceAt(t, `${url}/test%5Bx%20y%5D/metadata`)
  t.equal(Buffer.from((await source.get('1.a%2Fb.json', 100)) ?? []).toString(), '{"a":1} ')
  t.equal((await source.get('1...%2Fx.json', 8))?.length, 8, 'as long as is allowed')
  t.same(asked, ['/test%5Bx%20y%5D/metadata/1.a%2Fb.json', '/test%5Bx%20y%5D/metadata/1...%2Fx.json'])
})

await t.test('absent is 404 and 403 and nothing else', async (t) => {
  for (const status of [404, 403]) {
    t.equal(await sourceAt(t, await serve(t, answers(status, 'x'.repeat(50_000)))).get('2.root.json', 100), undefined)
  }
  for (const status of [204, 206, 304, 400, 410, 418, 429, 500, 502, 503, 504]) {
    const source = sourceAt(t, await serve(t, answers(status)))
    await t.rejects(source.get('2.root.json', 100), { code: 'SERVER_ERROR', detail: { status } }, String(status))
  }
  await t.rejects(sourceAt(t, await serve(t, answers(401))).get('x', 9), { code: 'UNAUTHORIZED' })
})

await t.test('an error page keeps the connection for the next request', async (t) => {
  const ports = new Set<number | undefined>()
  const url = await serve(t, (request, response) => {
    ports.add(request.socket.remotePort)
    response.writeHead(request.url === '/2.root.json' ? 404 : 200).end('body')
  })
  const source = sourceAt(t, url)
  await source.get('2.root.json', 100)
  await source.get('timestamp.json', 100)
  t.equal(ports.size, 1)
})

await t.test('a connection that the server closed meanwhile is opened again, once', async (t) => {
  const used = new Set<unknown>()
  const closing = await serve(t, (request, response) => {
    if (used.has(request.socket)) return void request.socket.destroy()
    used.add(request.socket)
    response.end('body')
  })
  const source = sourceAt(t, closing)
  for (let i = 0; i < 3; i++) t.equal((await source.get('x', 100))?.length, 4)
  let attempts = 0
  const broken = await serve(t, (request) => {
    attempts++
    request.socket.destroy()
  })
  await t.rejects(sourceAt(t, broken).get('x', 100), { code: 'NETWORK' })
  t.equal(attempts, 2)
})

await t.test('more than is allowed is refused', async (t) => {
  await t.test('when it is announced', async (t) => {
    await t.rejects(sourceAt(t, await serve(t, answers(200, 'x'.repeat(101)))).get('x', 100), { code: 'TOO_LARGE' })
  })
  await t.test('when it just keeps coming', async (t) => {
    const url = await serve(t, (_, response) => {
      const timer = setInterval(() => response.write('x'.repeat(50_000)), 1)
      response.on('close', () => clearInterval(timer))
    })
    await t.rejects(sourceAt(t, url).get('x', 1_000_000), { name: 'TrustError', code: 'TOO_LARGE' })
  })
})

await t.test('an encoding nobody asked for is refused', async (t) => {
  let wanted: string | undefined
  const url = await serve(t, (request, response) => {
    wanted = request.headers['accept-encoding']?.toString()
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10_000_000)))
  })
  await t.rejects(sourceAt(t, url).get('x', 1_000_000), { code: 'BAD_ANSWER' })
  t.equal(wanted, 'identity')
})

await t.test('slow answers', async (t) => {
  const patience = { idle: 100, grace: 200, rate: 1024 }
  await t.test('end when there is silence before the headers', async (t) => {
    const url = await serve(t, () => undefined)
    await t.rejects(sourceAt(t, url, { patience }).get('x', 100), { code: 'TIMEOUT' })
  })
  await t.test('end when there is silence within the body', async (t) => {
    const url = await serve(t, (_, response) => void response.write('{'))
    await t.rejects(sourceAt(t, url, { patience }).get('x', 100), { code: 'TIMEOUT' })
  })
  await t.test('end when they trickle', async (t) => {
    const url = await serve(t, (_, response) => {
      const timer = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(timer))
    })
    await t.rejects(sourceAt(t, url, { patience }).get('x', 100_000), { code: 'TIMEOUT' })
  })
  await t.test('may take long as long as they flow', async (t) => {
    const url = await serve(t, (_, response) => {
      let parts = 0
      const timer = setInterval(() => {
        response.write('x'.repeat(1000))
        if (++parts < 20) return
        clearInterval(timer)
        response.end()
      }, 20)
    })
    // Longer than their grace; and no silence of a busy machine is as long as the idle time.
    const flowing = { ...patience, idle: 5000 }
    t.equal((await sourceAt(t, url, { patience: flowing }).get('x', 100_000))?.length, 20_000)
  })
  await t.test('end by the caller’s own signal', async (t) => {
    const url = await serve(t, () => undefined)
    await t.rejects(sourceAt(t, url).get('x', 100, AbortSignal.timeout(50)), { name: 'TimeoutError' })
  })
  t.ok(DEFAULT_PATIENCE.idle <= DEFAULT_PATIENCE.grace)
})

await t.test('redirects', async (t) => {
  const to = (location: string): Answer => answers(302, '', { location })
  await t.test('are followed five times, and not six', async (t) => {
    const url = await serve(t, (request, response) => {
      const left = Number(request.url?.slice(1))
      if (left === 0) response.end('here')
      else response.writeHead(307, { location: `/${left - 1}` }).end()
    })
    t.equal(Buffer.from((await sourceAt(t, url).get('5', 100)) ?? []).toString(), 'here')
    await t.rejects(sourceAt(t, url).get('6', 100), { code: 'REDIRECT_REFUSED' })
  })
  await t.test('carry the token to the same origin only', async (t) => {
    const seen: (string | undefined)[] = []
    const other = await serve(t, (request, response) => {
      seen.push(request.headers.authorization)
      response.end('other')
    })
    const url = await serve(t, (request, response) => {
      seen.push(request.headers.authorization)
      const location = request.url === '/first' ? '/second' : `${other}/third`
      response.writeHead(302, { location }).end()
    })
    await sourceAt(t, url, { token: 'secret' }).get('first', 100)
    t.same(seen, ['Bearer secret', 'Bearer secret', undefined])
  })
  await t.test('leave no doubt of a token that was not sent', async (t) => {
    const own = { token: 'secret', tokenFrom: '/token' }
    const refusing = await serve(t, answers(401))
    await t.rejects(sourceAt(t, refusing, own).get('x', 9), { code: 'UNAUTHORIZED', detail: { sent: '/token' } })
    for (const source of [sourceAt(t, refusing), sourceAt(t, await serve(t, to(refusing)), own)])
      await t.rejects(source.get('x', 9), { code: 'UNAUTHORIZED', detail: { sent: undefined } })
  })
  const REFUSED: Record<string, { location: string; code: string }> = {
    'to another protocol': { location: 'file:///etc/passwd', code: 'REDIRECT_REFUSED' },
    'to plain http elsewhere': { location: 'http://192.0.2.1/', code: 'PLAIN_HTTP_REFUSED' },
    'to an address with credentials': { location: 'http://user:pass@127.0.0.1/', code: 'REDIRECT_REFUSED' },
    'to what is no address': { location: 'http://', code: 'REDIRECT_REFUSED' },
  }
  for (const [name, { location, code }] of Object.entries(REFUSED)) {
    await t.test(`are refused ${name}`, async (t) => {
      await t.rejects(sourceAt(t, await serve(t, to(location))).get('x', 100), { code })
    })
  }
  await t.test('are refused without an address', async (t) => {
    await t.rejects(sourceAt(t, await serve(t, answers(301))).get('x', 100), { code: 'REDIRECT_REFUSED' })
  })
})

await t.test('a server that is not there is a network error', async (t) => {
  await t.rejects(sourceAt(t, 'http://127.0.0.1:1/').get('x', 100), { name: 'ClientError', code: 'NETWORK' })
  await t.rejects(sourceAt(t, 'http://192.0.2.1/').get('x', 100), { code: 'PLAIN_HTTP_REFUSED' })
})

await t.test('base URLs', async (t) => {
  t.equal(baseUrl('https://h/a'), 'https://h/a/')
  t.equal(baseUrl('https://h/a%5B/'), 'https://h/a%5B/')
  for (const text of [
    '',
    'h/a',
    'ftp://h/',
    'https://h/?',
    'https://h/?a=b',
    'https://h/#x',
    'https://u:p@h/',
    'https://',
  ]) {
    t.throws(() => baseUrl(text), { code: 'BAD_URL' }, JSON.stringify(text))
  }
  t.notMatch(String(t.throws(() => baseUrl('https://user:secret@h/'))), /secret/)
  t.equal(
    metadataUrlOf('https://t.example', 'localhost:5000/a/b'),
    'https://t.example/v2/localhost:5000/a/b/_trust/tuf/',
  )
  t.equal(metadataUrlOf('https://t.example/x/', 'a/b c'), 'https://t.example/x/v2/a/b%20c/_trust/tuf/')
})

const TIMESTAMP = '{"signed":{}}'
const SUM = hash('sha256', Buffer.from(TIMESTAMP))
const ALONG: Record<string, { readonly answer: Answer; readonly more?: object; readonly asks: readonly string[] }> = {
  'with the word that there is no next root': {
    answer: answers(404, TIMESTAMP, { 'x-tagseal-along': `timestamp.json;sha256=${SUM}` }),
    asks: ['2.root.json timestamp.json'],
  },
  'but another one was put in its place': {
    answer: answers(404, '<html>', { 'x-tagseal-along': `timestamp.json;sha256=${SUM}` }),
    asks: ['2.root.json timestamp.json', 'timestamp.json -'],
  },
  'but it is not said to be one': {
    answer: answers(404, TIMESTAMP),
    asks: ['2.root.json timestamp.json', 'timestamp.json -'],
  },
  'but it is said to be another file': {
    answer: answers(404, TIMESTAMP, { 'x-tagseal-along': `root.json;sha256=${SUM}` }),
    asks: ['2.root.json timestamp.json', 'timestamp.json -'],
  },
  'but nobody may look': {
    answer: answers(403, TIMESTAMP, { 'x-tagseal-along': `timestamp.json;sha256=${SUM}` }),
    asks: ['2.root.json timestamp.json', 'timestamp.json -'],
  },
  'but it is to be published on top of it': {
    answer: answers(404, TIMESTAMP, { 'x-tagseal-along': `timestamp.json;sha256=${SUM}` }),
    more: { toPublish: true },
    asks: ['2.root.json -', 'timestamp.json -'],
  },
}
for (const [name, { answer, more, asks }] of Object.entries(ALONG)) {
  await t.test(`a timestamp that comes along ${name}`, async (t) => {
    const asked: string[] = []
    const url = await serve(t, (request, response) => {
      const file = request.url?.slice(1) ?? ''
      asked.push(`${file} ${String(request.headers['x-tagseal-along'] ?? '-')}`)
      if (file === 'timestamp.json') response.end(TIMESTAMP)
      else answer(request, response)
    })
    const source = sourceAt(t, url, more)
    t.equal(await source.get('2.root.json', 1000), undefined)
    t.equal(Buffer.from((await source.get('timestamp.json', 1000)) ?? []).toString(), TIMESTAMP)
    t.same(asked, asks)
    await source.get('timestamp.json', 1000)
    t.equal(asked.length, asks.length + 1, 'the next time it is asked for')
  })
}

await t.test('a timestamp that came along is good for the next question alone', async (t) => {
  const asked: string[] = []
  const url = await serve(t, (request, response) => {
    asked.push(request.url ?? '')
    const isRoot = request.url === '/2.root.json'
    response.writeHead(isRoot ? 404 : 200, isRoot ? { 'x-tagseal-along': `timestamp.json;sha256=${SUM}` } : {})
    response.end(TIMESTAMP)
  })
  const source = sourceAt(t, url)
  await source.get('2.root.json', 1000)
  await source.get('3.snapshot.json', 1000)
  await source.get('timestamp.json', 1000)
  await source.get('2.root.json', 1000)
  await t.rejects(source.get('timestamp.json', TIMESTAMP.length - 1), { code: 'TOO_LARGE' }, 'nor beyond its limit')
  t.same(asked, ['/2.root.json', '/3.snapshot.json', '/timestamp.json', '/2.root.json', '/timestamp.json'])
})

await t.test('a timestamp that comes along', async (t) => {
  const along = (text: string) => ({
    'x-tagseal-along': `timestamp.json;sha256=${hash('sha256', Buffer.from(text))}`,
  })
  await t.test('from where a question was sent on to is not taken for an answer of who was asked', async (t) => {
    const elsewhere = await serve(t, answers(404, 'theirs', along('theirs')))
    const url = await serve(t, (request, response) => {
      if (request.url === '/timestamp.json') response.end('ours')
      else response.writeHead(302, { location: `${elsewhere}${request.url}` }).end()
    })
    const source = sourceAt(t, url)
    t.equal(await source.get('2.root.json', 1000), undefined)
    t.equal(Buffer.from((await source.get('timestamp.json', 1000)) ?? []).toString(), 'ours')
  })
  await t.test('late is not the newest for a refresh that began after it was asked for', async (t) => {
    const held: (() => void)[] = []
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    const url = await serve(t, (request, response) => {
      if (request.url === '/timestamp.json') response.end('new')
      else if (held.length > 0) response.writeHead(404).end()
      else {
        held.push(() => response.writeHead(404, along('old')).end('old'))
        resolve()
      }
    })
    const source = sourceAt(t, url)
    const early = source.get('2.root.json', 1000)
    await asked
    t.equal(await source.get('2.root.json', 1000), undefined)
    held[0]?.()
    t.equal(await early, undefined)
    t.equal(Buffer.from((await source.get('timestamp.json', 1000)) ?? []).toString(), 'new')
  })
  await t.test('from a cache that should not have kept it is asked for by its name', async (t) => {
    const asked: string[] = []
    const url = await serve(t, (request, response) => {
      asked.push(request.url ?? '')
      if (request.url === '/timestamp.json') response.end(served)
      else response.writeHead(404, along('old')).end('old')
    })
    let served = 'new'
    const source = sourceAt(t, url)
    const file = { name: 'timestamp.json', maxBytes: 1000 }
    const accept = (bytes: Uint8Array) => {
      if (Buffer.from(bytes).toString() !== 'old') return 'newer'
      throw new TrustError('ROLLBACK', { role: 'timestamp', trusted: 2, got: 1 })
    }
    const refresh = async () => {
      await source.get('2.root.json', 1000)
      return (await fetchNeeded(source, { file, accept, signal: undefined }))?.value
    }
    t.equal(await refresh(), 'newer')
    served = 'old'
    await t.rejects(refresh(), { code: 'ROLLBACK' }, 'and decides')
    t.same(asked, ['/2.root.json', '/timestamp.json', '/2.root.json', '/timestamp.json'])
  })
})
