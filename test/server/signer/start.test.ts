/** How a signer starts, who may speak to it, how it stops, and the one command beside it. */
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { loadSignerSettings } from '../../../server/signer/config.ts'
import { openSignerLab, openTheft } from '../../support/signer-lab.ts'
import { startSignerProcess, startTlsSigner } from '../../support/signer-process.ts'
import { privateFolder } from '../../support/secrets.ts'
import { makeCertificate, whyNoOpenssl } from '../../support/tls.ts'
import { REPO } from '../support/app.ts'
import { run } from '../support/process.ts'

const TLS = { tlsCert: 'c', tlsKey: 'k', clientCa: 'a' }
const WRONG: Record<string, { flags: Record<string, string | number>; code: string; name: string }> = {
  'a host without TLS': { flags: { listen: '127.0.0.1:0' }, code: 'SETTING_MISSING', name: 'tlsCert' },
  'a host that hears everybody': {
    flags: { listen: '127.0.0.1:0', tlsCert: 'c', tlsKey: 'k' },
    code: 'SETTING_MISSING',
    name: 'clientCa',
  },
  'a socket that is somewhere': { flags: { listen: 'unix:signer.sock' }, code: 'SETTING_INVALID', name: 'listen' },
  'a socket for everybody': { flags: { socketMode: '0666' }, code: 'SETTING_INVALID', name: 'socketMode' },
  'a signer behind it': { flags: { onlineKeys: 'unix:/s.sock' }, code: 'SETTING_INVALID', name: 'onlineKeys' },
  'no limit to versions': { flags: { versionRate: 100_000 }, code: 'SETTING_INVALID', name: 'versionRate' },
}
await t.test('settings that are refused', async (t) => {
  for (const [what, { flags, code, name }] of Object.entries(WRONG)) {
    await t.test(what, async (t) => {
      t.throws(() => loadSignerSettings({ flags, env: {} }), { code, detail: { name } })
    })
  }
  t.match(loadSignerSettings({ flags: { listen: '0.0.0.0:4490', ...TLS }, env: {} }), { socketMode: '0600' })
})

await t.test('the socket is for its owner, or a group that was named', async (t) => {
  for (const mode of ['0600', '0660']) {
    const { signer } = await openSignerLab(t, { socketMode: mode })
    t.equal(statSync(signer.url.replace('unix:', '')).mode & 0o777, Number.parseInt(mode, 8))
  }
})

await t.test('it starts beside nobody, and in the place of nothing else', async (t) => {
  const first = await openSignerLab(t)
  await t.rejects(openSignerLab(t, { data: first.data }), { code: 'DATA_IN_USE' })
  await t.rejects(openSignerLab(t, { listen: first.signer.url }), { code: 'LISTEN_FAILED' })
  const file = join(privateFolder(t), 'file')
  writeFileSync(file, 'mine')
  await t.rejects(openSignerLab(t, { listen: `unix:${file}` }), { code: 'LISTEN_FAILED' })
  t.equal(readFileSync(file, 'utf8'), 'mine')
  await t.rejects(openSignerLab(t, { listen: '127.0.0.1:0', ...TLS }), { code: 'TLS_UNUSABLE' })
  t.equal((await first.ask('/readyz')).status, 200)
})

const skip = (await whyNoOpenssl()) ?? false
await t.test('beyond this machine nobody is heard without a certificate of its authority', { skip }, async (t) => {
  const signer = await startTlsSigner(t)
  const other = await makeCertificate(join(privateFolder(t), 'other'))
  const own = { cert: readFileSync(signer.signerCert), key: readFileSync(signer.signerKey) }
  const strange = { cert: readFileSync(other.cert), key: readFileSync(other.key) }
  const status = async (certificate: object, maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3') => {
    const asking = request(`${signer.url}/healthz`, { ca: readFileSync(signer.signerCa), ...certificate, maxVersion })
    asking.end()
    return once(asking, 'response').then(
      ([answer]) => (answer as { statusCode: number }).statusCode,
      () => 'refused',
    )
  }
  t.equal(await status(own), 200)
  t.equal(await status({}), 'refused')
  t.equal(await status(strange), 'refused')
  t.equal(await status(own, 'TLSv1.2'), 'refused')
})

await t.test('SIGTERM ends it when what is under way is answered', async (t) => {
  const signer = await startSignerProcess(t)
  await signer.stop('SIGTERM')
  t.equal(signer.child.exitCode, 0)
})

await t.test('`signer advance`', async (t) => {
  const theft = await openTheft(t)
  await theft.server.create()
  const advance = (...args: string[]) => run(['signer', 'advance', ...args, '--data', theft.data])
  await t.test('works on no folder that is in use', async (t) => {
    const ran = await advance(REPO, 'timestamp', '50')
    t.match(ran, { code: 3, stderr: /\(DATA_IN_USE\)\n/ })
  })
  await theft.signer.close()
  await t.test('lifts a mark, and lowers none', async (t) => {
    t.match(await advance(REPO, 'timestamp', '50'), { code: 0, stdout: /nothing up to timestamp 50/ })
    t.match(theft.memory(), { marks: [{ version: 50 }, { version: 1 }] })
    t.match(await advance(REPO, 'timestamp', '49'), { code: 2, stderr: /is at 50/ })
    t.match(await advance(REPO, 'targets', '60'), { code: 2, stderr: /INVALID_REQUEST/ })
    t.match(await advance(REPO, 'timestamp', '-1'), { code: 2 })
    t.match(theft.memory(), { marks: [{ version: 50 }, { version: 1 }] })
  })
  await t.test('asks twice before what cannot be taken back', async (t) => {
    const other = 'registry.example.com/team/typo'
    t.match(await advance(other, 'timestamp', '12'), { code: 2, stderr: /no key of \S+typo; .*--new/ })
    t.match(await advance(REPO, 'snapshot', '10002'), { code: 2, stderr: /from 1 to 10002 .*--yes/ })
    t.match(theft.memory(), { marks: [{ version: 50 }, { version: 1 }] })
    t.match(theft.memory(other), { marks: [undefined, undefined] })
    t.match(await advance(other, 'timestamp', '12', '--new'), { code: 0 })
    t.match(theft.memory(other), { marks: [{ version: 12 }, undefined] })
    t.match(await advance(other, 'snapshot', '20000', '--new', '--yes'), { code: 0 })
  })
  await t.test('and the server goes on above it by itself', async (t) => {
    const again = await openSignerLab(t, { data: theft.data, listen: theft.signer.url }, theft.clock)
    theft.clock.now += 13 * 3600 * 1000
    t.equal(await theft.server.services.freshness.pass(), 1)
    t.match(again.memory(), { marks: [{ version: 51 }, { version: 1 }] })
  })
})
