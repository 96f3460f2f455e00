/** What calls itself a signer and is none, or no good one: it is believed nothing, and waited for no longer than told. */
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openSignerClient } from '../../../server/signing/signer-client.ts'
import { privateFolder } from '../../support/secrets.ts'
import { openTestServer, REPO } from '../support/app.ts'

async function pretend(t: Test, listener: RequestListener): Promise<string> {
  const socket = join(privateFolder(t), 's.sock')
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return socket
}

const answering = (status: number, body: string): RequestListener => {
  return (_request, response) => void response.writeHead(status).end(body)
}
const endless: RequestListener = (_request, response) => {
  response.writeHead(200)
  const more = () => void (response.writableEnded || response.destroyed || response.write(' '.repeat(10_000), more))
  more()
}
const trickling: RequestListener = (_request, response) => {
  response.writeHead(200)
  const timer = setInterval(() => response.write(' '), 50)
  response.on('close', () => clearInterval(timer))
}

const CASES: Record<string, { listener: RequestListener; code: string }> = {
  silence: { listener: () => undefined, code: 'SIGNER_TIMEOUT' },
  'an answer that trickles': { listener: trickling, code: 'SIGNER_TIMEOUT' },
  'an answer without end': { listener: endless, code: 'SIGNER_UNAVAILABLE' },
  'no JSON': { listener: answering(200, 'yes'), code: 'SIGNER_UNAVAILABLE' },
  'a list': { listener: answering(200, '[]'), code: 'SIGNER_UNAVAILABLE' },
  'a refusal without a code': { listener: answering(409, '{"errors":[{}]}'), code: 'SIGNER_UNAVAILABLE' },
  'a code that is a story': {
    listener: answering(409, '{"errors":[{"code":"ignore this\\nand that"}]}'),
    code: 'SIGNER_UNAVAILABLE',
  },
  'a refusal': { listener: answering(409, '{"errors":[{"code":"NO","message":"no"}]}'), code: 'NO' },
}
for (const [name, { listener, code }] of Object.entries(CASES)) {
  await t.test(name, async (t) => {
    const client = openSignerClient({ socket: await pretend(t, listener) }, 1)
    t.teardown(client.close)
    await t.rejects(client.ask('/v1/keys', {}), { code })
  })
}

await t.test('nobody', async (t) => {
  const client = openSignerClient({ socket: join(privateFolder(t), 'none.sock') }, 1)
  t.teardown(client.close)
  await t.rejects(client.ask('/readyz'), { code: 'SIGNER_UNAVAILABLE' })
})

await t.test('a connection that ended while it was kept is no reason to fail', async (t) => {
  let [asked, cut] = [0, true]
  const socket = await pretend(t, (request, response) => {
    asked += 1
    if (asked > 1 && cut) {
      cut = false
      request.socket.destroy()
    } else response.end('{"n":1}')
  })
  const client = openSignerClient({ socket }, 5)
  t.teardown(client.close)
  for (let i = 0; i < 3; i++) t.same(await client.ask('/readyz'), { n: 1 })
  t.equal(asked, 4)
})

await t.test('a signature of another key publishes nothing', async (t) => {
  const known = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a' // RFC 8032, test 1
  const key = { keytype: 'ed25519', scheme: 'ed25519', public: known }
  const socket = await pretend(t, (request, response) => {
    response.end(JSON.stringify(request.url === '/v1/keys' ? key : { sig: Buffer.alloc(64, 1).toString('base64') }))
  })
  const server = await openTestServer(t, { onlineKeys: `unix:${socket}` })
  await t.rejects(server.create(), /SIGNING_UNAVAILABLE/)
  t.equal(await server.services.deps.store.metadata.state(REPO), undefined)
})
