import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { codeOf } from './cli.ts'
import type { Ran } from './cli.ts'
import type { TestEngine } from './engines.ts'
import { buildImage, buildIndex } from './images.ts'
import type { BuiltImage, Stored } from './images.ts'
import { openTown, pinFrom } from './town.ts'
import type { Person, Town } from './town.ts'

type Lab = {
  readonly engine: TestEngine
  readonly town: Town
  readonly owner: Person
  /** `tagseal pull` of a tag of the town's repository, with more words after it. */
  readonly pull: (tag: string, ...more: string[]) => Promise<Ran>
}

/** What every engine must do when `tagseal pull` drives it: the signed digest under the tag, or nothing at all. */
export async function pullJourney(t: Test, engine: TestEngine): Promise<void> {
  const lab = await openLab(t, engine)
  for (const [name, journey] of Object.entries(JOURNEYS)) {
    await t.test(name, async (t) => {
      await engine.empty()
      await journey(t, lab)
    })
  }
}

const JOURNEYS: Record<string, (t: Test, lab: Lab) => Promise<void>> = {
  'a signed image is pulled, and the tag is set here': async (t, lab) => {
    const { digest } = await release(lab, 'plain', 'signed')
    const ran = await lab.pull('plain')
    t.same([ran.code, ran.stdout], [0, `${lab.town.repository}@${digest}\n`], ran.stderr)
    t.equal(await digestHere(lab, 'plain'), digest)
    t.match(await fileIn(lab, 'plain'), 'signed')
  },
  'an index is pulled as itself, for this machine': async (t, { town, owner, pull, ...lab }) => {
    const own = process.arch === 'arm64' ? 'arm64' : 'amd64'
    const { digest } = await town.push('multi', buildIndex([{ architecture: own }, { architecture: 's390x' }]))
    t.equal((await owner.run(['sign', `${town.repository}:multi`])).code, 0)
    t.equal((await pull('multi')).code, 0)
    t.match((await lab.engine.run('image', 'inspect', `${town.repository}:multi`)).stdout, digest)
  },
  'a tag that moved in the registry is pulled as it was signed': async (t, lab) => {
    const { digest } = await release(lab, 'moved', 'signed')
    await lab.town.push('moved', imageWith('evil'))
    t.equal((await lab.pull('moved')).code, 0)
    t.equal(await digestHere(lab, 'moved'), digest)
    t.match(await fileIn(lab, 'moved'), 'signed')
  },
  'a tag that was signed anew moves here too': async (t, lab) => {
    await release(lab, 'latest', 'old')
    t.equal((await lab.pull('latest')).code, 0)
    const { digest } = await release(lab, 'latest', 'new')
    t.equal((await lab.pull('latest')).code, 0)
    t.equal(await digestHere(lab, 'latest'), digest)
    t.match(await fileIn(lab, 'latest'), 'new')
  },
  'a tag that nobody signed leaves nothing here': async (t, lab) => {
    await lab.town.push('unsigned', imageWith('unsigned'))
    const ran = await lab.pull('unsigned')
    t.same([ran.code, codeOf(ran), ran.stdout, await imagesHere(lab)], [1, 'TAG_NOT_SIGNED', '', ''])
  },
  'a tag that was revoked leaves nothing here': async (t, lab) => {
    await release(lab, 'revoked', 'signed')
    t.equal((await lab.owner.run(['revoke', `${lab.town.repository}:revoked`])).code, 0)
    const ran = await lab.pull('revoked')
    t.same([ran.code, codeOf(ran), ran.stdout, await imagesHere(lab)], [1, 'TAG_NOT_SIGNED', '', ''])
  },
  'another digest than the one that was named leaves nothing here': async (t, lab) => {
    await release(lab, 'named', 'signed')
    const ran = await lab.pull(`named@sha256:${'0'.repeat(64)}`)
    t.same([ran.code, codeOf(ran), ran.stdout, await imagesHere(lab)], [1, 'DIGEST_DIFFERS', '', ''])
  },
  'whoever pinned nobody gets nothing': async (t, { town, engine, ...lab }) => {
    await release({ ...lab, town, engine }, 'unpinned', 'signed')
    const stranger = await town.person()
    const ran = await stranger.run(['pull', `${town.repository}:unpinned`, '--engine', engine.name], engine)
    t.same([ran.code, codeOf(ran), ran.stdout, await imagesHere({ engine })], [1, 'NOT_PINNED', '', ''])
  },
  'a layer that was changed in the registry is refused by the engine, and the tag is not set': async (t, lab) => {
    const image = imageWith('whole')
    await lab.town.push('damaged', image)
    t.equal((await lab.owner.run(['sign', `${lab.town.repository}:damaged`])).code, 0)
    await damageLayer(lab.town, image)
    const ran = await lab.pull('damaged')
    t.same([ran.code, codeOf(ran), ran.stdout, await imagesHere(lab)], [3, 'ENGINE_FAILED', '', ''])
  },
}

async function openLab(t: Test, engine: TestEngine): Promise<Lab> {
  const town = await openTown()
  t.teardown(town.close)
  const [owner, consumer] = [await town.person(), await town.person()]
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  t.equal(made.code, 0, made.stderr)
  t.equal((await consumer.run(pinFrom(made))).code, 0)
  const pull = (tag: string, ...more: string[]) =>
    consumer.run(['pull', `${town.repository}:${tag}`, '--engine', engine.name, ...more], engine)
  return { engine, town, owner, pull }
}

function imageWith(text: string): BuiltImage {
  return buildImage({ layers: [{ 'etc/motd': `${text}\n` }] })
}

async function release({ town, owner }: Lab, tag: string, text: string): Promise<Stored> {
  const pushed = await town.push(tag, imageWith(text))
  const { code, stderr } = await owner.run(['sign', `${town.repository}:${tag}`])
  if (code !== 0) throw new Error(stderr)
  return pushed
}

/** The digest that the engine says the tag has. */
async function digestHere({ engine, town }: Lab, tag: string): Promise<string> {
  const image = `${town.repository}:${tag}`
  const { stdout } = await engine.run('image', 'inspect', '--format', '{{join .RepoDigests " "}}', image)
  return stdout.trim().split('@')[1] ?? ''
}

async function imagesHere({ engine }: Pick<Lab, 'engine'>): Promise<string> {
  return (await engine.run('image', 'ls', '--all', '--quiet')).stdout
}

/** The one file of the image, out of a container that was never run. */
async function fileIn({ engine, town }: Lab, tag: string): Promise<string> {
  const { stdout: id } = await engine.run('create', `${town.repository}:${tag}`, '/app/run')
  return (await engine.run('cp', `${id.trim()}:/etc/motd`, '-')).stdout
}

async function damageLayer({ registry }: Town, { layers }: BuiltImage): Promise<void> {
  const hex = layers[0]?.digest.slice('sha256:'.length) ?? ''
  const file = join(registry.storage, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
  await writeFile(file, imageWith('evil').layers[0]?.bytes ?? '')
}
