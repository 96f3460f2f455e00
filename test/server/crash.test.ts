import t from 'tap'
import { crashCampaign } from './crash.ts'

await t.test('fifteen kills lose nothing that was acknowledged, and nothing served fails to verify', async (t) => {
  const { acknowledged, reads } = await crashCampaign(15)
  t.comment(`${acknowledged} publishes acknowledged, ${reads} refreshes`)
  t.ok(acknowledged > 15)
  t.ok(reads > 0)
})
