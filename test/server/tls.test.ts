import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import t from 'tap'
import { lifeOf } from '../../keys/native/certificates.ts'
import { warnOfEnd } from '../../server/tls.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'
import { openTestServer } from './support/app.ts'

const skip = (await whyNoOpenssl()) ?? false
const DAY = 86_400_000

await t.test('a certificate that ends', { skip }, async (t) => {
  const made = await makeCertificate(t.testdir()) // of two days
  const tls = { cert: readFileSync(made.cert, 'utf8'), key: readFileSync(made.key, 'utf8') }
  const life = lifeOf(tls.cert)
  const { from, to } = life
  t.equal(to - from, 2 * DAY)

  const WHEN: Record<string, readonly [number, RegExp | undefined]> = {
    'with more than a fifth of its life left is not told of': [to - 0.41 * DAY, undefined],
    'with a fifth of its life left is warned of': [to - 0.4 * DAY, /"level":40,.*the certificate expires at 20/],
    'at this moment is an error': [to, /"level":50,.*the certificate expired at 20.*: no client connects/],
  }
  for (const [name, [now, said]] of Object.entries(WHEN)) {
    await t.test(name, async (t) => {
      const lines: string[] = []
      warnOfEnd(life, now, pino({}, { write: (line: string) => void lines.push(line) }))
      if (said === undefined) t.same(lines, [])
      else t.match(lines.join(''), said)
    })
  }

  await t.test('does so in the figures as well', async (t) => {
    const server = await openTestServer(t)
    const end = async () =>
      Number(/^tagseal_certificate_end_timestamp_seconds (\S+)$/m.exec((await server.get('/metrics')).body)?.[1])
    t.equal(await end(), 0, 'none is shown')
    server.services.shows(tls)
    t.equal(await end(), to / 1000)
  })
})
