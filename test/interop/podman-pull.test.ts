import t from 'tap'
import { tryPodman } from '../support/engines.ts'
import { pullJourney } from '../support/pull-journey.ts'
import { whyNoRegistry } from '../support/registry.ts'

const engine = (await whyNoRegistry()) ?? (await tryPodman())
const skip = typeof engine === 'string' && engine

await t.test('tagseal pull has podman pull what was signed, or nothing', { skip }, async (t) => {
  if (typeof engine === 'string') return
  t.teardown(engine.stop)
  await pullJourney(t, engine)
})
