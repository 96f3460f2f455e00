/** What a caller sees must not depend on how many processes there are. Compared byte for byte, over raw sockets. */
import { connect } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startProcess } from '../support/process.ts'
import { createRepository, FILES } from './support.ts'

const HOST = 'Host: x\r\nAccept: */*\r\n'
const NEXT = `GET /healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`
const JUNK = '--b\r\nContent-Disposition: form-data; name="f"; filename="targets"\r\n\r\n{}\r\n--b--\r\n'
const FORM = 'Content-Type: multipart/form-data; boundary=b\r\n'
const chunked = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`

/** Each is followed by another request on the same connection, so that nobody mistakes where one ends. */
const REQUESTS: Record<string, string> = {
  'a file': get(`${FILES}/root.json`),
  'a file by its version': get(`${FILES}/1.targets.json`),
  'a file, compressed': get(`${FILES}/targets.json`, 'Accept-Encoding: gzip\r\n'),
  'a file that the caller has': get(`${FILES}/root.json`, 'If-None-Match: *\r\n'),
  'the head of a file': get(`${FILES}/root.json`).replace('GET', 'HEAD'),
  'a file, as a proxy asks': get(`http://x${FILES}/root.json`),
  'a file, with a body that nobody wants': `${get(`${FILES}/root.json`, 'Content-Length: 6\r\n')}GET / `,
  'a file, with chunks that nobody wants': get(`${FILES}/root.json`, 'Transfer-Encoding: chunked\r\n') + chunked(NEXT),
  'a file that is not there': get(`${FILES}/9.root.json`),
  'a name that is none': get('/v2/a//b/_trust/tuf/root.json'),
  'a name that is too long': get(`/v2/${'x'.repeat(300)}/_trust/tuf/root.json`),
  'an escape that is none': get(`${FILES}/%zz.json`),
  'a repository that is not there, for old clients': `GET /v2/x/_trust/tuf/root.json HTTP/1.1\r\nHost: x\r\n\r\n`,
  'a route that is none': get('/v3/'),
  'a query': get('/v1/repositories?limit=1'),
  'a query that is wrong': get('/v1/repositories?limit=x'),
  'whether it is alive': get('/healthz'),
  'the head of a page of the main process': get('/readyz').replace('GET', 'HEAD'),
  'whether the caller is known': get('/v2/'),
  'a page with a body that nobody wants': `${get('/healthz', 'Content-Length: 6\r\n')}GET / `,
  'a page with chunks that nobody wants': get('/healthz', 'Transfer-Encoding: chunked\r\n') + chunked(NEXT),
  'a method that is none of ours': `PATCH ${FILES}/root.json HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`,
  'the options of a route': `OPTIONS ${FILES}/root.json HTTP/1.1\r\n${HOST}\r\n`,
  'an upgrade': get('/healthz', 'Connection: upgrade\r\nUpgrade: websocket\r\n'),
  'an upload of no form': `POST ${FILES}/ HTTP/1.1\r\n${HOST}Content-Length: 2\r\nContent-Type: text/plain\r\n\r\n{}`,
  'an upload of nothing': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}\r\n`,
  'an upload that is too large': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}Content-Length: 999999999\r\n\r\n`,
  'an upload that clients would refuse': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}Content-Length: ${JUNK.length}\r\n\r\n${JUNK}`,
  'the same with a header on two lines': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}X-Long: a\r\n b\r\nContent-Length: ${JUNK.length}\r\n\r\n${JUNK}`,
  'the same with a header of other bytes than text': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}X-Request-Id: \u00e9\t\u00ff\r\nContent-Length: ${JUNK.length}\r\n\r\n${JUNK}`,
  'the same, and more than was announced': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}Content-Length: ${JUNK.length - 2}\r\n\r\n${JUNK}`,
  'the same in chunks': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}Transfer-Encoding: chunked\r\n\r\n${chunked(JUNK)}`,
  'an upload of who waits to be asked on': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}Expect: 100-continue\r\nContent-Length: ${JUNK.length}\r\n\r\n${JUNK}`,
  'a deletion with a body': `DELETE /v2/x/_trust/tuf/ HTTP/1.1\r\n${HOST}Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}`,
  'a deletion in chunks': `DELETE /v2/x/_trust/tuf/ HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n${chunked('{}')}`,
  'a token to be made of nonsense': `POST /v1/tokens HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 3\r\n\r\n{,}`,
  'no host': 'GET /healthz HTTP/1.1\r\n\r\n',
  'an old version of HTTP': `GET /healthz HTTP/1.0\r\nAccept: */*\r\n\r\n`,
  'two lengths': `POST ${FILES}/ HTTP/1.1\r\n${HOST}${FORM}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'no HTTP at all': 'hello\r\n\r\n',
}

const alone = await serve(t, 0)
const behind = await serve(t, 1)
for (const [name, request] of Object.entries(REQUESTS)) {
  await t.test(`one process and several answer the same to ${name}`, async (t) => {
    const [expected, got] = await Promise.all([answers(alone, request), answers(behind, request)])
    t.match(expected, /^HTTP\/1\.1 \d{3} /)
    t.equal(got, expected)
  })
}

async function serve(t: Test, readers: number): Promise<number> {
  const data = mkdtempSync(join(tmpdir(), 'tagseal-same-'))
  const args = ['--data', data, '--listen', '127.0.0.1:0', '--open', '--readers', String(readers)]
  const server = await startProcess(args, { env: { TAGSEAL_SERVER_KEEP_ALIVE_TIMEOUT: '1' } })
  t.teardown(async () => {
    await server.stop()
    rmSync(data, { recursive: true, force: true })
  })
  await createRepository(server.url)
  return Number(new URL(server.url).port)
}

/** Everything that comes back for it and for the request after it, without what differs between any two answers. */
async function answers(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy())
  const parts: Buffer[] = []
  socket.on('data', (part: Buffer) => parts.push(part))
  // An old caller's connection ends with its answer, and whatever follows is an error.
  socket.write(request.includes('HTTP/1.0') ? request : request + NEXT, 'latin1')
  // Whoever announces more than they send has the connection kept open for the rest.
  socket.setTimeout(request.includes('999999999') ? 1500 : 0, () => socket.destroy())
  await once(socket, 'close')
  return comparable(Buffer.concat(parts).toString('latin1'))
}

/** Headers have no order, and the two servers have repositories and keys of their own. */
function comparable(text: string): string {
  return text
    .replaceAll(/^(x-request-id|date|last-modified|etag): .*\r\n/gim, '')
    .replaceAll(
      /(HTTP\/1\.1 \d{3} [^\r]*\r\n)((?:[^\r]+\r\n)*)/g,
      (_, first: string, headers: string) => first + headers.split('\r\n').sort().join('\r\n'),
    )
    .replaceAll(/\b[0-9a-f]{64,128}\b|[A-Za-z0-9+/=_-]{64,}/g, '…')
    .replaceAll(/"createdAt":"[^"]*"|"expires":"[^"]*"/g, '')
}
