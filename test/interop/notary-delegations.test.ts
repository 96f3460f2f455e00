/** Delegations as the unmodified `notary` makes, uses and takes them back, with the snapshot key on either side. */
import t from 'tap'
import type { Test } from 'tap'
import { openNotaryTown, targetsIn, whyNotNotary } from '../support/notary-town.ts'
import type { Notary, NotaryTown, SignerKind } from '../support/notary-town.ts'

const skip = (await whyNotNotary()) ?? false
/** One server for all of them, and a repository and people of their own for each. */
const town = skip === false ? await openNotaryTown(t) : undefined
let count = 0

type Lab = {
  readonly town: NotaryTown
  readonly gun: string
  readonly owner: Notary
  readonly reader: Notary
  readonly file: string
  readonly signer: NotaryTown['signer']
}

async function openLab(held: string): Promise<Lab> {
  if (town === undefined) throw new Error('this is skipped')
  const own = `${++count}`
  const gun = `example.com/app${own}`
  const owner = town.user(`owner${own}`)
  await owner.run(`init ${gun}`)
  if (held === 'the server') await owner.run(`key rotate ${gun} snapshot -r`)
  await owner.run(`publish ${gun}`)
  const signer: Lab['signer'] = (name, kind) => town.signer(`${name}${own}`, kind)
  return { town, gun, owner, reader: town.user(`reader${own}`), file: town.file('f', 'x'), signer }
}

type Story = (t: Test, lab: Lab) => Promise<void>
const KINDS: readonly SignerKind[] = ['certificate', 'public key', 'P-384', 'rsa']

