import t from 'tap'
import { startOurs, whyNotNotary } from '../support/notary-town.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { tagsealOnNotary } from '../support/tagseal-on-notary.ts'

// Some hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
const skip = (await whyNotNotary()) ?? (await whyNoRegistry()) ?? false

await t.test('tagseal on Notary repositories of our server', { skip }, async (t) => {
  await tagsealOnNotary(t, startOurs)
})
