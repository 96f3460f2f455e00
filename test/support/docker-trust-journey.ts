import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { DockerClient } from './docker-client.ts'
import { did, offer, pushed } from './docker-town.ts'
import type { DockerTown, DockerUser } from './docker-town.ts'
import { deleteFrom } from './registry.ts'
import { openssl } from './secrets.ts'

type Lab = {
  readonly t: Test
  readonly town: DockerTown
  /** Whoever publishes, and whoever pulls from another machine. */
  readonly alice: DockerUser
  readonly bob: DockerUser
  /** A repository of this journey alone. */
  readonly repository: string
  /** The same within the registry. */
  readonly name: string
  /** The server is the one that we take the place of, and has its faults. */
  readonly original: boolean
}

/** `docker trust signer remove` says and does nothing since its prompt was rewritten: neither here nor on the original. */
const FIRST_THAT_REMOVES_NOBODY = 25

/** Everything that people do with docker content trust, each in a repository of its own. */
export async function dockerTrustJourney(
  t: Test,
  town: DockerTown,
  client: DockerClient,
  original = false,
): Promise<void> {
  const [alice, bob] = [await town.user('alice'), await town.user('bob')]
  const walk = async (title: string, journey: Journey, skip: string | false) => {
    const name = `team/app-${++walked}`
    const repository = `${town.registry.host}/${name}`
    await t.test(title, { skip }, (t) => journey({ t, town, alice, bob, name, repository, original }))
  }
  let walked = 0
  for (const [title, journey] of Object.entries(JOURNEYS)) await walk(title, journey, false)
  const broken = client.major >= FIRST_THAT_REMOVES_NOBODY && 'SKIPPED: this docker client removes no signer anywhere'
  for (const [title, journey] of Object.entries(REMOVALS)) await walk(title, journey, broken)
}

type Journey = (lab: Lab) => Promise<void>

