import { join } from 'node:path'
import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { portableSuite } from '../../../keys/portable/suite.ts'
import { isVouchedFor } from '../../../tuf/index.ts'
import type { Certificate, Suite } from '../../../tuf/index.ts'
import { CA, certificateMaker } from '../../support/x509.ts'
import type { Made } from '../../support/x509.ts'

const SUITES = { native: nativeSuite, portable: portableSuite }
const DAY = 86_400_000
const make = certificateMaker(join(t.testdir(), 'x509'))
const rsa = (bits: number) => ['RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`]
const P521 = ['EC', '-pkeyopt', 'ec_paramgen_curve:P-521']
const P384 = ['EC', '-pkeyopt', 'ec_paramgen_curve:P-384']

const root = make('root', { extensions: CA })
const other = make('other', { extensions: CA })
const impostor = make('impostor', { subject: '/CN=root', extensions: CA })
const rsaRoot = make('rsa-root', { key: rsa(2048), extensions: CA })
const p521Root = make('p521-root', { key: P521, digest: 'sha512', extensions: CA })
const p384Root = make('p384-root', { key: P384, digest: 'sha512', extensions: CA })
const between = make('between', { issuer: root, extensions: CA })
const below = make('below', { issuer: between, key: rsa(2048), extensions: CA })
const narrow = make('narrow', { issuer: root, extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] })
const underNarrow = make('under-narrow', { issuer: narrow, extensions: CA })
const noAuthority = make('no-authority', { issuer: root })
const mayNotSign = make('may-not-sign', {
  issuer: root,
  extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature'],
})
const forClients = make('for-clients', { issuer: root, extensions: [...CA, 'extendedKeyUsage=clientAuth'] })

const leafOf = (name: string, issuer: Made, more: object = {}) => make(name, { issuer, ...more })

type Case = {
  readonly chain: readonly Made[]
  readonly anchors: readonly Made[]
  readonly holds: boolean
  readonly now?: number
}
const leaf = leafOf('leaf', root)
const CASES: Record<string, Case> = {
  'a leaf of the authority': { chain: [leaf], anchors: [root], holds: true },
  'one of several authorities': { chain: [leaf], anchors: [other, root], holds: true },
  'a leaf of an RSA authority': { chain: [leafOf('of-rsa', rsaRoot)], anchors: [rsaRoot], holds: true },
  'signed with SHA-384': {
    chain: [leafOf('of-rsa-384', rsaRoot, { digest: 'sha384' })],
    anchors: [rsaRoot],
    holds: true,
  },
  'signed with SHA-512': {
    chain: [leafOf('of-rsa-512', rsaRoot, { digest: 'sha512' })],
    anchors: [rsaRoot],
    holds: true,
  },
  'a leaf of an authority on P-521': {
    chain: [leafOf('of-521', p521Root, { digest: 'sha512' })],
    anchors: [p521Root],
    holds: true,
  },
  'a leaf of an authority on P-384': {
    chain: [leafOf('of-384', p384Root, { digest: 'sha512' })],
    anchors: [p384Root],
    holds: true,
  },
  'a leaf for a server': {
    chain: [leafOf('server', root, { extensions: ['extendedKeyUsage=serverAuth'] })],
    anchors: [root],
    holds: true,
  },
  'a leaf for anything': {
    chain: [leafOf('any', root, { extensions: ['extendedKeyUsage=anyExtendedKeyUsage'] })],
    anchors: [root],
    holds: true,
  },
  'a leaf with other names': {
    chain: [leafOf('names', root, { extensions: ['subjectAltName=critical,DNS:example.com'] })],
    anchors: [root],
    holds: true,
  },
  'over an authority in between': { chain: [leafOf('two', between), between], anchors: [root], holds: true },
  'over two of them, in whatever order': {
    chain: [leafOf('three', below), between, below],
    anchors: [root],
    holds: true,
  },
  'the authority in between is pinned': { chain: [leafOf('mid', between)], anchors: [between], holds: true },
  'nobody at all': { chain: [], anchors: [root], holds: false },
  'an authority that is not pinned': { chain: [leaf], anchors: [other], holds: false },
  'an authority of the same name': { chain: [leaf], anchors: [impostor], holds: false },
  'an authority in between that was left out': { chain: [leafOf('gap', between)], anchors: [root], holds: false },
  'an issuer that is no authority': {
    chain: [leafOf('by-leaf', noAuthority), noAuthority],
    anchors: [root],
    holds: false,
  },
  'an authority that may not sign': {
    chain: [leafOf('by-mute', mayNotSign), mayNotSign],
    anchors: [root],
    holds: false,
  },
  'an authority for clients': { chain: [leafOf('by-client', forClients), forClients], anchors: [root], holds: false },
  'more between than an authority allows': {
    chain: [leafOf('too-deep', underNarrow), underNarrow, narrow],
    anchors: [root],
    holds: false,
  },
  'as many between as an authority allows': { chain: [leafOf('deep', narrow), narrow], anchors: [root], holds: true },
  'a leaf for signing code': {
    chain: [leafOf('code', root, { extensions: ['extendedKeyUsage=codeSigning'] })],
    anchors: [root],
    holds: false,
  },
  'a leaf that asks for what we do not know': {
    chain: [leafOf('odd', root, { extensions: ['1.2.3.4=critical,ASN1:NULL'] })],
    anchors: [root],
    holds: false,
  },
  'signed with SHA-1': { chain: [leafOf('sha1', rsaRoot, { digest: 'sha1' })], anchors: [rsaRoot], holds: false },
  'a key of 1024 bits': { chain: [leafOf('short', root, { key: rsa(1024) })], anchors: [root], holds: false },
  'a key on another curve': {
    chain: [leafOf('k1', root, { key: ['EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'] })],
    anchors: [root],
    holds: false,
  },
  'a leaf that has expired': { chain: [leaf], anchors: [root], holds: false, now: Date.now() + 31 * DAY },
  'a leaf that is not valid yet': { chain: [leaf], anchors: [root], holds: false, now: Date.now() - DAY },
}

