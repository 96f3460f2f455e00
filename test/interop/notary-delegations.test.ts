/** Delegations as the unmodified `notary` makes, uses and takes them back, with the snapshot key on either side. */
import t from 'tap'
import type { Test } from 'tap'
import { openNotaryTown, targetsIn, whyNotNotary } from '../support/notary-town.ts'
import type { Notary, NotaryTown, SignerKind } from '../support/notary-town.ts'

const skip = (await whyNotNotary()) ?? false
const GUN = 'example.com/app'

type Lab = {
  readonly town: NotaryTown
  readonly owner: Notary
  readonly reader: Notary
  readonly file: string
  readonly signer: NotaryTown['signer']
}

async function openLab(t: Test, held: string): Promise<Lab> {
  const town = await openNotaryTown(t)
  const owner = town.user('owner')
  await owner.run(`init ${GUN}`)
  if (held === 'the server') await owner.run(`key rotate ${GUN} snapshot -r`)
  await owner.run(`publish ${GUN}`)
  const file = town.file('f', 'x')
  return { town, owner, reader: town.user('reader'), file, signer: town.signer }
}

type Story = (t: Test, lab: Lab) => Promise<void>
const KINDS: readonly SignerKind[] = ['certificate', 'public key', 'P-384', 'rsa']

