import t from 'tap'
import { codeOf, documentOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false
const JOBS = 50

await t.test('fifty jobs sign different tags at once', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const { repository } = town
  const owner = await town.person()
  const image = await town.push('base', buildImage())
  t.equal((await owner.run(['init', repository, '--no-passphrase'])).code, 0)

  const tags = Array.from({ length: JOBS }, (_, i) => `job-${i}`)
  const ran = await Promise.all(
    tags.map((tag) => owner.run(['sign', `${repository}:${tag}`, '--digest', image.digest])),
  )
  t.same(
    ran.filter(({ code, stderr }) => code !== 0 || stderr !== ''),
    [],
    'nobody is shown a failure',
  )
  const list = await owner.run(['list', repository, '--json'])
  const listed = (documentOf(list) as { tags: { tag: string }[] }).tags.map(({ tag }) => tag)
  t.same(listed.toSorted(), tags.toSorted())
})

await t.test('of two that sign one tag for different digests, at least one is told', { skip }, async (t) => {
  const town = await openTown()
  t.teardown(town.close)
  const { repository } = town
  const owner = await town.person()
  const [a, b] = [
    await town.push('a', buildImage({ layers: [{ a: '' }] })),
    await town.push('b', buildImage({ layers: [{ b: '' }] })),
  ]
  t.equal((await owner.run(['init', repository, '--no-passphrase'])).code, 0)
  const ran = await Promise.all([a, b].map(({ digest }) => owner.run(['sign', `${repository}:x`, '--digest', digest])))
  // One after the other both succeed; at the same moment the second refuses.
  for (const each of ran.filter(({ code }) => code !== 0)) t.same([each.code, codeOf(each)], [1, 'TAG_CHANGED'])
  const [verified] = [await owner.run(['verify', `${repository}:x`])]
  t.equal(verified?.code, 0)
})
