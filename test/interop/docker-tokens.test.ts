import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openDockerTown, startTagseal, tryContentTrust, UNTRUSTED } from '../support/docker-town.ts'
import { freePort } from '../support/free-port.ts'
import { startRegistry } from '../support/registry.ts'
import { createToken, tokenCertificate } from '../support/server.ts'
import type { TestServer } from '../support/server.ts'

const found = await tryContentTrust()
const skip = typeof found === 'string' && found
if (typeof found !== 'string') t.teardown(found.daemon.stop)

await t.test('docker signs with a token that may, and with no other', { skip }, async (t) => {
  if (typeof found === 'string') return
  const town = await openDockerTown(found, (certificate) => startTagseal(certificate))
  t.teardown(town.close)
  const token = (name: string, allow: string, within = 'team') =>
    createToken(town.server.data, name, `${town.registry.host}/${within}/*`, allow)
  const image = `${town.registry.host}/team/app:v1`
  await town.make(image, 'one')

  const may = await town.user('alice', await token('alice', 'pull,push'))
  const [nobody, wrong] = [await town.user('nobody'), await town.user('wrong', `tst_${'A'.repeat(43)}`)]
  const reader = await town.user('reader', await token('reader', 'pull'))
  const stranger = await town.user('stranger', await token('stranger', 'pull,push', 'other'))

  for (const [name, { docker }] of Object.entries({ nobody, wrong, reader, stranger })) {
    await t.test(`${name} publishes nothing`, async (t) => {
      t.match(await docker(['trust', 'sign', image]), { code: 1, stderr: /unauthorized|not authorized|denied/i })
      t.match(await docker(['push', image]), { code: 1 })
    })
  }
  await t.test('whoever may push does, and again', async (t) => {
    t.match(await may.docker(['push', image]), { code: 0, stdout: /Successfully signed/ })
    t.match(await may.docker(['push', image]), { code: 0, stdout: /Successfully signed/ })
  })
  await t.test('whoever may push signs as the signer of that name, revokes, and is shown', async (t) => {
    const other = `${town.registry.host}/team/signed:v1`
    await town.make(other, 'two')
    t.match(await may.docker(['trust', 'sign', other]), { code: 0, stdout: /Successfully signed/ })
    t.match(await reader.docker(['trust', 'inspect', other]), { code: 0, stdout: /"alice"/ })
    t.match(await may.docker(['trust', 'revoke', '--yes', other]), { code: 0 })
  })
  await t.test('keys are rotated with a token that may push', async (t) => {
    const env = { NOTARY_AUTH: Buffer.from(`alice:${await token('rotating', 'pull,push')}`).toString('base64') }
    for (const role of ['snapshot', 'timestamp']) {
      const args = ['key', 'rotate', `${town.registry.host}/team/app`, role, '--server-managed']
      const ran = await town.notary(may, args, { env })
      t.equal(ran.code, 0, ran.stderr)
    }
  })
  await t.test('reading needs none', async (t) => {
    t.match(await reader.docker(['pull', image]), { code: 0 })
    t.match(await wrong.docker(['trust', 'inspect', image]), { code: 1 }, 'but a wrong one is told')
    const anonymous = await town.user('')
    t.match(await anonymous.docker(['pull', image]), { code: 0 })
    t.match(await anonymous.docker(['push', image], UNTRUSTED), { code: 0 }, 'the registry of this town asks nobody')
  })
})

await t.test('one login opens a registry and the trust server beside it', { skip }, async (t) => {
  if (typeof found === 'string') return
  const port = await freePort()
  const env = { TAGSEAL_SERVER_TOKEN_SERVICES: `registry=127.0.0.1:${port}` }
  const beside = async ({ url, data }: TestServer, dir: string) => {
    const bundle = join(dir, 'tokens.pem')
    await writeFile(bundle, await tokenCertificate(data))
    return startRegistry({
      port,
      token: { realm: `${url}/token`, service: 'registry', issuer: 'tagseal-server', bundle },
    })
  }
  const town = await openDockerTown(found, (certificate) => startTagseal(certificate, { env }), beside)
  t.teardown(town.close)
  const image = `${town.registry.host}/team/app:v1`
  await town.make(image, 'one')
  const token = await createToken(town.server.data, 'alice', `${town.registry.host}/team/*`, 'pull,push')

  const [alice, nobody] = [await town.user('alice', token), await town.user('')]
  t.match(await nobody.docker(['push', image], UNTRUSTED), { code: 1 })
  t.match(
    await nobody.docker(['login', '--username', 'eve', '--password-stdin', town.registry.host], { input: 'no' }),
    { code: 1 },
  )
  const login = ['login', '--username', 'alice', '--password-stdin', town.registry.host]
  t.match(await nobody.docker(login, { input: token }), { code: 0, stdout: /Login Succeeded/ })
  t.match(await alice.docker(['push', image]), { code: 0, stdout: /Successfully signed/ })
  await alice.docker(['image', 'rm', '-f', image])
  t.match(await alice.docker(['pull', image]), { code: 0 })
})
