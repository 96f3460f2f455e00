/** Root ceremonies of repositories for notary and docker trust, as far as their format goes. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { done, openCeremony, pinIn } from '../support/ceremony.ts'
import type { Holder } from '../support/ceremony.ts'
import { whyNoNotary } from '../support/notary.ts'
import { runProgram } from '../support/program.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openssl } from '../support/secrets.ts'

const skip = (await whyNoRegistry()) ?? (await whyNoNotary()) ?? false

await t.test('a ceremony for notary', { skip }, async (t) => {
  const ceremony = await openCeremony(t)
  const { repository, carry } = ceremony
  const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(ceremony.holder) as [Holder, Holder, Holder]
  const own = done(
    t,
    await alice.run(['key', 'generate', '--algorithm', 'ecdsa-p256', '--no-passphrase']),
  ).stdout.trim()
  const [ofBob, ofCarol] = [await certified(bob), await certified(carol)]
  const ci = done(t, await alice.run(['key', 'generate', '--algorithm', 'ecdsa-p256', '--no-passphrase'])).stdout.trim()
  const file = alice.path('first.json')
  const keys = ['--add-root', own, '--add-root', carry(bob, ofBob, alice), '--add-targets', ci]
  const propose = async (...wish: string[]) => await alice.online(['root', 'propose', repository, ...wish])

  await t.test('is told what the format has no room for', async (t) => {
    const two = await propose('--dialect', 'notary', ...keys, '--root-threshold', '2')
    t.match(two, { exit: 2, code: 'FORMAT_LIMIT', stderr: /Notary knows no threshold above 1/ })
    const name = await propose('--dialect', 'notary', '--add-root', `alice=${own}`, '--add-targets', ci)
    t.match(name, { exit: 2, code: 'USAGE', stderr: /no room for the names of keys/ })
    const bare = await propose('--dialect', 'notary', '--add-root', bob.path('bob.pub.pem'), '--add-targets', ci)
    t.match(bare, { exit: 2, code: 'USAGE', stderr: /comes in a certificate for / })
  })
  await t.test('founds a repository that notary reads, signed by either root key', async (t) => {
    done(t, await propose('--dialect', 'notary', ...keys, '--out', file))
    const copy = carry(alice, 'first.json', bob)
    done(t, await bob.run(['root', 'sign', copy, '--yes']))
    done(t, await alice.run(['root', 'sign', file, '--key', ci, '--yes']))
    const pin = pinIn(
      done(t, await alice.online(['root', 'publish', file, carry(bob, 'first.json', alice, 'of-bob.json')])),
    )
    const digest = await ceremony.push('1.0')
    done(t, await alice.online(['sign', `${repository}:1.0`]))
    t.match(await listed(t), digest.slice('sha256:'.length))
    done(t, await bob.online(pin))
    done(t, await bob.online(['verify', `${repository}:1.0`]))
  })
  await t.test('replaces a root key and the targets key', async (t) => {
    const next = done(
      t,
      await carol.run(['key', 'generate', '--algorithm', 'ecdsa-p256', '--no-passphrase']),
    ).stdout.trim()
    writeFileSync(carol.path('ci.pub.pem'), done(t, await carol.run(['key', 'export', next])).stdout)
    const wish = ['--add-root', carry(carol, ofCarol, alice), '--remove-root', own]
    const targets = ['--add-targets', carry(carol, carol.path('ci.pub.pem'), alice), '--remove-targets', ci]
    const second = alice.path('second.json')
    done(t, await propose(...wish, ...targets, '--out', second))
    const copies = [second]
    for (const holder of [bob, carol]) {
      const copy = carry(alice, 'second.json', holder)
      done(t, await holder.run(['root', 'sign', copy, '--yes']))
      copies.push(carry(holder, 'second.json', alice, `of-${holder.name}.json`))
    }
    t.match(await alice.online(['root', 'publish', second]), { exit: 1, code: 'SIGNATURES_MISSING' })
    done(t, await alice.online(['root', 'publish', ...copies]))
    t.match(await listed(t), /^1\.0 /m)
    done(t, await bob.online(['verify', `${repository}:1.0`]))
  })

  /** A root key in a certificate for the repository, made with openssl and kept by the holder. */
  async function certified({ name, path, run }: Holder): Promise<string> {
    const [key, certificate] = [path(`${name}.key`), path(`${name}.crt`)]
    openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key])
    openssl(['pkey', '-in', key, '-pubout', '-out', path(`${name}.pub.pem`)])
    const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'keyUsage=digitalSignature']
    openssl([
      'req',
      '-x509',
      '-new',
      '-key',
      key,
      '-subj',
      `/CN=${repository.replaceAll('/', '\\/')}`,
      '-days',
      '3650',
      ...leaf,
      '-out',
      certificate,
    ])
    done(t, await run(['key', 'import', key, '--name', name, '--no-passphrase']))
    return certificate
  }

  async function listed(t: { readonly testdir: () => string }): Promise<string> {
    const ran = await runProgram('notary', ['-s', ceremony.url, '-d', t.testdir(), 'list', repository])
    return ran.stdout + ran.stderr
  }
})