const JOURNEYS: Record<string, Journey> = {
  async 'an image that was pushed is pulled, created and run elsewhere'({ t, town, alice, bob, repository }) {
    const digest = await pushed(town, alice, `${repository}:v1`, 'one')
    const again = await pushed(town, alice, `${repository}:v2`, 'two')
    t.match((await did(bob, 'pull', `${repository}:v1`)).stdout, `${repository}:v1@${digest}`)
    t.match((await did(bob, 'pull', '-a', repository)).stdout, `${repository}:v2@${again}`)
    t.equal((await did(bob, 'run', '--rm', '--network', 'none', `${repository}:v2`)).stdout, 'two\n')
    const { stdout: id } = await did(bob, 'create', `${repository}:v1`)
    t.match((await did(bob, 'inspect', id.trim())).stdout, `${repository}@${digest}`)
  },
  async 'an image is built on one that is signed, and on no other'({ t, town, alice, bob, repository }) {
    const digest = await pushed(town, alice, `${repository}:base`, 'one')
    await offer(town, alice, `${repository}:evil`, 'evil')
    const build = (tag: string) => bob.docker(['build', '-'], { input: `FROM ${repository}:${tag}\nENV V=1\n` })
    const built = await build('base')
    t.match([built.code, built.stdout], [0, `${repository}@${digest}`])
    t.match(await build('evil'), { code: 1, stderr: /No valid trust data for evil/ })
  },
  async 'a tag that moved in the registry is not followed'({ t, town, alice, bob, repository, name }) {
    const [kept, lost] = [`${repository}:kept`, `${repository}:lost`]
    await pushed(town, alice, kept, 'signed')
    const digest = await pushed(town, alice, lost, 'signed too')
    for (const image of [kept, lost]) await offer(town, alice, image, 'evil')
    await did(bob, 'pull', kept)
    t.equal((await did(bob, 'run', '--rm', '--network', 'none', kept)).stdout, 'signed\n')
    await deleteFrom(town.registry, name, 'manifests', digest)
    t.match(await bob.docker(['pull', lost]), { code: 1, stderr: /manifest .*unknown/ })
    t.match(await bob.docker(['image', 'inspect', lost]), { code: 1 })
  },
  async 'a tag that nobody signed, and a repository that nobody signed'({ t, town, alice, bob, repository }) {
    await offer(town, alice, `${repository}:v1`, 'unsigned')
    const nobody = await bob.docker(['pull', `${repository}:v1`])
    t.match([nobody.code, nobody.stderr], [1, `remote trust data does not exist for ${repository}`])
    await pushed(town, alice, `${repository}:v2`, 'signed')
    t.match(await bob.docker(['pull', `${repository}:v1`]), { code: 1, stderr: /No valid trust data for v1/ })
    t.match(await bob.docker(['run', '--pull', 'always', `${repository}:v1`]), { code: 125 })
  },
  async 'a signature that was revoked is gone, and so are all of them'({ t, town, alice, bob, repository }) {
    await pushed(town, alice, `${repository}:v1`, 'one')
    await pushed(town, alice, `${repository}:v2`, 'two')
    await did(bob, 'pull', `${repository}:v1`)
    await did(alice, 'trust', 'revoke', '--yes', `${repository}:v1`)
    t.match(await bob.docker(['pull', `${repository}:v1`]), { code: 1, stderr: /No valid trust data for v1/ })
    await did(bob, 'pull', `${repository}:v2`)
    await did(alice, 'trust', 'revoke', '--yes', repository)
    t.match(await bob.docker(['pull', `${repository}:v2`]), { code: 1, stderr: /No valid trust data for v2/ })
    t.same(await signedTags(alice, repository), {})
  },
  async 'signers are added, sign, are shown, and revoke'({ t, town, alice, repository }) {
    await pushed(town, alice, `${repository}:v1`, 'one')
    const [carol, dave] = [
      await signer(town, alice, repository, 'carol'),
      await signer(town, alice, repository, 'dave'),
    ]
    await town.make(`${repository}:v2`, 'two')
    await did(carol, 'trust', 'sign', `${repository}:v2`)
    t.same(await signedTags(dave, repository), { v1: ['Repo Admin'], v2: ['carol'] })
    await did(dave, 'trust', 'sign', `${repository}:v2`)
    t.same(await signedTags(carol, repository), { v1: ['Repo Admin'], v2: ['carol', 'dave'] })
    t.same(await signers(carol, repository), ['carol', 'dave'])
    await did(carol, 'trust', 'revoke', '--yes', `${repository}:v2`)
    t.match(await alice.docker(['pull', `${repository}:v2`]), { code: 1, stderr: /No trust data for v2/ })
    await town.make(`${repository}:v3`, 'three')
    t.match(await alice.docker(['push', `${repository}:v3`]), { code: 1, stderr: /no valid signing keys/ })
  },
  async 'a repository is begun with a signature of its first signer'({ t, town, bob, repository }) {
    const erin = await town.user('erin')
    await town.make(`${repository}:v1`, 'one')
    t.match((await did(erin, 'trust', 'sign', `${repository}:v1`)).stdout, 'Successfully signed')
    t.same(await signedTags(bob, repository), { v1: ['erin'] })
    await did(bob, 'pull', `${repository}:v1`)
  },
  async 'a signer loads a key that was made elsewhere'({ t, town, alice, repository }) {
    const frank = await town.user('frank')
    const [secret, shown] = [join(frank.config, 'frank.pem'), join(frank.config, 'frank.pub')]
    openssl(['ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', secret])
    await writeFile(shown, openssl(['ec', '-in', secret, '-pubout']))
    await did(frank, 'trust', 'key', 'load', '--name', 'frank', secret)
    await pushed(town, alice, `${repository}:v1`, 'one')
    await did(alice, 'trust', 'signer', 'add', '--key', shown, 'frank', repository)
    await did(frank, 'trust', 'sign', `${repository}:v1`)
    t.same(await signedTags(alice, repository), { v1: ['frank'] })
  },
  async 'keys that notary rotated in the folder of docker are followed from an old cache'({
    t,
    town,
    alice,
    bob,
    repository,
  }) {
    const digest = await pushed(town, alice, `${repository}:v1`, 'one')
    await did(bob, 'pull', `${repository}:v1`)
    for (const role of ['root', 'targets', 'snapshot', 'timestamp'] as const) {
      const server = role === 'timestamp' || role === 'snapshot' ? ['--server-managed'] : []
      const ran = await town.notary(alice, ['key', 'rotate', repository, role, ...server], { input: 'yes\n' })
      t.equal(ran.code, 0, `${role}: ${ran.stderr}`)
    }
    t.match((await did(bob, 'pull', `${repository}:v1`)).stdout, digest)
    const second = await pushed(town, alice, `${repository}:v2`, 'two')
    t.match((await did(bob, 'pull', `${repository}:v2`)).stdout, second)
  },
  async 'a repository with signers is begun without an image'({ t, town, alice, repository }) {
    const grace = await signer(town, alice, repository, 'grace')
    t.same(await signers(grace, repository), ['grace'])
    await pushed(town, grace, `${repository}:v1`, 'one')
    t.same(await signedTags(alice, repository), { v1: ['grace'] })
  },
}

