import { createPublicKey } from 'node:crypto'
import t from 'tap'
import { readBundle } from '../../../keys/native/certificates.ts'
import { certify } from '../../support/chain.ts'
import type { Certified } from '../../support/chain.ts'
import { whyNoOpenssl } from '../../support/tls.ts'

const skip = (await whyNoOpenssl()) ?? false
if (typeof skip === 'string') t.pass(skip, { skip })
else await chains()

async function chains(): Promise<void> {
  const dir = t.testdir()
  const DAY = 24 * 60 * 60 * 1000
  const authority = 'critical,CA:TRUE'
  const root = certify(dir, { constraints: authority, days: 20 })
  const narrow = certify(dir, { constraints: `${authority},pathlen:0`, days: 20 })
  const between = certify(dir, { issuer: root, constraints: authority })
  const narrower = certify(dir, { issuer: root, constraints: `${authority},pathlen:0` })
  const leafOf = (issuer: Certified) => certify(dir, { issuer })
  const [direct, leaf, alone] = [leafOf(root), leafOf(between), certify(dir)]
  const under = certify(dir, { issuer: narrower, constraints: authority })
  const underNarrow = certify(dir, { issuer: narrow, constraints: authority })
  const noAuthority = leafOf(alone)
  // basicConstraints with a path length of 5, in the one field before them that takes any bytes
  const serial = '0603551d130101ff041230100101ff020105'
  const disguised = certify(dir, { issuer: root, constraints: `${authority},pathlen:0`, serial })
  const underDisguised = certify(dir, { issuer: disguised, constraints: authority })

  type Case = { trusted: readonly Certified[]; chain: readonly Certified[]; in?: number; refused?: true }
  const CASES: Record<string, Case> = {
    'a certificate of the bundle': { trusted: [root, alone], chain: [alone] },
    'one that an authority of the bundle signed': { trusted: [root], chain: [direct] },
    'one that leads there by one between': { trusted: [root], chain: [leaf, between] },
    'one with the root of the bundle sent along': { trusted: [root], chain: [leaf, between, root] },
    'one whose issuer is in the bundle, and not the root': { trusted: [between], chain: [leaf] },
    'one directly below an authority that may have nobody below': { trusted: [narrow], chain: [leafOf(narrow)] },
    'no certificate at all': { trusted: [root], chain: [], refused: true },
    'one of another authority': { trusted: [narrow], chain: [direct], refused: true },
    'one whose issuer is missing': { trusted: [root], chain: [leaf], refused: true },
    'a chain in the wrong order': { trusted: [root], chain: [leaf, root, between], refused: true },
    'one with a stranger between': { trusted: [root], chain: [leaf, direct, between], refused: true },
    'one that is signed by no authority': { trusted: [alone], chain: [noAuthority], refused: true },
    'one below an authority that may have none below': {
      trusted: [root],
      chain: [leafOf(under), under, narrower],
      refused: true,
    },
    'one below an authority of the bundle that may have none below': {
      trusted: [narrow],
      chain: [leafOf(underNarrow), underNarrow],
      refused: true,
    },
    'one below an authority whose serial number looks like a longer path': {
      trusted: [root],
      chain: [leafOf(underDisguised), underDisguised, disguised],
      refused: true,
    },
    'one that has expired': { trusted: [root], chain: [direct], in: 3 * DAY, refused: true },
    'one whose issuer in between has expired': {
      trusted: [root],
      chain: [certify(dir, { issuer: between, days: 10 }), between],
      in: 3 * DAY,
      refused: true,
    },
    'one whose root has expired': {
      trusted: [root],
      chain: [certify(dir, { issuer: root, days: 40 })],
      in: 30 * DAY,
      refused: true,
    },
    'one that is not valid yet': { trusted: [alone], chain: [alone], in: -DAY, refused: true },
    'more than anybody needs': { trusted: [root], chain: [leaf, between, root, root, root, root], refused: true },
  }
  for (const [name, { trusted, chain, in: later = 0, refused }] of Object.entries(CASES)) {
    await t.test(`${refused === true ? 'refuses' : 'accepts'} ${name}`, async (t) => {
      const bundle = readBundle(trusted.map(({ pem }) => pem).join(''), 'the bundle')
      const key = bundle.keyOf(
        chain.map(({ der }) => der),
        Date.now() + later,
      )
      const [first] = chain
      const wanted =
        refused === true || first === undefined
          ? undefined
          : createPublicKey(first.key).export({ format: 'der', type: 'spki' })
      t.same(key && Buffer.from(key), wanted)
    })
  }

  await t.test('a chain of something else is no chain', async (t) => {
    const bundle = readBundle(root.pem, 'the bundle')
    t.equal(bundle.keyOf([Buffer.from('x')], Date.now()), undefined)
    t.equal(bundle.keyOf([leaf.der, Buffer.from('x')], Date.now()), undefined)
    const changed = Buffer.from(direct.der)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    t.equal(bundle.keyOf([changed], Date.now()), undefined)
  })

  const BUNDLES: Record<string, string> = {
    nothing: '',
    'a key': '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
    'a certificate that is none': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  }
  for (const [name, text] of Object.entries(BUNDLES)) {
    await t.test(`refuses as a bundle ${name}`, async (t) => {
      t.throws(() => readBundle(text, 'the bundle'), { code: 'KEY_MALFORMED' })
    })
  }
}
