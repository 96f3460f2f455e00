/** Several `notary` publish to one repository at the same time. */
import t from 'tap'
import { openNotaryTown, targetsIn, whyNotNotary } from '../support/notary-town.ts'

const skip = (await whyNotNotary()) ?? false
const GUN = 'example.com/app'
const [PUBLISHERS, ROUNDS] = [4, 5]

for (const held of ['the server', 'publishers']) {
  await t.test(
    `${PUBLISHERS} at a time for ${ROUNDS} rounds, where ${held} hold the snapshot key`,
    { skip },
    async (t) => {
      const town = await openNotaryTown(t)
      const owner = town.user('owner')
      const file = town.file('f', 'x')
      await owner.run(`init ${GUN}`)
      if (held === 'the server') await owner.run(`key rotate ${GUN} snapshot -r`)
      await owner.run(`publish ${GUN}`)
      const keys = town.file('keys.pem', '')
      await owner.run(`key export -o ${keys}`)
      const publishers = Array.from({ length: PUBLISHERS }, (_, i) => town.user(`publisher${i}`))
      for (const publisher of publishers) await publisher.run(`key import ${keys}`)
      const published: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const attempts = await Promise.all(
          publishers.map((publisher, i) => publisher.try(`add -p ${GUN} v${round}.${i} ${file}`)),
        )
        for (const [i, { code, stderr, stdout }] of attempts.entries()) {
          if (code === 0) published.push(`v${round}.${i} targets`)
          else t.match(stdout + stderr, /is at version \d+, so that \d+ cannot follow/, 'the loser is told why')
        }
        t.ok(
          attempts.some(({ code }) => code === 0),
          'somebody gets through',
        )
        for (const publisher of publishers) await publisher.run(`reset ${GUN} --all`)
      }
      t.same(targetsIn(await town.user('reader').run(`list ${GUN}`)).toSorted(), published.toSorted())
      const statuses = new Set((await town.requests()).map((request) => request.split(' ', 1).join()))
      t.same(
        [...statuses].filter((status) => !['200', '400', '404'].includes(status)),
        [],
      )
    },
  )
}
