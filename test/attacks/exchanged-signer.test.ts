/** A signer whose key was exchanged behind our back: it goes on answering, and nothing of it is published. */
import t from 'tap'
import { codeOf, documentOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openssl } from '../support/secrets.ts'
import { exampleSigner } from '../support/signers.ts'
import { openTown } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test('a signer whose key was exchanged publishes nothing', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const owner = await town.person()
  const signer = exampleSigner(t, 'ed25519')
  await town.push('1.0', buildImage())
  t.equal((await owner.run(['init', town.repository, '--no-passphrase'])).code, 0)
  t.equal((await owner.run(['rotate', town.repository, 'targets', '--key', signer])).code, 0)
  t.equal((await owner.run(['key', 'import', signer, '--name', 'release'])).code, 0)
  const before = await versions()
  openssl(['genpkey', '-algorithm', 'ed25519', '-out', decodeURIComponent(signer.split('arg=')[1] ?? '')])
  const ran = await owner.run(['sign', `${town.repository}:1.0`])
  t.same([ran.code, codeOf(ran)], [1, 'SIGNATURE_WRONG'], ran.stderr)
  t.notMatch(ran.stderr, /^\s+at /m)
  t.same(await versions(), before)

  async function versions(): Promise<unknown> {
    const { roles } = documentOf(await owner.run(['status', town.repository, '--json'])) as {
      roles: { role: string; version: number }[]
    }
    return roles.map(({ role, version }) => [role, version])
  }
})
