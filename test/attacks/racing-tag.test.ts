/** The registry, or somebody who pushes to it, moves a tag while it is being signed: no wrong bytes get a signature. */
import t from 'tap'
import type { Test } from 'tap'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeOf, tagseal } from '../support/cli.ts'
import { startHostileRegistry, when } from '../support/hostile-registry.ts'
import { buildImage } from '../support/images.ts'
import type { Stored } from '../support/images.ts'
import { startServer } from '../support/server.ts'

const IMAGE = buildImage()
const EVIL = buildImage({ layers: [{ 'app/run': 'evil\n' }] })

async function workshop(t: Test) {
  const [server, registry, home] = await Promise.all([
    startServer(),
    startHostileRegistry(),
    mkdtemp(join(tmpdir(), 'tagseal-racing-')),
  ])
  t.teardown(async () => {
    await Promise.all([server.stop(), registry.close()])
    await Promise.all([server.remove(), rm(home, { recursive: true, force: true })])
  })
  registry.serve(EVIL)
  registry.serve(IMAGE, '1.0')
  const env = { TAGSEAL_HOME: home, TAGSEAL_SERVER: server.url, HOME: home }
  const run = (...args: readonly string[]) => tagseal([...args, '--plain-http'], { env })
  const repository = `${registry.host}/team/app`
  const made = await run('init', repository, '--no-passphrase')
  t.equal(made.code, 0, made.stderr)
  const targets = async () => await (await fetch(`${server.url}/v2/${repository}/_trust/tuf/targets.json`)).text()
  return { registry, run, repository, targets }
}
const answering = ({ mediaType, bytes }: Stored, times: number) =>
  when(/manifests\/1\.0$/, (_, response) => response.writeHead(200, { 'content-type': mediaType }).end(bytes), times)

await t.test('signing', async (t) => {
  const { registry, run, repository, targets } = await workshop(t)
  const before = await targets()

  await t.test('refuses a tag that moved between the first look and the last', async (t) => {
    registry.lie(answering(EVIL.manifest, 1))
    const ran = await run('sign', `${repository}:1.0`)
    t.same([ran.code, codeOf(ran), ran.stdout], [1, 'TAG_MOVED', ''])
    t.equal(await targets(), before, 'nothing was published')
  })
  await t.test('refuses a digest whose bytes the registry swaps', async (t) => {
    registry.lie(
      when(new RegExp(IMAGE.manifest.digest), (_, response) =>
        response.writeHead(200, { 'content-type': EVIL.manifest.mediaType }).end(EVIL.manifest.bytes),
      ),
    )
    const ran = await run('sign', `${repository}:1.0`, '--digest', IMAGE.manifest.digest)
    t.same([ran.code, codeOf(ran), ran.stdout], [1, 'DIGEST_MISMATCH', ''])
    t.equal(await targets(), before)
  })
  await t.test('refuses an image of which the registry does not have all', async (t) => {
    registry.lie(when(/blobs/, (_, response) => response.writeHead(404).end()))
    const ran = await run('sign', `${repository}:1.0`)
    t.same([ran.code, codeOf(ran), ran.stdout], [1, 'UNKNOWN_BLOB', ''])
    t.equal(await targets(), before)
  })
  await t.test('signs the digest that the pipeline named, whatever the tag says by now', async (t) => {
    registry.lie(answering(EVIL.manifest, 99))
    const ran = await run('sign', `${repository}:1.0`, '--digest', IMAGE.manifest.digest)
    t.same([ran.code, ran.stdout], [0, `${repository}:1.0@${IMAGE.manifest.digest}\n`], ran.stderr)
    t.notMatch(await targets(), EVIL.manifest.digest.slice(7))
  })
  await t.test('signs the bytes that it hashed, whatever the header calls them', async (t) => {
    registry.lie(
      when(/manifests\/2\.0$/, (_, response) => {
        const headers = { 'content-type': IMAGE.manifest.mediaType, 'docker-content-digest': EVIL.manifest.digest }
        response.writeHead(200, headers).end(IMAGE.manifest.bytes)
      }),
    )
    const ran = await run('sign', `${repository}:2.0`)
    t.same([ran.code, ran.stdout], [0, `${repository}:2.0@${IMAGE.manifest.digest}\n`], ran.stderr)
  })
})
