import t from 'tap'
import { enforces } from '../../support/engine-journeys.ts'
import { whyNoRegistry } from '../../support/registry.ts'
import { STOCK_ENGINES } from '../../support/stock-engines.ts'

// A hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
await t.test(
  'buildah through the gateway, by what doctor writes for podman',
  { skip: (await whyNoRegistry()) ?? false },
  async (t) => {
    await enforces(t, STOCK_ENGINES.buildah)
  },
)
