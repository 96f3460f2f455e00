import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Anchor } from '../../../client/trust/anchor.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { authorityPin } from '../../../client/trust/pins.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import { delegatedRoles } from '../../../client/trust/resolve.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { DEFAULT_LIMITS, NOTARY_ORDER, ROOT, keyId, keySetOf, notaryCodec } from '../../../tuf/index.ts'
import { NOTARY_NOW, NOTARY_STATES, NOTARY_VECTORS, filesOf, readFrom } from '../../support/notary-vectors.ts'
import { certifiedKey, signingKey } from '../../support/signing-key.ts'
import { NOW, Simulator } from '../../support/simulator.ts'

const TOFU: Anchor = { kind: 'tofu' }
const seat = { suite: nativeSuite, limits: DEFAULT_LIMITS, now: NOTARY_NOW }

/** A state as a server has it: by version, by hash, and the newest under the plain name. */
function serve(state: string) {
  const files = new Map<string, Uint8Array>()
  const requests: string[] = []
  for (const { name } of filesOf(state)) {
    const bytes = readFrom(state)(name)
    files.set(`${name}.json`, bytes)
    files.set(`${name}.${createHash('sha256').update(bytes).digest('hex')}.json`, bytes)
  }
  const get = async (name: string) => {
    requests.push(name.replace(/[0-9a-f]{64}/, 'SHA256'))
    return files.get(name)
  }
  return { get, files, requests }
}

async function start(state: string, anchor: Anchor, repository = NOTARY_STATES[state] ?? '') {
  const cache = memoryCache()
  const source = serve(state)
  const name = { repository, required: anchor.kind !== 'tofu' }
  const trust = await refresh({ judge: { ...seat, repository }, source, cache, anchor, name })
  return { trust, source, cache, roles: delegatedRoles(trust, source, cache) }
}

for (const state of Object.keys(NOTARY_STATES)) {
  await t.test(`${state} is refreshed from whichever pin`, async (t) => {
    const { body } = notaryCodec.decode('root', readFrom(state)('1.root'), seat)
    const [key] = keySetOf(body, ROOT).keys
    const names = key === undefined ? [] : notaryCodec.keyNames(key, nativeSuite)
    t.equal(new Set(names).size, 2, 'an id of the certificate and one of the key')
    const pins: Anchor[] = [
      TOFU,
      { kind: 'root', bytes: readFrom(state)('1.root') },
      ...names.map((id) => ({ kind: 'keys', keyids: [id], threshold: 1 }) as const),
    ]
    for (const pin of pins) {
      const { trust } = await start(state, pin)
      t.equal(trust.codec.dialect, 'notary-v1', pin.kind)
    }
    await t.rejects(start(state, { kind: 'keys', keyids: [keyId('0'.repeat(64))], threshold: 1 }), {
      code: 'PIN_NOT_MET',
    })
    for (const other of ['example.com/other', `${NOTARY_STATES[state]}x`.slice(1)]) {
      await t.rejects(start(state, TOFU, other), { code: 'ROOT_CERTIFICATE' }, `as ${other}`)
    }
  })
}

await t.test('files are asked for as notary asks', async (t) => {
  const { source, roles } = await start('01-alpha-delegation-x509', TOFU)
  await roles.find('v2')
  t.same(source.requests, [
    'root.json',
    '2.root.json',
    'timestamp.json',
    'snapshot.SHA256.json',
    'targets.SHA256.json',
    'targets/releases.SHA256.json',
  ])
})

