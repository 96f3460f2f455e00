import t from 'tap'
import { serverFor } from '../../../client/trust/server-ca.ts'

const SERVER = 'https://trust.example.com/'
const pin = { pem: 'PEM', from: 'the pin of a/**', yields: true }
const rule = { pem: 'PEM', from: 'the rule at policy.yaml:3:5', yields: false }
const kept = (serverCa: typeof pin, server: string | undefined = SERVER) => ({ server, serverCa })
type Named = Parameters<typeof serverFor>[0]
const named = (more: Partial<Named> = {}): Named => ({ server: undefined, ca: undefined, ...more })

type Case = {
  named: Named
  kept: Parameters<typeof serverFor>[1]
  server: string | undefined
  by: 'what is kept' | 'the run'
}
const CASES: Record<string, Case> = {
  'a pin that keeps both': { named: named(), kept: kept(pin), server: SERVER, by: 'what is kept' },
  'a pin whose authority the run replaces': {
    named: named({ ca: 'ca.pem' }),
    kept: kept(pin),
    server: SERVER,
    by: 'the run',
  },
  'a rule, whatever the run says for all of them': {
    named: named({ ca: 'ca.pem' }),
    kept: kept(rule),
    server: SERVER,
    by: 'what is kept',
  },
  'the server of the pin, named again': {
    named: named({ server: 'https://TRUST.example.com:443' }),
    kept: kept(pin),
    server: 'https://TRUST.example.com:443',
    by: 'what is kept',
  },
  'the same host on another port': {
    named: named({ server: 'https://trust.example.com:8443' }),
    kept: kept(pin),
    server: 'https://trust.example.com:8443',
    by: 'the run',
  },
  'another host': {
    named: named({ server: 'https://other.example.com' }),
    kept: kept(rule),
    server: 'https://other.example.com',
    by: 'the run',
  },
  'the same host in plain http': {
    named: named({ server: 'http://trust.example.com' }),
    kept: kept(pin),
    server: 'http://trust.example.com',
    by: 'the run',
  },
  'a server that is no URL, which is refused later': {
    named: named({ server: 'trust' }),
    kept: kept(pin),
    server: 'trust',
    by: 'the run',
  },
  'a server of the run, where none is kept': {
    named: named({ server: SERVER }),
    kept: { server: undefined, serverCa: undefined },
    server: SERVER,
    by: 'the run',
  },
}
for (const [name, { named, kept, server, by }] of Object.entries(CASES)) {
  await t.test(`${name} is reached by the authorities of ${by}`, async (t) => {
    t.same(serverFor(named, kept), by === 'the run' ? { server } : { server, serverCa: kept.serverCa })
  })
}

await t.test('no server is none', async (t) => {
  t.equal(serverFor(named({ ca: 'ca.pem' }), { server: undefined, serverCa: undefined }), undefined)
})
