import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, tagseal } from '../support/cli.ts'
import type { Ran } from '../support/cli.ts'
import { did, offer, openDockerTown, pushed, startTagseal, tryContentTrust } from '../support/docker-town.ts'
import type { DockerTown, DockerUser } from '../support/docker-town.ts'

const found = await tryContentTrust()
const skip = typeof found === 'string' && found
if (typeof found !== 'string') t.teardown(found.daemon.stop)

type Lab = {
  readonly t: Test
  readonly town: DockerTown
  /** Who uses docker with trust on, and who uses tagseal, pinned or not. */
  readonly alice: DockerUser
  readonly bob: DockerUser
  readonly tagseal: (...args: string[]) => Promise<Ran>
  readonly repository: string
}

const JOURNEYS: Record<string, (lab: Lab) => Promise<void>> = {
  async 'what docker signed is verified and pulled by tagseal, and nothing else'({
    t,
    town,
    alice,
    tagseal,
    repository,
  }) {
    const digest = await pushed(town, alice, `${repository}:v1`, 'one')
    const unpinned = await tagseal('verify', `${repository}:v1`)
    t.same([unpinned.code, codeOf(unpinned)], [1, 'NOT_PINNED'])
    t.match(await tagseal('trust', 'add', repository, '--tofu'), { code: 0 })
    t.match(await tagseal('verify', '--deep', `${repository}:v1`), { code: 0, stdout: `${repository}@${digest}\n` })
    await offer(town, alice, `${repository}:v1`, 'evil')
    await offer(town, alice, `${repository}:v2`, 'unsigned')
    t.match(await tagseal('pull', '--engine', 'docker', `${repository}:v1`), {
      code: 0,
      stdout: `${repository}@${digest}\n`,
    })
    t.equal((await alice.docker(['run', '--rm', '--network', 'none', `${repository}@${digest}`])).stdout, 'one\n')
    const ran = await tagseal('pull', '--engine', 'docker', `${repository}:v2`)
    t.same([ran.code, codeOf(ran), ran.stdout], [1, 'TAG_NOT_SIGNED', ''])
    t.match(await tagseal('list', repository), { code: 0, stdout: /^v1 /m })
    t.match(await tagseal('status', repository), { code: 0 })
  },
  async 'what a signer signed, moved and revoked with docker is what tagseal says'({
    t,
    town,
    alice,
    tagseal,
    repository,
  }) {
    await did(alice, 'trust', 'key', 'generate', 'alice', '--dir', alice.config)
    await did(alice, 'trust', 'signer', 'add', '--key', join(alice.config, 'alice.pub'), 'alice', repository)
    const old = await pushed(town, alice, `${repository}:v1`, 'old')
    t.match(await tagseal('trust', 'add', repository, '--tofu'), { code: 0 })
    t.match(await tagseal('verify', `${repository}:v1`), { code: 0, stdout: `${repository}@${old}\n` })
    const fresh = await pushed(town, alice, `${repository}:v1`, 'new')
    t.match(await tagseal('verify', `${repository}:v1`), { code: 0, stdout: `${repository}@${fresh}\n` })
    await did(alice, 'trust', 'revoke', '--yes', `${repository}:v1`)
    const ran = await tagseal('verify', `${repository}:v1`)
    t.same([ran.code, codeOf(ran)], [1, 'TAG_NOT_SIGNED'])
  },
  async 'keys that notary rotated are followed by tagseal'({ t, town, alice, tagseal, repository }) {
    const digest = await pushed(town, alice, `${repository}:v1`, 'one')
    t.match(await tagseal('trust', 'add', repository, '--tofu'), { code: 0 })
    t.match(await tagseal('verify', `${repository}:v1`), { code: 0 })
    for (const role of ['root', 'targets', 'root'])
      t.match(await town.notary(alice, ['key', 'rotate', repository, role], { input: 'yes\n' }), { code: 0 }, role)
    t.match(await tagseal('verify', `${repository}:v1`), { code: 0, stdout: `${repository}@${digest}\n` })
  },
  async 'what tagseal signed is pulled by docker with trust on, and what it revoked is not'(lab) {
    const { t, town, alice, bob, tagseal, repository } = lab
    t.match(await tagseal('init', repository, '--dialect', 'notary', '--no-passphrase'), { code: 0 })
    await offer(town, alice, `${repository}:v1`, 'one')
    await offer(town, alice, `${repository}:v2`, 'two')
    const signed = await tagseal('sign', `${repository}:v1`, `${repository}:v2`)
    t.equal(signed.code, 0, signed.stderr)
    const [first = ''] = signed.stdout.split('\n')
    await offer(town, alice, `${repository}:v1`, 'evil')
    t.match((await did(bob, 'pull', `${repository}:v1`)).stdout, first)
    t.equal((await did(bob, 'run', '--rm', '--network', 'none', `${repository}:v1`)).stdout, 'one\n')
    t.match(await tagseal('revoke', `${repository}:v1`), { code: 0 })
    t.match(await bob.docker(['pull', `${repository}:v1`]), { code: 1, stderr: /No (valid )?trust data for v1/ })
    t.match((await did(bob, 'trust', 'inspect', repository)).stdout, '"v2"')
    await offer(town, alice, `${repository}:v2`, 'newer')
    t.match(await tagseal('sign', `${repository}:v2`), { code: 0 })
    t.equal(
      (await did(bob, 'run', '--pull', 'always', '--rm', '--network', 'none', `${repository}:v2`)).stdout,
      'newer\n',
    )
  },
  async 'keys that tagseal rotated are followed by docker from an old cache'({
    t,
    town,
    alice,
    bob,
    tagseal,
    repository,
  }) {
    t.match(await tagseal('init', repository, '--dialect', 'notary', '--no-passphrase'), { code: 0 })
    await offer(town, alice, `${repository}:v1`, 'one')
    t.match(await tagseal('sign', `${repository}:v1`), { code: 0 })
    await did(bob, 'pull', `${repository}:v1`)
    for (const role of ['root', 'targets', 'snapshot', 'timestamp', 'root']) {
      const ran = await tagseal('rotate', repository, role, '--no-passphrase')
      t.equal(ran.code, 0, `${role}: ${ran.stderr}`)
    }
    await did(bob, 'pull', `${repository}:v1`)
    t.match(await tagseal('verify', `${repository}:v1`), { code: 0 })
  },
  async 'a signer of docker signs where tagseal delegated'({ t, town, alice, bob, tagseal, repository }) {
    t.match(await tagseal('init', repository, '--dialect', 'notary', '--no-passphrase'), { code: 0 })
    await did(alice, 'trust', 'key', 'generate', 'alice', '--dir', alice.config)
    for (const role of ['targets/alice', 'targets/releases']) {
      const ran = await tagseal(
        'delegation',
        'add',
        repository,
        role,
        '--path',
        '',
        '--key',
        join(alice.config, 'alice.pub'),
      )
      t.equal(ran.code, 0, ran.stderr)
    }
    const digest = await pushed(town, alice, `${repository}:v1`, 'one')
    t.match((await did(bob, 'pull', `${repository}:v1`)).stdout, digest)
    t.match(await tagseal('verify', `${repository}:v1`), { code: 0, stdout: `${repository}@${digest}\n` })
    t.match((await did(bob, 'trust', 'inspect', repository)).stdout, '"alice"')
  },
}

let walked = 0
await t.test('docker and tagseal on the same repositories', { skip }, async (t) => {
  if (typeof found === 'string') return
  const town = await openDockerTown(found, (certificate) => startTagseal(certificate, { args: ['--open'] }))
  t.teardown(town.close)
  for (const [title, journey] of Object.entries(JOURNEYS)) {
    const [alice, bob] = [await town.user('alice'), await town.user('bob')]
    const home = join(bob.config, 'tagseal')
    const env = { HOME: home, TAGSEAL_HOME: home, TAGSEAL_SERVER: town.server.url, TAGSEAL_CA: town.certificate.ca }
    const run = (...args: string[]) => tagseal(args, { env: { ...env, DOCKER_HOST: found.daemon.host } })
    const repository = `${town.registry.host}/team/app-${++walked}`
    await t.test(title, (t) => journey({ t, town, alice, bob, tagseal: run, repository }))
  }
})
