import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { boundYoungSpace, sizeOfYoungSpace } from '../../../client/gateway/young-space.ts'

/** So many objects, of which the last 50,000 are in use at any moment. */
function live(objects: number): void {
  let kept: object[] = []
  for (let made = 0; made < objects; made++) {
    kept.push({ made, more: [made] })
    if (kept.length === 50_000) kept = []
  }
}

await t.test(
  'once it is large enough, what lives for a moment gets no more room, however much of it there is',
  async (t) => {
    boundYoungSpace()
    while (sizeOfYoungSpace() < 8 * 1024 * 1024) live(10_000)
    await delay(100)
    const settled = sizeOfYoungSpace()
    live(3_000_000)
    t.equal(sizeOfYoungSpace(), settled)
  },
)
