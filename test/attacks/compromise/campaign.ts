/** `npm run campaign`: five hundred repositories share one leaked key, and its rotation is interrupted at random points. */
import t from 'tap'
import { rotateMany } from './many-repositories.ts'

t.setTimeout(3_600_000)
await t.test('a key that leaked is rotated out of five hundred repositories', async (t) => {
  await rotateMany(t, { repositories: 500, interruptions: 20, within: 2000, random: Math.random })
})