const STORIES: Record<string, Story> = {
  ...Object.fromEntries(
    KINDS.map((kind): [string, Story] => [
      `a role is signed with a key given as ${kind}`,
      async (t, { gun, owner, reader, file, signer }) => {
        const { pem, key } = await signer('alice', kind)
        t.match(await owner.run(`delegation add -p ${gun} targets/releases ${pem} --all-paths`), 'with paths ["" <all')
        t.match(await reader.run(`delegation list ${gun}`), 'targets/releases')
        t.same(targetsIn(await reader.run(`list ${gun}`)), [], 'nobody signed it yet')
        await owner.run(`key import ${key} --role alice`)
        await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
        t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets/releases'])
        await owner.run(`remove -p ${gun} v1 --roles targets/releases`)
        t.same(targetsIn(await reader.run(`list ${gun}`)), [])
      },
    ]),
  ),

  'nested roles have their own keys and paths': async (t, { gun, owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob', 'public key')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
    await owner.run(`delegation add -p ${gun} targets/releases/nightly ${bob.pem} --paths nightly/`)
    await owner.run(`add -p ${gun} nightly/1 ${file} --roles targets/releases/nightly`)
    await owner.run(`delegation add -p ${gun} targets/qa ${bob.pem} --paths qa/,stage/`)
    await owner.run(`add -p ${gun} qa/1 ${file} --roles targets/qa`)
    t.same(targetsIn(await reader.run(`list ${gun}`)).toSorted(), [
      'nightly/1 targets/releases/nightly',
      'qa/1 targets/qa',
      'v1 targets/releases',
    ])
    await owner.run(`delegation remove -p -y ${gun} targets/releases`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['qa/1 targets/qa'], 'what hung on it went with it')
  },

  'a role that was removed and added again begins anew': async (t, { gun, owner, reader, file, signer }) => {
    const { pem, key } = await signer('alice')
    await owner.run(`key import ${key} --role user`)
    for (const tag of ['old', 'middle', 'new']) {
      await owner.run(`delegation add -p ${gun} targets/releases ${pem} --all-paths`)
      t.same(targetsIn(await reader.run(`list ${gun}`)), [], 'nothing that was signed before comes back')
      await owner.run(`add -p ${gun} ${tag} ${file} --roles targets/releases`)
      t.same(targetsIn(await reader.run(`list ${gun}`)), [`${tag} targets/releases`])
      await owner.run(`delegation remove -p -y ${gun} targets/releases`)
      t.same(targetsIn(await reader.run(`list ${gun}`)), [])
    }
  },

  'a key is purged from every role, and another one signs them anew': async (
    t,
    { gun, owner, reader, file, signer },
  ) => {
    const [alice, bob] = [await signer('alice'), await signer('bob')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
    const [, purged = ''] = /targets\/releases .*? ([0-9a-f]{64})/.exec(await owner.run(`delegation list ${gun}`)) ?? []
    t.match(await owner.run(`delegation purge -p ${gun} --key ${purged}`), 'has fewer keys than its threshold')
    t.same(targetsIn(await reader.run(`list ${gun}`)), [])
    await owner.run(`delegation add -p ${gun} targets/releases ${bob.pem} --all-paths`)
    await owner.run(`add -p ${gun} v2 ${file} --roles targets/releases`)
    t.match(targetsIn(await reader.run(`list ${gun}`)), /v2 targets\/releases/)
  },

  'a key is purged, and what it had signed is witnessed by another one': async (
    t,
    { gun, owner, reader, file, signer },
  ) => {
    const [alice, bob] = [await signer('alice'), await signer('bob')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
    const [, purged = ''] = /targets\/releases .*? ([0-9a-f]{64})/.exec(await owner.run(`delegation list ${gun}`)) ?? []
    await owner.run(`delegation purge -p ${gun} --key ${purged}`)
    await owner.run(`delegation add -p ${gun} targets/releases ${bob.pem} --all-paths`)
    await owner.run(`witness -p ${gun} targets/releases`)
    await owner.run(`add -p ${gun} v2 ${file} --roles targets/releases`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets/releases', 'v2 targets/releases'])
  },

  'keys and paths of a role come and go': async (t, { gun, owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob', 'public key')]
    await owner.run(`key import ${alice.key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${alice.pem} ${bob.pem} --paths v,w`)
    await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets/releases'])
    await owner.run(`delegation remove -p ${gun} targets/releases --paths w`)
    await owner.run(`delegation add -p ${gun} targets/releases --paths x`)
    const ids = [...(await owner.run(`delegation list ${gun}`)).matchAll(/[0-9a-f]{64}/g)].map(([id]) => id)
    t.equal(ids.length, 2)
    await owner.run(`delegation remove -p ${gun} targets/releases ${ids[0]} ${ids[1]}`)
    t.notMatch(await owner.run(`delegation list ${gun}`), ids[0])
  },

  'a role is witnessed by whoever holds its keys now': async (t, { gun, owner, reader, file, signer }) => {
    const [alice, bob] = [await signer('alice'), await signer('bob')]
    await owner.run(`key import ${alice.key} ${bob.key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${alice.pem} --all-paths`)
    await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
    const [id = ''] = /[0-9a-f]{64}/.exec(await owner.run(`delegation list ${gun}`)) ?? []
    await owner.run(`delegation add -p ${gun} targets/releases ${bob.pem} --all-paths`)
    await owner.run(`delegation remove -p ${gun} targets/releases ${id}`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), [], 'its old signature counts no more')
    await owner.run(`witness -p ${gun} targets/releases`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets/releases'])
  },

  'a role is rotated with everything around it': async (t, { gun, owner, reader, file, signer }) => {
    const { pem, key } = await signer('alice')
    await owner.run(`key import ${key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${pem} --all-paths`)
    await owner.run(`add -p ${gun} v1 ${file} --roles targets/releases`)
    for (const [role, input] of [
      ['targets'],
      ['root', 'yes\n'],
      ['snapshot -r'],
      ['timestamp -r'],
      ['snapshot'],
    ] as const) {
      await owner.run(`key rotate ${gun} ${role}`, input)
      t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets/releases'], role)
    }
  },

  'a target that two roles name is told from the one that was asked': async (
    t,
    { gun, owner, reader, file, signer, town },
  ) => {
    const { pem, key } = await signer('alice')
    await owner.run(`key import ${key} --role user`)
    await owner.run(`delegation add -p ${gun} targets/releases ${pem} --all-paths`)
    await owner.run(`add -p ${gun} v1 ${file}`)
    await owner.run(`add -p ${gun} v1 ${town.file('g', 'other')} --roles targets/releases`)
    t.same(targetsIn(await reader.run(`list ${gun} -r targets`)), ['v1 targets'])
    t.same(targetsIn(await reader.run(`list ${gun} -r targets/releases`)), ['v1 targets/releases'])
  },
}

for (const held of ['their owner', 'the server']) {
  for (const [name, story] of Object.entries(STORIES)) {
    await t.test(`${name}, where ${held} holds the snapshot key`, { skip }, async (t) => story(t, await openLab(held)))
  }
}

await t.test('somebody who holds nothing but a role publishes it', { skip }, async (t) => {
  const { town, gun, owner, reader, file, signer } = await openLab('the server')
  const { pem, key } = await signer('alice')
  await owner.run(`delegation add -p ${gun} targets/releases ${pem} --all-paths`)
  const alice = town.user('alice')
  await alice.run(`key import ${key} --role alice`)
  for (const tag of ['v1', 'v2', 'v3']) await alice.run(`add -p ${gun} ${tag} ${file} --roles targets/releases`)
  t.same(
    targetsIn(await reader.run(`list ${gun}`)),
    ['v1', 'v2', 'v3'].map((tag) => `${tag} targets/releases`),
  )
  t.match(await alice.fails(`add -p ${gun} v4 ${file}`), 'could not find necessary signing keys')
})

await t.test('nothing of all that was refused', { skip }, async (t) => {
  const requests = (await town?.requests()) ?? []
  t.ok(requests.length > 100)
  t.same(
    requests.filter((request) => !/^(?:200|404) /.test(request)),
    [],
  )
})
