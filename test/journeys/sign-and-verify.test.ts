import { access } from 'node:fs/promises'
import t from 'tap'
import { codeOf, documentOf } from '../support/cli.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test('a release is created, signed and verified', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const { repository } = town
  const [owner, consumer] = [await town.person(), await town.person()]
  const image = await town.push('1.0', buildImage({ layers: [{ version: '1.0' }] }))
  const index = await town.push('multi', buildIndex())

  const made = await owner.run(['init', repository, '--no-passphrase'])
  t.equal(made.code, 0, made.stderr)
  const pin = pinFrom(made)
  t.same(pin.slice(0, 3), ['trust', 'add', repository])

  await t.test('nobody verifies without a pin', async (t) => {
    const ran = await consumer.run(['verify', `${repository}:1.0`])
    t.same([ran.code, codeOf(ran), ran.stdout], [1, 'NOT_PINNED', ''])
  })

  t.equal((await consumer.run(pin)).code, 0)
  await t.test('a tag that nobody signed is refused', async (t) => {
    const ran = await consumer.run(['verify', `${repository}:1.0`])
    t.same([ran.code, codeOf(ran), ran.stdout], [1, 'TAG_NOT_SIGNED', ''])
  })

  const signed = await owner.run(['sign', `${repository}:1.0`, `${repository}:multi`])
  t.same([signed.code, signed.stdout], [0, `${repository}:1.0@${image.digest}\n${repository}:multi@${index.digest}\n`])

  await t.test('the signed digest is printed, and it alone', async (t) => {
    const ran = await consumer.run(['verify', `${repository}:1.0`])
    t.same([ran.code, ran.stdout, ran.stderr], [0, `${repository}@${image.digest}\n`, ''])
  })
  await t.test('both are printed with everything below them checked', async (t) => {
    const ran = await consumer.run(['verify', '--deep', `${repository}:1.0`, `${repository}:multi`])
    t.same([ran.code, ran.stdout], [0, `${repository}@${image.digest}\n${repository}@${index.digest}\n`])
  })
  await t.test('a digest that is named is confirmed', async (t) => {
    t.equal((await consumer.run(['verify', `${repository}:1.0@${image.digest}`])).code, 0)
    const other = await consumer.run(['verify', `${repository}:1.0@${index.digest}`])
    t.same([other.code, codeOf(other)], [1, 'DIGEST_DIFFERS'])
  })
  await t.test('one image that fails keeps the others from being printed', async (t) => {
    const ran = await consumer.run(['verify', `${repository}:1.0`, `${repository}:none`])
    t.same([ran.code, ran.stdout], [1, ''])
  })
  await t.test('an answer that cannot be written is told, and is none', { skip: await whyNoFull() }, async (t) => {
    const through = ['sh', '-c', 'exec "$@" > /dev/full', 'sh']
    const ran = await consumer.run(['verify', `${repository}:1.0`], { through })
    t.same([ran.code, codeOf(ran)], [3, 'IO'])
  })
  await t.test('what the registry says of the tag afterwards changes nothing', async (t) => {
    await town.push('1.0', buildImage({ layers: [{ version: 'evil' }] }))
    const ran = await consumer.run(['verify', '--deep', `${repository}:1.0`])
    t.same([ran.code, ran.stdout], [0, `${repository}@${image.digest}\n`])
  })
  await t.test('signing it again as it is publishes nothing', async (t) => {
    const ran = await owner.run(['sign', `${repository}:1.0`, '--digest', image.digest, '--json'])
    t.match([ran.code, documentOf(ran)], [0, { signed: [{ published: false, digest: image.digest }] }])
  })
})

await t.test('who may not sign, and what may not be signed', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const { repository } = town
  const [owner, stranger] = [await town.person(), await town.person()]
  const image = await town.push('1.0', buildImage())
  const made = await owner.run(['init', repository, '--no-passphrase'])
  await stranger.run(pinFrom(made))

  await t.test('a repository is not created twice', async (t) => {
    const ran = await stranger.run(['init', repository, '--no-passphrase'])
    t.same([ran.code, codeOf(ran)], [1, 'REPOSITORY_EXISTS'])
  })
  await t.test('a stranger has no key of it', async (t) => {
    const ran = await stranger.run(['sign', `${repository}:1.0`])
    t.same([ran.code, codeOf(ran)], [1, 'NO_SIGNING_KEY'])
  })
  await t.test('an image that was never pushed', async (t) => {
    const ran = await owner.run(['sign', `${repository}:2.0`])
    t.same([ran.code, codeOf(ran)], [1, 'UNKNOWN_MANIFEST'])
  })
  await t.test('a digest that is not there', async (t) => {
    const ran = await owner.run(['sign', `${repository}:1.0`, '--digest', `sha256:${'0'.repeat(64)}`])
    t.same([ran.code, codeOf(ran)], [1, 'UNKNOWN_MANIFEST'])
  })
  await t.test('nothing of it was published', async (t) => {
    const ran = await owner.run(['list', repository])
    t.same([ran.code, ran.stdout], [0, ''])
    t.ok(image.digest)
  })
})

await t.test('an init that was interrupted is run again', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const owner = await town.person()
  const first = await owner.run(['init', town.repository, '--no-passphrase', '--server', 'http://127.0.0.1:1'])
  t.same([first.code, codeOf(first)], [3, 'NETWORK'])
  t.equal((await owner.run(['init', town.repository, '--no-passphrase'])).code, 0)
  // As if it had been killed after the publish and before the pin was kept.
  await owner.run(['trust', 'remove', town.repository])
  t.equal((await owner.run(['init', town.repository, '--no-passphrase'])).code, 0)
  const keys = await owner.run(['key', 'list', '--json'])
  t.equal((documentOf(keys) as { keys: unknown[] }).keys.length, 2)
})

async function whyNoFull(): Promise<string | false> {
  return await access('/dev/full').then(
    () => false,
    () => 'there is no /dev/full here',
  )
}