/** Where each tag is found in docker's order, and in notary's own; undefined where it is not. */
const FOUND: Record<string, Record<string, readonly [docker: string | undefined, notary: string | undefined]>> = {
  '01-alpha-delegation-x509': {
    v1: ['targets', 'targets'],
    v2: ['targets/releases', 'targets/releases'],
    v3: [undefined, undefined],
  },
  '04-delta-rsa-root-many-delegations': {
    v1: ['targets/releases', 'targets/releases'],
    'qa/x': ['targets', 'targets'],
    // Docker walks below its releases first, and takes no word but theirs.
    'nightly/1': [undefined, 'targets/releases/nightly'],
  },
  '07-docker-push-targets-role': { v1: ['targets', 'targets'] },
  '08-docker-trust-signers': {
    v1: ['targets/releases', 'targets'],
    v2: ['targets', 'targets'],
    v3: ['targets/releases', 'targets/alice'],
  },
  '12-iota-delegation-removed-roles-null': { v1: [undefined, undefined] },
}
for (const [state, tags] of Object.entries(FOUND)) {
  await t.test(`the tags of ${state} mean what docker and notary take them for`, async (t) => {
    const { roles } = await start(state, TOFU)
    for (const [tag, [docker, notary]] of Object.entries(tags)) {
      t.equal((await roles.find(tag))?.role, docker, `${tag} for docker`)
      t.equal((await roles.find(tag, undefined, NOTARY_ORDER))?.role, notary, `${tag} for notary`)
    }
  })
}

await t.test('a pinned authority', async (t) => {
  const pem = readFileSync(join(NOTARY_VECTORS, 'keys/rootca.crt'), 'utf8')
  const pin = authorityPin(`text around it\n${pem}`, 'rootca.crt')
  await t.test('vouches for a root whose certificate it issued', async (t) => {
    const { trust } = await start('06-zeta-ca-signed-wildcard-root-eku-none', pin)
    t.equal(trust.root.version, 1)
  })
  await t.test('does not for one that is meant for something else, as in notary', async (t) => {
    const state = '06-zeta-ca-signed-wildcard-root-eku-codeSigning'
    await t.rejects(start(state, pin), { code: 'PIN_NOT_MET', detail: { need: 0 } })
  })
  await t.test('nor for one that vouches for itself', async (t) => {
    await t.rejects(start('01-alpha-delegation-x509', pin), { code: 'PIN_NOT_MET' })
  })
  await t.test('does not vouch for a root of TUF 1.0', async (t) => {
    const simulator = new Simulator()
    const name = { repository: 'example.com/a', required: false }
    const options = { judge: simulator.judge(), source: simulator, cache: memoryCache(), anchor: pin, name }
    await t.rejects(refresh(options), { code: 'PIN_NOT_MET' })
  })
  for (const [name, text] of Object.entries({
    'a leaf': readFileSync(join(NOTARY_VECTORS, 'keys/deleg.pub'), 'utf8'),
    nothing: '',
    'a certificate of nobody who issues': readFileSync(join(NOTARY_VECTORS, 'keys/zroot-none.crt'), 'utf8'),
  })) {
    t.throws(() => authorityPin(text, 'file'), { code: 'CONFIG_MALFORMED' }, name)
  }
})

