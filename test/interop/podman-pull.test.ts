import t from 'tap'
import { tryPodman } from '../support/engines.ts'
import type { TestEngine } from '../support/engines.ts'
import { pullJourney } from '../support/pull-journey.ts'
import { whyNoRegistry } from '../support/registry.ts'

const engine = (await whyNoRegistry()) ?? (await tryPodman())
const skip = typeof engine === 'string' && engine
/** What goes wrong once in three times goes wrong in these. */
const TIMES = 15

await t.test('tagseal pull has podman pull what was signed, or nothing', { skip }, async (t) => {
  if (typeof engine === 'string') return
  t.teardown(engine.stop)
  await pullJourney(t, engine)
})

await t.test('a podman of the tests that is reset takes nothing from another one', { skip }, async (t) => {
  const [stays, goes] = await Promise.all([tryPodman(), tryPodman()])
  if (typeof stays === 'string' || typeof goes === 'string') throw new Error('there was one just now')
  for (const { stop } of [stays, goes]) t.teardown(stop)
  const [failures] = await Promise.all([again(stays, 'image', 'ls'), again(goes, 'system', 'reset', '--force')])
  t.same(failures, [])
})

async function again({ run }: TestEngine, ...args: string[]): Promise<readonly string[]> {
  const failures: string[] = []
  for (let time = 0; time < TIMES; time++) {
    const { code, stderr } = await run(...args)
    if (code !== 0) failures.push(stderr)
  }
  return failures
}