const REMOVALS: Record<string, Journey> = {
  async 'a signer is removed, and signs no more'({ t, town, alice, repository }) {
    const [carol, dave] = [
      await signer(town, alice, repository, 'carol'),
      await signer(town, alice, repository, 'dave'),
    ]
    await pushed(town, carol, `${repository}:v1`, 'one')
    await pushed(town, dave, `${repository}:v2`, 'two')
    const removed = await did(alice, 'trust', 'signer', 'remove', '--force', 'carol', repository)
    t.match(removed.stdout, 'Successfully removed carol')
    t.same(await signers(dave, repository), ['dave'])
    await town.make(`${repository}:v3`, 'three')
    t.match(await carol.docker(['trust', 'sign', `${repository}:v3`]), { code: 1, stderr: /no valid signing keys/ })
    await did(dave, 'trust', 'sign', `${repository}:v3`)
    await did(carol, 'pull', `${repository}:v3`)
  },
  async 'whoever signed last is removed, and another signer takes the role over'(lab) {
    const { t, town, alice, bob, repository, original } = lab
    const [carol, dave] = [
      await signer(town, alice, repository, 'carol'),
      await signer(town, alice, repository, 'dave'),
    ]
    await pushed(town, dave, `${repository}:v1`, 'one')
    await pushed(town, carol, `${repository}:v2`, 'two')
    await did(bob, 'pull', `${repository}:v2`)
    await did(alice, 'trust', 'signer', 'remove', '--force', 'carol', repository)
    await town.make(`${repository}:v3`, 'three')
    if (original) {
      // Dave's docker begins the role anew at version 1, and the original never takes a lower version.
      t.match(await dave.docker(['trust', 'sign', `${repository}:v3`]), { code: 1, stderr: /trust server rejected/ })
      t.equal((await town.notary(dave, ['witness', '-p', repository, 'targets/releases'])).code, 0)
    }
    await did(dave, 'trust', 'sign', `${repository}:v3`)
    await did(bob, 'pull', `${repository}:v3`)
    await did(alice, 'pull', `${repository}:v3`)
  },
}

/** Somebody with a key of their own whom the owner made a signer. */
async function signer(town: DockerTown, owner: DockerUser, repository: string, name: string): Promise<DockerUser> {
  const user = await town.user(name)
  await did(user, 'trust', 'key', 'generate', name, '--dir', user.config)
  await did(owner, 'trust', 'signer', 'add', '--key', join(user.config, `${name}.pub`), name, repository)
  return user
}

type Inspected = {
  readonly SignedTags: readonly { readonly SignedTag: string; readonly Signers: readonly string[] }[]
  readonly Signers: readonly { readonly Name: string }[]
}

/** Who signed which tag, as `docker trust inspect` shows it. */
async function signedTags(user: DockerUser, repository: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const { SignedTags: tags } = await inspected(user, repository)
  return Object.fromEntries(tags.map(({ SignedTag: tag, Signers: by }) => [tag, by.toSorted()]))
}

async function signers(user: DockerUser, repository: string): Promise<readonly string[]> {
  return (await inspected(user, repository)).Signers.map(({ Name: name }) => name).toSorted()
}

async function inspected(user: DockerUser, repository: string): Promise<Inspected> {
  const [first] = JSON.parse((await did(user, 'trust', 'inspect', repository)).stdout) as Inspected[]
  if (first === undefined) throw new Error('docker trust inspect printed nothing')
  return first
}