await t.test('certificates', async (t) => {
  const DAY = 86_400_000
  const [repository, now] = ['registry.example.com/team/app', NOW]
  const ages = { from: now - DAY, until: now + DAY }
  type Case = { readonly facts: Parameters<typeof certifiedKey>[0]; readonly refused?: true }
  const CASES: Record<string, Case> = {
    'of that very name': { facts: { name: repository, ...ages } },
    'of a name that ends in a star': { facts: { name: 'registry.example.com/team/*', ...ages } },
    'of nothing but a star': { facts: { name: '*', ...ages } },
    'of another repository': { facts: { name: `${repository}2`, ...ages }, refused: true },
    'of a name that begins like it': { facts: { name: 'registry.example.com/team/', ...ages }, refused: true },
    'of another folder': { facts: { name: 'registry.example.com/other/*', ...ages }, refused: true },
    'of no name': { facts: { name: '', ...ages }, refused: true },
    'that has expired': { facts: { name: repository, from: now - 2 * DAY, until: now - DAY }, refused: true },
    'by a clock that is a day ahead': { facts: { name: repository, from: now + DAY, until: now + 2 * DAY } },
    'that is not valid for long': {
      facts: { name: repository, from: now + DAY + 1000, until: now + 9 * DAY },
      refused: true,
    },
  }
  const from = async (simulator: Simulator, pin?: Anchor) =>
    await refresh({
      judge: simulator.judge(),
      source: simulator,
      cache: memoryCache(),
      anchor: pin ?? { kind: 'root', bytes: simulator.anchor() },
      name: { repository, required: true },
    })
  for (const [name, { facts, refused }] of Object.entries(CASES)) {
    await t.test(`${refused ? 'refuses' : 'accepts'} one ${name}`, async (t) => {
      const root = [await certifiedKey(facts)]
      const simulator = new Simulator({ codec: notaryCodec, repository, keys: { root } })
      if (refused) await t.rejects(from(simulator), { code: 'ROOT_CERTIFICATE' })
      else t.equal((await from(simulator)).root.version, 1)
    })
  }

  await t.test('a chain goes through a root whose certificate has expired since', async (t) => {
    const [old, next] = [
      await certifiedKey({ name: repository, from: now - 2 * DAY, until: now - DAY }),
      await certifiedKey({ name: repository, ...ages }),
    ]
    const simulator = new Simulator({ codec: notaryCodec, repository, keys: { root: [old] } })
    simulator.publishRoot({ root: [next] })
    simulator.release()
    t.equal((await from(simulator)).root.version, 2)
    await t.rejects(from(simulator, { kind: 'keys', keyids: [next.id], threshold: 2 }), { code: 'PIN_NOT_MET' })
    t.equal((await from(simulator, { kind: 'keys', keyids: [old.id], threshold: 1 })).root.version, 2)
  })

  await t.test('a root whose living certificate did not sign is refused', async (t) => {
    const [old, next] = [
      await certifiedKey({ name: repository, from: now - 2 * DAY, until: now - DAY }),
      await certifiedKey({ name: repository, ...ages }),
    ]
    const simulator = new Simulator({ codec: notaryCodec, repository, keys: { root: [old, next] } })
    const forged = simulator.seal(simulator.root, [old])
    simulator.files.set('1.root.json', forged).set('root.json', forged)
    simulator.release()
    await t.rejects(from(simulator), { code: 'THRESHOLD' })
  })

  await t.test('keys without certificates sign no root', async (t) => {
    const root = [signingKey('ecdsa-p256', notaryCodec)]
    const simulator = new Simulator({ codec: notaryCodec, repository, keys: { root } })
    await t.rejects(from(simulator), { code: 'ROOT_CERTIFICATE' })
  })

  await t.test('nobody is asked for a repository without a name', async (t) => {
    const root = [await certifiedKey({ name: '*', ...ages })]
    const simulator = new Simulator({ codec: notaryCodec, keys: { root } })
    const anchor = { kind: 'root', bytes: simulator.anchor() } as const
    const options = { judge: simulator.judge(), source: simulator, cache: memoryCache(), anchor }
    await t.rejects(refresh(options), { code: 'ROOT_CERTIFICATE' })
  })
})

await t.test('a root that is published between two requests is walked to', async (t) => {
  const repository = 'registry.example.com/team/app'
  const root = [await certifiedKey({ name: repository, from: NOW, until: NOW + 86_400_000 })]
  const simulator = new Simulator({ codec: notaryCodec, repository, keys: { root } })
  const anchor = { kind: 'root', bytes: simulator.anchor() } as const
  let isPublished = false
  const get = async (name: string, maxBytes: number) => {
    if (name === 'timestamp.json' && !isPublished) {
      isPublished = true
      simulator.publishRoot()
      simulator.release()
    }
    return await simulator.get(name, maxBytes)
  }
  const trust = await refresh({ judge: simulator.judge(), source: { get }, cache: memoryCache(), anchor })
  t.equal(trust.root.version, 2)
})

await t.test('a root of the other dialect never follows', async (t) => {
  const state = '02-beta-snapshot-server'
  const source = serve(state)
  source.files.set('2.root.json', new Simulator().anchor())
  const repository = NOTARY_STATES[state] ?? ''
  const cache = memoryCache()
  const options = { judge: { ...seat, repository }, source, cache, name: { repository, required: true } }
  const anchor = { kind: 'root', bytes: readFrom(state)('1.root') } as const
  await t.rejects(refresh({ ...options, anchor }), { code: 'MALFORMED' })
})
