import t from 'tap'
import { placeOf } from '../../../client/registry/address.ts'
import { plainHostsOf } from '../../../client/plain-hosts.ts'
import { mayHoldLogin, whyRefused } from '../../../client/registry/destination.ts'

const PLACES: Record<string, string> = {
  'registry.example.com': 'public',
  '8.8.8.8': 'public',
  '[2001:db8::1]': 'public',
  localhost: 'loopback',
  'a.localhost': 'loopback',
  'localhost.': 'loopback',
  'localhost.example': 'public',
  '127.0.0.1': 'loopback',
  '127.255.255.254': 'loopback',
  '0.0.0.0': 'loopback',
  '[::1]': 'loopback',
  '[::]': 'loopback',
  '[::ffff:7f00:1]': 'loopback',
  '10.1.2.3': 'private',
  '172.16.0.1': 'private',
  '172.32.0.1': 'public',
  '192.168.1.1': 'private',
  '100.64.0.1': 'private',
  '[fd00::1]': 'private',
  '[fc12:3456::1]': 'private',
  '169.254.169.254': 'link-local',
  '[fe80::1]': 'link-local',
  '[febf::1]': 'link-local',
  '[::ffff:a9fe:a9fe]': 'link-local',
  '[fd00:ec2::254]': 'link-local',
}

await t.test('an address stands where it stands', async (t) => {
  for (const [hostname, place] of Object.entries(PLACES))
    await t.test(`${hostname} is ${place}`, async (t) => t.equal(placeOf(hostname), place))
})

type Case = {
  readonly base: string
  readonly from?: string
  readonly to: string
  readonly refused?: RegExp
  readonly plain?: string
}

const CASES: Record<string, Case> = {
  'a public registry to its object store': { base: 'https://r.example', to: 'https://store.example/x?y' },
  'a public registry to another port of itself': { base: 'https://r.example', to: 'https://r.example:8443/' },
  'a public registry to this machine': { base: 'https://r.example', to: 'https://127.0.0.1/', refused: /inner/ },
  'a public registry to localhost': { base: 'https://r.example', to: 'https://localhost:6443/', refused: /inner/ },
  'a public registry to the office': { base: 'https://r.example', to: 'https://10.0.0.1/', refused: /inner/ },
  'a public registry to the metadata service': {
    base: 'https://r.example',
    to: 'https://169.254.169.254/',
    refused: /inner/,
  },
  'an office registry to the office': { base: 'https://10.0.0.1', to: 'https://10.0.0.2/' },
  'an office registry to this machine': { base: 'https://10.0.0.1', to: 'https://127.0.0.1/', refused: /inner/ },
  'an office registry to the metadata service': {
    base: 'https://10.0.0.1',
    to: 'https://169.254.169.254/',
    refused: /inner/,
  },
  'a registry on this machine to another port': { base: 'http://127.0.0.1:5000', to: 'http://127.0.0.1:9000/' },
  'a registry on this machine to the world': { base: 'http://127.0.0.1:5000', to: 'https://store.example/' },
  'a registry on this machine to the world in plain http': {
    base: 'http://127.0.0.1:5000',
    to: 'http://store.example/',
    refused: /plain/,
  },
  'a named registry to itself in plain http': {
    base: 'http://r.example:5000',
    to: 'http://r.example:5000/b',
    plain: 'r.example:5000',
  },
  'a named registry to another in plain http': {
    base: 'http://r.example',
    to: 'http://q.example/',
    plain: 'r.example',
    refused: /plain/,
  },
  'a registry named without its port to another port of it': {
    base: 'http://r.example:5000',
    to: 'http://r.example:5001/b',
    plain: 'r.example',
  },
  'a registry named on port 80 to another port of it': {
    base: 'http://r.example',
    to: 'http://r.example:5001/b',
    plain: 'r.example:80',
    refused: /plain/,
  },
  'down to http': { base: 'https://r.example', to: 'http://r.example/', plain: 'r.example', refused: /leaves https/ },
  'down to http at the second step': {
    base: 'http://127.0.0.1',
    from: 'https://a.example',
    to: 'http://127.0.0.1/',
    refused: /leaves https/,
  },
  'a file': { base: 'https://r.example', to: 'file:///etc/passwd', refused: /neither/ },
  'a login in the address': { base: 'https://r.example', to: 'https://a@r.example/', refused: /login/ },
}

await t.test('sending a client from', async (t) => {
  for (const [name, { base, from = base, to, refused, plain }] of Object.entries(CASES)) {
    await t.test(`${name} is ${refused ? 'refused' : 'followed'}`, async (t) => {
      const why = whyRefused(
        { base: new URL(base), plainHosts: plainHostsOf(plain ? [plain] : []) },
        new URL(from),
        new URL(to),
      )
      if (refused) t.match(why, refused)
      else t.equal(why, undefined)
    })
  }
})

const LOGINS: Record<string, readonly [base: string, to: string, may: boolean]> = {
  'a registry with TLS may name another host': ['https://r.example', 'https://auth.example/token', true],
  'a registry on this machine may name another host': ['http://127.0.0.1:5000', 'https://auth.example/token', true],
  'a registry on this machine may name this machine': ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token', true],
  'a registry in plain http may get it itself, since the user named it': [
    'http://r.example',
    'http://r.example/token',
    true,
  ],
  'a registry in plain http may name no other host': ['http://r.example', 'https://auth.example/token', false],
}

await t.test('a login', async (t) => {
  for (const [name, [base, to, may]] of Object.entries(LOGINS)) {
    await t.test(name, async (t) =>
      t.equal(mayHoldLogin({ base: new URL(base), plainHosts: plainHostsOf([]) }, new URL(to)), may),
    )
  }
})