const STORIES: Record<string, Story> = {
  ...Object.fromEntries(
    KINDS.map((kind): [string, Story] => [
      `a role is signed with a key given as ${kind}`,
      async (t, { owner, reader, file, signer }) => {
        const { pem, key } = await signer('alice', kind)
        t.match(await owner.run(`delegation add -p ${GUN} targets/releases ${pem} --all-paths`), 'with paths ["" <all')
        t.match(await reader.run(`delegation list ${GUN}`), 'targets/releases')
        t.same(targetsIn(await reader.run(`list ${GUN}`)), [], 'nobody signed it yet')
        await owner.run(`key import ${key} --role alice`)
        await owner.run(`add -p ${GUN} v1 ${file} --roles targets/releases`)
        t.same(targetsIn(await reader.run(`list ${GUN}`)), ['v1 targets/releases'])
        await owner.run(`remove -p ${GUN} v1 --roles targets/releases`)
        t.same(targetsIn(await reader.run(`list ${GUN}`)), [])
      },
    ]),
  ),

  'nested roles have their own keys and paths': async (t, { owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob', 'public key')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${GUN} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${GUN} v1 ${file} --roles targets/releases`)
    await owner.run(`delegation add -p ${GUN} targets/releases/nightly ${bob.pem} --paths nightly/`)
    await owner.run(`add -p ${GUN} nightly/1 ${file} --roles targets/releases/nightly`)
    await owner.run(`delegation add -p ${GUN} targets/qa ${bob.pem} --paths qa/,stage/`)
    await owner.run(`add -p ${GUN} qa/1 ${file} --roles targets/qa`)
    t.same(targetsIn(await reader.run(`list ${GUN}`)).toSorted(), [
      'nightly/1 targets/releases/nightly',
      'qa/1 targets/qa',
      'v1 targets/releases',
    ])
    await owner.run(`delegation remove -p -y ${GUN} targets/releases`)
    t.same(targetsIn(await reader.run(`list ${GUN}`)), ['qa/1 targets/qa'], 'what hung on it went with it')
  },

  'a role that was removed and added again begins anew': async (t, { owner, reader, file, signer }) => {
    const { pem, key } = await signer('alice')
    await owner.run(`key import ${key} --role user`)
    for (const tag of ['old', 'middle', 'new']) {
      await owner.run(`delegation add -p ${GUN} targets/releases ${pem} --all-paths`)
      t.same(targetsIn(await reader.run(`list ${GUN}`)), [], 'nothing that was signed before comes back')
      await owner.run(`add -p ${GUN} ${tag} ${file} --roles targets/releases`)
      t.same(targetsIn(await reader.run(`list ${GUN}`)), [`${tag} targets/releases`])
      await owner.run(`delegation remove -p -y ${GUN} targets/releases`)
      t.same(targetsIn(await reader.run(`list ${GUN}`)), [])
    }
  },

  'a key is purged from every role, and another one signs them anew': async (t, { owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${GUN} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${GUN} v1 ${file} --roles targets/releases`)
    const [, purged = ''] = /targets\/releases .*? ([0-9a-f]{64})/.exec(await owner.run(`delegation list ${GUN}`)) ?? []
    t.match(await owner.run(`delegation purge -p ${GUN} --key ${purged}`), 'has fewer keys than its threshold')
    t.same(targetsIn(await reader.run(`list ${GUN}`)), [])
    await owner.run(`delegation add -p ${GUN} targets/releases ${bob.pem} --all-paths`)
    await owner.run(`add -p ${GUN} v2 ${file} --roles targets/releases`)
    t.match(targetsIn(await reader.run(`list ${GUN}`)), /v2 targets\/releases/)
  },

  'keys and paths of a role come and go': async (t, { owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob', 'public key')]
    await owner.run(`key import ${alice.key} --role user`)
    await owner.run(`delegation add -p ${GUN} targets/releases ${alice.pem} ${bob.pem} --paths v,w`)
    await owner.run(`add -p ${GUN} v1 ${file} --roles targets/releases`)
    t.same(targetsIn(await reader.run(`list ${GUN}`)), ['v1 targets/releases'])
    await owner.run(`delegation remove -p ${GUN} targets/releases --paths w`)
    await owner.run(`delegation add -p ${GUN} targets/releases --paths x`)
    const ids = [...(await owner.run(`delegation list ${GUN}`)).matchAll(/[0-9a-f]{64}/g)].map(([id]) => id)
    t.equal(ids.length, 2)
    await owner.run(`delegation remove -p ${GUN} targets/releases ${ids[0]} ${ids[1]}`)
    t.notMatch(await owner.run(`delegation list ${GUN}`), ids[0])
  },

  'a role is witnessed by whoever holds its keys now': async (t, { owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${GUN} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${GUN} v1 ${file} --roles targets/releases`)
    const [id = ''] = /[0-9a-f]{64}/.exec(await owner.run(`delegation list ${GUN}`)) ?? []
    await owner.run(`delegation add -p ${GUN} targets/releases ${bob.pem} --all-paths`)
    await owner.run(`delegation remove -p ${GUN} targets/releases ${id}`)
    t.same(targetsIn(await reader.run(`list ${GUN}`)), [], 'its old signature counts no more')
    await owner.run(`witness -p ${GUN} targets/releases`)
    t.same(targetsIn(await reader.run(`list ${GUN}`)), ['v1 targets/releases'])
  },

  'a role is rotated with everything around it': async (t, { owner, reader, file, signer }) => {
    const { pem, key } = await signer('alice')
    await owner.run(`key import ${key} --role user`)
    await owner.run(`delegation add -p ${GUN} targets/releases ${pem} --all-paths`)
    await owner.run(`add -p ${GUN} v1 ${file} --roles targets/releases`)
    for (const [role, input] of [
      ['targets'],
      ['root', 'yes\n'],
      ['snapshot -r'],
      ['timestamp -r'],
      ['snapshot'],
    ] as const) {
      await owner.run(`key rotate ${GUN} ${role}`, input)
      t.same(targetsIn(await reader.run(`list ${GUN}`)), ['v1 targets/releases'], role)
    }
  },

  'a target that two roles name is told from the one that was asked': async (
    t,
    { owner, reader, file, signer, town },
  ) => {
    const { pem, key } = await signer('alice')
    await owner.run(`key import ${key} --role user`)
    await owner.run(`delegation add -p ${GUN} targets/releases ${pem} --all-paths`)
    await owner.run(`add -p ${GUN} v1 ${file}`)
    await owner.run(`add -p ${GUN} v1 ${town.file('g', 'other')} --roles targets/releases`)
    t.same(targetsIn(await reader.run(`list ${GUN} -r targets`)), ['v1 targets'])
    t.same(targetsIn(await reader.run(`list ${GUN} -r targets/releases`)), ['v1 targets/releases'])
  },
}

for (const held of ['their owner', 'the server']) {
  for (const [name, story] of Object.entries(STORIES)) {
    await t.test(`${name}, where ${held} holds the snapshot key`, { skip }, async (t) => {
      const lab = await openLab(t, held)
      await story(t, lab)
      t.same(
        (await lab.town.requests()).filter((request) => /^[^24]/.test(request)),
        [],
      )
    })
  }
}

await t.test('somebody who holds nothing but a role publishes it', { skip }, async (t) => {
  const { town, owner, reader, file, signer } = await openLab(t, 'the server')
  const { pem, key } = await signer('alice')
  await owner.run(`delegation add -p ${GUN} targets/releases ${pem} --all-paths`)
  const alice = town.user('alice')
  await alice.run(`key import ${key} --role alice`)
  for (const tag of ['v1', 'v2', 'v3']) await alice.run(`add -p ${GUN} ${tag} ${file} --roles targets/releases`)
  t.same(
    targetsIn(await reader.run(`list ${GUN}`)),
    ['v1', 'v2', 'v3'].map((tag) => `${tag} targets/releases`),
  )
  t.match(await alice.fails(`add -p ${GUN} v4 ${file}`), 'could not find necessary signing keys')
})
