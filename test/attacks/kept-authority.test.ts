/**
 * An authority that is kept for one trust server vouches for others too: whoever holds it, or got a certificate of it for
 * another machine, would like to be taken for a registry, or for the server of somebody else's pin.
 */
import { createServer } from 'node:https'
import type { IncomingMessage, RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf } from '../support/cli.ts'
import { tagsealHere } from '../support/in-process.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'
import type { TestCertificate } from '../support/tls.ts'

const skip = (await whyNoOpenssl()) ?? false
const KEY = 'ab'.repeat(32)

type Shown = { readonly url: string; readonly host: string; readonly asked: IncomingMessage[] }

/** A server that shows this certificate, and remembers who got as far as asking something. */
async function show(t: Test, { cert, key }: TestCertificate, answer?: RequestListener): Promise<Shown> {
  const asked: IncomingMessage[] = []
  const server = createServer({ cert: await readFile(cert), key: await readFile(key) }, (request, response) => {
    asked.push(request)
    if (answer === undefined) response.writeHead(404).end()
    else answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: `https://${host}`, host, asked }
}

await t.test('an authority that is kept for one server', { skip }, async (t) => {
  const folder = t.testdir()
  const [home, certificate] = [join(folder, 'home'), await makeCertificate(join(folder, 'tls'))]
  const tagseal = async (...args: readonly string[]) =>
    await tagsealHere(args, { env: { TAGSEAL_HOME: home, HOME: home, TAGSEAL_TOKEN: 'a-token' } })
  const pin = async (pattern: string, server: string, ...ca: readonly string[]) =>
    t.equal((await tagseal('trust', 'add', pattern, '--key', KEY, '--server', server, ...ca)).code, 0)

  const own = await show(t, certificate)
  await pin('a.example/**', own.url, '--ca', certificate.cert)

  await t.test('reaches that one', async (t) => {
    const ran = await tagseal('verify', 'a.example/app:1')
    t.same([ran.code, codeOf(ran)], [1, 'NO_TRUST_DATA'], ran.stderr)
    t.not(own.asked.length, 0)
  })

  await t.test('is asked also where NODE_TLS_REJECT_UNAUTHORIZED says that nobody is', async (t) => {
    const impostor = await show(t, await makeCertificate(join(folder, 'unasked')))
    await pin('f.example/**', impostor.url, '--ca', certificate.cert)
    await pin(`${impostor.host}/**`, own.url, '--ca', certificate.cert)
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    t.teardown(() => void delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'])
    for (const args of [
      ['verify', 'f.example/app:1'],
      ['verify', 'f.example/app:1', '--ca', certificate.cert],
      ['status', 'f.example/app'],
      ['sign', `${impostor.host}/app:1`],
    ]) {
      const ran = await tagseal(...args)
      t.equal(ran.code, 3, args.join(' '))
      t.match(codeOf(ran), /^(?:NETWORK|CERTIFICATE_REFUSED)$/)
    }
    t.same(impostor.asked, [], 'and nothing, no token either, is sent')
  })
  await t.test('vouches for no server of another pin', async (t) => {
    const other = await show(t, certificate)
    await pin('b.example/**', other.url)
    for (const args of [
      ['verify', 'b.example/app:1'],
      ['revoke', 'b.example/app:1'],
      ['status', 'b.example/app'],
      ['init', 'b.example/app', '--no-passphrase'],
    ]) {
      const ran = await tagseal(...args)
      t.same([ran.code, codeOf(ran)], [3, 'NETWORK'], args.join(' '))
      t.match(ran.stderr, 'that this machine does not trust')
    }
    t.same(other.asked, [], 'which is asked nothing, and gets no token')
  })
  await t.test('nor, in one run, after the server that it was kept for answered', async (t) => {
    const other = await show(t, certificate)
    await pin('b.example/**', other.url)
    const ran = await tagseal('verify', 'a.example/app:1', 'b.example/app:1')
    t.not(ran.code, 0)
    t.same(other.asked, [])
  })
  await t.test('nor for that very server, where another pin keeps none for it', async (t) => {
    const before = own.asked.length
    await pin('c.example/**', own.url)
    t.equal(codeOf(await tagseal('verify', 'c.example/app:1')), 'NETWORK')
    t.equal(own.asked.length, before)
  })
  await t.test('nor for a server that another one is exchanged for in the run', async (t) => {
    const other = await show(t, certificate)
    const ran = await tagseal('verify', 'a.example/app:1', '--server', other.url)
    t.same([ran.code, codeOf(ran), other.asked], [3, 'NETWORK', []])
  })
  await t.test('nor for where that server sends its clients', async (t) => {
    const other = await show(t, certificate)
    const sending = await show(t, certificate, (_request, response) => {
      response.writeHead(302, { location: `${other.url}/root.json` }).end()
    })
    await pin('d.example/**', sending.url, '--ca', certificate.cert)
    const ran = await tagseal('verify', 'd.example/app:1')
    t.same([ran.code, codeOf(ran)], [3, 'NETWORK'])
    t.not(sending.asked.length, 0)
    t.same(other.asked, [])
  })
  await t.test('nor for a registry', async (t) => {
    const registry = await show(t, certificate)
    await pin(`${registry.host}/**`, own.url, '--ca', certificate.cert)
    const ran = await tagseal('sign', `${registry.host}/app:1`)
    t.same([ran.code, codeOf(ran)], [3, 'CERTIFICATE_REFUSED'], ran.stderr)
    t.match(ran.stderr, 'hint: give the certificate of the authority that signed it: --registry-ca FILE')
    t.same(registry.asked, [])
  })
  await t.test('and stands in for the authorities of the world: none of those vouches for that server', async (t) => {
    const impostor = await show(t, await makeCertificate(join(folder, 'public')))
    await pin('e.example/**', impostor.url, '--ca', certificate.cert)
    const ran = await tagseal('verify', 'e.example/app:1')
    t.same([ran.code, codeOf(ran), impostor.asked], [3, 'NETWORK', []])
    t.match(ran.stderr, 'that the authority in the pin of e.example/** does not vouch for')
  })
  await t.test('in a rule of a policy, vouches for no server of another rule', async (t) => {
    const other = await show(t, certificate)
    const policy = join(folder, 'policy.yaml')
    const rule = (registry: string, server: string, more = '') =>
      `  - { pattern: ${registry}/**, pin: { keys: [${KEY}] }, server: "${server}"${more} }\n`
    const [ruled, unruled] = [rule('a.example', own.url, ', ca: tls/server.crt'), rule('b.example', other.url)]
    await writeFile(policy, `version: 1\nrules:\n${ruled}${unruled}`)
    const before = own.asked.length
    for (const [registry, code] of [
      ['a.example', 'NO_TRUST_DATA'],
      ['b.example', 'NETWORK'],
    ] as const) {
      t.equal(codeOf(await tagseal('verify', `${registry}/app:1`, '--policy', policy)), code)
    }
    t.not(own.asked.length, before)
    t.same(other.asked, [])
    const elsewhere = await tagseal('verify', 'a.example/app:1', '--policy', policy, '--server', other.url)
    t.same([elsewhere.code, codeOf(elsewhere), other.asked], [3, 'NETWORK', []], 'nor for one that the run names')
  })
  await t.test('is not widened by whoever can only add text to it', async (t) => {
    const path = join(home, 'trust.json')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('-----BEGIN', 'x-----BEGIN'))
    t.equal(codeOf(await tagseal('verify', 'a.example/app:1')), 'CONFIG_MALFORMED')
    await writeFile(path, text)
  })
})