for (const [name, { chain, anchors, holds, now = Date.now() }] of Object.entries(CASES)) {
  await t.test(`${holds ? 'vouches for' : 'does not vouch for'} ${name}`, async (t) => {
    for (const [suiteName, suite] of Object.entries(SUITES)) {
      t.equal(isVouchedFor(read(suite, chain), read(suite, anchors), now), holds, suiteName)
    }
  })
}

await t.test('a chain of many authorities is followed so far and no further', async (t) => {
  const authorities = [root]
  for (let i = 0; i < 10; i++)
    authorities.unshift(make(`step-${i}`, { issuer: authorities[0] ?? root, extensions: CA }))
  const chain = read(nativeSuite, authorities.slice(0, -1))
  t.notOk(isVouchedFor([...chain], read(nativeSuite, [root]), Date.now()))
  t.ok(isVouchedFor(chain.slice(3), read(nativeSuite, [root]), Date.now()))
})

await t.test('authorities that all issue each other lead nowhere, and soon', async (t) => {
  const first = make('ring', { extensions: CA })
  const wish = { keyOf: first, subject: '/CN=ring', extensions: CA }
  const ring = Array.from({ length: 24 }, (_, i) => make(`ring-${'i'.repeat(i)}`, wish))
  const chain = read(nativeSuite, [leafOf('of-ring', first), first, ...ring])
  t.equal(chain.length, 26)
  // Every way through them, one by one, would be 26 times 25 times 24, and so on.
  t.notOk(isVouchedFor(chain, read(nativeSuite, [root]), Date.now()))
})

await t.test('no byte of a certificate can be another', async (t) => {
  const anchors = read(nativeSuite, [root])
  const der = Buffer.from(leaf.pem.toString().split('\n').slice(1, -2).join(''), 'base64')
  for (let at = 0; at < der.length; at++) {
    const changed = pemOf(der.with(at, (der[at] ?? 0) ^ 1))
    const answers = Object.values(SUITES).map((suite) =>
      isVouchedFor(suite.certificates(changed) ?? [], anchors, Date.now()),
    )
    if (answers.some((answer) => answer)) t.fail(`byte ${at}`)
  }
  t.ok(der.length > 200)
})

function read(suite: Suite, made: readonly Made[]): readonly Certificate[] {
  return made.length === 0 ? [] : (suite.certificates(Buffer.concat(made.map(({ pem }) => pem))) ?? [])
}

function pemOf(der: Uint8Array): Uint8Array {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return Buffer.from(`-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`)
}
