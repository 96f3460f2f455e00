/** Every command of the unmodified `notary` against our server, alone and in the order in which people meet them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openNotaryTown, targetsIn, whyNotNotary } from '../support/notary-town.ts'
import { runProgram } from '../support/program.ts'

const skip = (await whyNotNotary()) ?? false
const NOWHERE = 'https://127.0.0.1:1'
const HELLO = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03'

const NAMES = ['example.com/app', '127.0.0.1:5000/team/app', 'docker.io/library/alpine', 'Example.com:8443/Team/App_2']
for (const gun of NAMES) {
  await t.test(`from the first signature to deletion, as ${gun}`, { skip }, async (t) => {
    const town = await openNotaryTown(t)
    const [owner, reader] = [town.user('owner'), town.user('reader')]
    const [hello, other] = [town.file('hello', 'hello\n'), town.file('other', 'other\n')]

    t.match(await reader.fails(`list ${gun}`), 'does not have trust data for')
    await owner.run(`init -p ${gun}`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), [])
    await owner.run(`add -p ${gun} v1 ${hello}`)
    await owner.run(`add ${gun} v2 ${other}`)
    await owner.run(`addhash ${gun} v3 6 --sha256 ${HELLO}`)
    t.match(await owner.run(`status ${gun}`), /create +targets +target +v2[^]*create +targets +target +v3/)
    await owner.run(`reset ${gun} -n 0`)
    await owner.run(`publish ${gun}`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets', 'v3 targets'])
    await owner.run(`publish ${gun}`)

    t.match(await reader.run(`lookup ${gun} v1`), `v1 sha256:${HELLO} 6`)
    t.match(await reader.fails(`lookup ${gun} v2`), 'No valid trust data for v2')
    t.equal(await reader.run(`verify ${gun} v1 -i ${hello}`), 'hello\n')
    t.equal(await reader.run(`verify ${gun} v1 -i ${hello} -q`), '')
    t.match(await reader.fails(`verify ${gun} v1 -i ${other}`), 'data not present in the trusted collection')

    await owner.run(`add -p ${gun} v1 ${other}`)
    t.notMatch(await reader.run(`lookup ${gun} v1`), HELLO, 'a name that moved')
    await owner.run(`remove ${gun} v1`)
    await owner.run(`reset ${gun} --all`)
    t.match(await owner.run(`status ${gun}`), 'No unpublished changes')
    await owner.run(`remove -p ${gun} v1`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v3 targets'])
    await owner.run(`witness -p ${gun} targets`)
    t.same(targetsIn(await reader.run(`list ${gun}`)), ['v3 targets'])

    await owner.run(`delete ${gun} --remote`)
    t.match(await owner.fails(`list ${gun}`), 'does not have trust data for')
    await owner.run(`delete ${gun} --remote`)
    t.same(
      (await town.requests()).filter((request) => !/^(?:200|404) /.test(request)),
      [],
      'nothing was refused',
    )
  })
}

await t.test('what is only local asks no server', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  const owner = town.user('owner')
  await owner.run('init example.com/a')
  const alone = town.user('owner', NOWHERE)
  await alone.run(`add example.com/a v1 ${town.file('f', 'x')}`)
  t.match(await alone.run('status example.com/a'), 'v1')
  await alone.run('reset example.com/a --all')
  await alone.run('key list')
  await alone.run('delete example.com/a')
  t.notOk(existsSync(join(owner.dir, 'tuf', 'example.com', 'a', 'metadata')))
})

await t.test('init with a root key and a certificate of their own', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  const [owner, reader] = [town.user('owner'), town.user('reader')]
  const gun = 'example.com/own'
  const [key, cert] = [await town.rootKey('root'), town.file('root.crt', '')]
  const plain = key.replace(/root$/, 'key')
  const request = ['req', '-x509', '-new', '-key', plain, '-subj', `/CN=${gun.replaceAll('/', '\\/')}`]
  await runProgram('openssl', [...request, '-days', '4000', '-addext', 'basicConstraints=CA:FALSE', '-out', cert])
  await owner.run(`init -p ${gun} --rootkey ${key} --rootcert ${cert}`)
  await owner.run(`add -p ${gun} v1 ${town.file('f', 'x')}`)
  t.same(targetsIn(await reader.run(`list ${gun}`)), ['v1 targets'])
})

await t.test('an existing root key founds a second repository', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  const owner = town.user('owner')
  await owner.run('init -p example.com/a')
  t.match(await owner.run('init -p example.com/b'), 'Root key found, using:')
  await owner.run(`add -p example.com/b v1 ${town.file('f', 'x')}`)
  t.same(targetsIn(await town.user('reader').run('list example.com/b')), ['v1 targets'])
})

await t.test('add -p founds a repository that nobody asked for by init', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  await town.user('owner').run(`add -p example.com/a v1 ${town.file('f', 'x')}`)
  t.same(targetsIn(await town.user('reader').run('list example.com/a')), ['v1 targets'])
})

await t.test('custom data of a target is kept', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  const custom = town.file('custom.json', '{"alpha":1,"beta":{"x":"yé"},"list":[1,2,3]}')
  await town.user('owner').run(`add -p example.com/a v1 ${town.file('f', 'x')} --custom ${custom}`)
  t.same(targetsIn(await town.user('reader').run('list example.com/a')), ['v1 targets'])
})

await t.test('what was cached is used while the server is away', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  await town.user('owner').run(`add -p example.com/a v1 ${town.file('f', 'x')}`)
  const reader = town.user('reader')
  await reader.run('list example.com/a')
  const away = await town.user('reader', NOWHERE).try('list example.com/a')
  t.same([away.code, targetsIn(away.stdout)], [0, ['v1 targets']])
  t.match(away.stderr, 'using cached timestamp')
})

await t.test('a repository that was deleted can be made again, by its owner and by others', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  const [owner, other] = [town.user('owner'), town.user('other')]
  const file = town.file('f', 'x')
  for (const [who, tag] of [
    [owner, 'v1'],
    [owner, 'v2'],
    [other, 'v3'],
  ] as const) {
    await who.run(`init -p example.com/a`)
    await who.run(`add -p example.com/a ${tag} ${file}`)
    t.same(targetsIn(await town.user(`reader of ${tag}`.replaceAll(' ', '-')).run('list example.com/a')), [
      `${tag} targets`,
    ])
    await who.run('delete example.com/a --remote')
  }
})

await t.test('refusals say why, on the terminal of the old client', { skip }, async (t) => {
  const town = await openNotaryTown(t)
  const [owner, thief] = [town.user('owner'), town.user('thief')]
  await owner.run(`add -p example.com/a v1 ${town.file('f', 'x')}`)
  await thief.run('list example.com/a')
  t.match(await thief.fails(`add -p example.com/a v2 ${town.file('f', 'x')}`), 'could not find necessary signing keys')
  t.match(await owner.fails('init -p bad+name/a'), 'bad+name/a is no repository name')
  t.same(
    (await town.requests()).filter((request) => request.startsWith('5')),
    [],
  )
})
