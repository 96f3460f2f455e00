/** Keys of all four roles are replaced by the unmodified `notary`, and caches from before follow. */
import t from 'tap'
import { keysIn, openNotaryTown, targetsIn, whyNotNotary } from '../support/notary-town.ts'

const skip = (await whyNotNotary()) ?? false
/** One server for all of them, and a repository and people of their own for each. */
const town = skip === false ? await openNotaryTown(t) : undefined
let count = 0

function openLab() {
  if (town === undefined) throw new Error('this is skipped')
  const own = `${++count}`
  const user = (name: string) => town.user(`${name}${own}`)
  return { ...town, user, gun: `example.com/app${own}` }
}

type Rotation = { readonly command: string; readonly input?: string }

const ROTATIONS: Record<string, readonly Rotation[]> = {
  'the targets key': [{ command: 'targets' }],
  'the root key': [{ command: 'root', input: 'yes\n' }],
  'the root key, three times': Array.from({ length: 3 }, () => ({ command: 'root', input: 'yes\n' })),
  'the timestamp key': [{ command: 'timestamp -r' }],
  'the timestamp key, twice': [{ command: 'timestamp -r' }, { command: 'timestamp -r' }],
  'the snapshot key': [{ command: 'snapshot' }],
  'the snapshot key to the server': [{ command: 'snapshot -r' }],
  'the snapshot key to the server and on to another one there': [
    { command: 'snapshot -r' },
    { command: 'snapshot -r' },
  ],
  'the snapshot key to the server and back': [{ command: 'snapshot -r' }, { command: 'snapshot' }],
  'the snapshot key there and back, twice': ['-r', '', '-r', ''].map((flag) => ({
    command: `snapshot ${flag}`.trim(),
  })),
  'every key in turn': [
    { command: 'snapshot -r' },
    { command: 'root', input: 'yes\n' },
    { command: 'targets' },
    { command: 'timestamp -r' },
    { command: 'snapshot' },
    { command: 'root', input: 'yes\n' },
  ],
}

for (const held of ['its owner', 'the server']) {
  for (const [name, rotations] of Object.entries(ROTATIONS)) {
    await t.test(`${name}, where ${held} began with the snapshot key`, { skip }, async (t) => {
      const { gun, ...town } = openLab()
      const [owner, reader, late] = [town.user('owner'), town.user('reader'), town.user('late')]
      const file = town.file('f', 'x')
      await owner.run(`init ${gun}`)
      if (held === 'the server') await owner.run(`key rotate ${gun} snapshot -r`)
      await owner.run(`add -p ${gun} v1 ${file}`)
      await reader.run(`list ${gun}`)
      await late.run(`list ${gun}`)
      const expected = ['v1 targets']
      for (const [i, { command, input }] of rotations.entries()) {
        t.match(await owner.run(`key rotate ${gun} ${command}`, input), 'Successfully rotated')
        t.same(targetsIn(await reader.run(`list ${gun}`)), expected, `a cache from before ${command}`)
        await owner.run(`add -p ${gun} w${i} ${file}`)
        expected.push(`w${i} targets`)
        t.same(targetsIn(await reader.run(`list ${gun}`)).toSorted(), expected.toSorted())
      }
      t.same(targetsIn(await late.run(`list ${gun}`)).toSorted(), expected.toSorted(), 'a cache from before all of it')
      t.same(targetsIn(await town.user('new').run(`list ${gun}`)).toSorted(), expected.toSorted(), 'no cache')
    })
  }
}

await t.test('root keys of their own choice take over, and older ones go on signing', { skip }, async (t) => {
  const { gun, ...town } = openLab()
  const [owner, reader, late] = [town.user('owner'), town.user('reader'), town.user('late')]
  await owner.run(`add -p ${gun} v1 ${town.file('f', 'x')}`)
  await late.run(`list ${gun}`)
  const chosen = [await town.rootKey('one'), await town.rootKey('two')].map((path) => `--key ${path}`)
  for (const flags of [chosen.slice(0, 1).join(' '), '--legacy 1', chosen.join(' '), '--legacy 3']) {
    await owner.run(`key rotate ${gun} root ${flags}`, 'yes\n')
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets'], flags)
  }
  t.same(targetsIn(await late.run(`list ${gun}`)), ['v1 targets'])
})

const REFUSED: Record<string, string> = {
  timestamp: 'does not permit the client managing the timestamp key',
  'targets -r': 'does not permit the server managing the targets key',
  'root -r': 'does not permit the server managing the root key',
}
for (const [command, said] of Object.entries(REFUSED)) {
  await t.test(`key rotate ${command} is refused by the old client itself`, { skip }, async (t) => {
    const { gun, ...town } = openLab()
    const owner = town.user('owner')
    await owner.run(`init -p ${gun}`)
    t.match(await owner.fails(`key rotate ${gun} ${command}`, 'yes\n'), said)
    await owner.run(`add -p ${gun} v1 ${town.file('f', 'x')}`)
  })
}

await t.test("the first publish of a repository whose snapshot key is the server's", { skip }, async (t) => {
  const { gun, ...town } = openLab()
  const owner = town.user('owner')
  await owner.run(`init ${gun}`)
  await owner.run(`key rotate ${gun} snapshot -r`)
  t.same(keysIn(await owner.run('key list'), 'snapshot'), [], 'nobody here holds it any more')
  await owner.run(`add -p ${gun} v1 ${town.file('f', 'x')}`)
  t.same(targetsIn(await town.user('reader').run(`list ${gun}`)), ['v1 targets'])
})

await t.test("two owners who share their keys follow each other's rotations", { skip }, async (t) => {
  const { gun, ...town } = openLab()
  const [one, two] = [town.user('one'), town.user('two')]
  const file = town.file('f', 'x')
  await one.run(`add -p ${gun} v1 ${file}`)
  await one.run(`key rotate ${gun} snapshot -r`)
  const all = town.file('all.pem', '')
  await one.run(`key export -o ${all}`)
  await two.run(`key import ${all}`)
  await two.run(`add -p ${gun} v2 ${file}`)
  await one.run(`add -p ${gun} v3 ${file}`)
  await two.run(`key rotate ${gun} timestamp -r`)
  await one.run(`add -p ${gun} v4 ${file}`)
  t.same(
    targetsIn(await town.user('reader').run(`list ${gun}`)),
    ['v1', 'v2', 'v3', 'v4'].map((tag) => `${tag} targets`),
  )
})

await t.test('nothing of all that was refused', { skip }, async (t) => {
  const requests = (await town?.requests()) ?? []
  t.ok(requests.length > 100)
  t.same(
    requests.filter((request) => !/^(?:200|404) /.test(request)),
    [],
  )
})
