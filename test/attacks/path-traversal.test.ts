/** Names that would be paths: of roles, tags, targets and repositories. No file is read or written outside its folder. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { openRepository, stateFolder } from '../../client/trust/repository.ts'
import { firstTargets, nextTargets, roleName, TARGETS, withDelegation } from '../../tuf/index.ts'
import { codeOf } from '../support/cli.ts'
import { openLab } from '../support/attack-lab.ts'
import { sha256 } from '../support/images.ts'
import { openTestServer, REPO } from '../server/support/app.ts'
import { context, multipart, newKey, signFile, target } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import { targetOf } from '../support/simulator.ts'

const NAMES: Record<string, string> = {
  'the folder above': '..',
  'this folder': '.',
  'a file above': '../../outside',
  'an absolute path': '/etc/outside',
  'dots that are encoded': '%2e%2e/outside',
  'dots that are encoded twice': '%252e%252e%252foutside',
  'a path of Windows': '..\\..\\outside',
  'a NUL': 'outside\0.json',
  'a line break': 'out\nside',
  'a hidden file': '.bashrc',
  'the name of a stored file': 'seen',
  'the name of a lock': 'lock',
  'a version before the name': '1.targets',
  'what every object has': '__proto__',
  'what every class has': 'constructor',
  'a device of Windows': 'con',
  'more than a file name can be': 'x'.repeat(400),
  'something from beyond the sixteen bits': '💥/../outside',
  'two spellings of one letter': 'cafe\u0301',
}

for (const [name, text] of Object.entries(NAMES)) {
  await t.test(`a role that is called ${name} stays in its folder`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    lab.simulator.delegate(TARGETS, roleName(text))
    lab.simulator.sign({ 'x-1': targetOf('two') }, roleName(text))
    t.equal(await lab.library({}, 'x-1'), sha256(Buffer.from('two')))
    t.same(await filesBelow(lab.folder, lab.state('library')), [], 'nothing is written elsewhere')
    t.equal(
      (await readdir(lab.state('library'), { withFileTypes: true })).every((each) => each.isFile()),
      true,
    )
    t.equal(await lab.library(), sha256(Buffer.from('one')), 'and no file of another role is hit')
  })
}

for (const [name, text] of Object.entries(NAMES)) {
  await t.test(`a target that is called ${name} stays in its folder`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    lab.simulator.sign({ [text]: targetOf('two'), '1.0': targetOf('one') })
    t.equal(await lab.library({}, text), sha256(Buffer.from('two')), 'its digest is known all the same')
    const folder = join(lab.folder, 'downloads')
    await mkdir(folder)
    const asked: string[] = []
    const { download, close } = await downloads(lab, asked, folder)
    t.teardown(close)
    await download(text).catch((error: Error & { code?: string }) => t.equal(error.code, 'TARGET_REFUSED'))
    const written = await filesBelow(lab.folder, lab.state('library'))
    t.ok(
      written.every((path) => /^downloads\/[^/]+$/.test(path)),
      written.join(),
    )
    t.notOk(
      asked.some((url) => /(?:^|\/)\.\.?(?:\/|$)|outside\?|\\|\0/.test(url)),
      asked.join(),
    )
  })
}

await t.test('a link in the folder of downloads is not written through', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  const [folder, victim] = [join(lab.folder, 'downloads'), join(lab.folder, 'victim')]
  await mkdir(folder)
  await writeFile(victim, 'mine')
  await symlink(victim, join(folder, '1.0'))
  const { download, close } = await downloads(lab, [], folder)
  t.teardown(close)
  await t.rejects(download('1.0'), { code: 'TARGET_REFUSED' })
  t.equal(await readFile(victim, 'utf8'), 'mine')
})

await t.test('a repository of any name has a folder below the one for all', async (t) => {
  const folders = new Set<string>()
  for (const [name, text] of Object.entries(NAMES)) {
    const folder = stateFolder('/state', text)
    t.match(folder, /^\/state\/[^/]+$/, name)
    t.notMatch(folder, /\/\.\.?$/, name)
    folders.add(folder)
  }
  t.equal(folders.size, Object.keys(NAMES).length, 'each its own')
})

for (const repository of [
  '..',
  '.',
  'registry.example.com/../other',
  'registry.example.com/./app',
  'a//b',
  '/a',
  'a/',
]) {
  await t.test(`the library asks nothing for the repository ${repository}`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    let asked = 0
    lab.interfere = () => ++asked < 0
    const open = () => lab.library({ repository })
    await t.rejects(open(), { code: 'BAD_URL' })
    t.equal(asked, 0)
    t.same(await filesBelow(lab.folder, ''), [])
  })
}

await t.test('the command line takes no such name for an image', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.command()
  const before = await filesBelow(lab.folder, '')
  for (const tag of ['../x', '..', '%2e%2e', '__proto__/x', '-x']) {
    const ran = await lab.command(tag)
    t.same([ran.code, codeOf(ran)], [2, 'REFERENCE_INVALID'], tag)
  }
  const ran = await lab.command('__proto__')
  t.same([ran.code, codeOf(ran)], [1, 'TAG_NOT_SIGNED'], 'a legal tag, which no object may lend a meaning')
  t.same(await filesBelow(lab.folder, ''), before)
})

const scope = { kind: 'paths' as const, paths: ['*'] }
/** Legal names of roles: a role's file ends in `.json`, and `seen` and `lock`, which are ours, do not. */
const PLAIN = new Set(['con', 'constructor', 'seen', 'lock'])
const refusedNames = Object.entries(NAMES).filter(([, text]) => !PLAIN.has(text))
await refuseUploads(
  t,
  Object.fromEntries(
    refusedNames.flatMap(([name, text]) => [
      [
        `a delegation to a role that is called ${name}`,
        {
          send: async ({ owner, now }) => {
            const role = { name: roleName(text), keys: [(await newKey()).key], threshold: 1, scope, terminating: false }
            const body = nextTargets(owner.targets, { delegations: withDelegation(undefined, role) }, context(now))
            return { targets: await signFile(body, owner.targetsKey) }
          },
          code: 'INVALID_UPDATE',
          inner: 'MALFORMED',
        },
      ],
      [
        `the file of a role that is called ${name}`,
        {
          send: async ({ now }) => ({ [text]: await signFile(firstTargets({}, context(now)), await newKey()) }),
          code: text.includes('\n') ? 'MALFORMED_UPLOAD' : 'INVALID_ROLE', // it ends the header of its part
        },
      ],
    ]),
  ),
)
const BAD_TARGETS = [
  '..',
  '.',
  '../x',
  '/x',
  'a//b',
  'a\\b',
  'a\0b',
  'a#b',
  'a?b',
  'a%2fb',
  'cafe\u0301',
  '\u202Ex',
  '💥',
  '',
  'x'.repeat(2000),
]
await refuseUploads(
  t,
  Object.fromEntries(
    BAD_TARGETS.map((path) => [
      `the target ${JSON.stringify(path.slice(0, 20))}`,
      {
        send: async ({ owner, now }) => ({
          targets: await signFile(
            nextTargets(owner.targets, { set: new Map([[path, target('x')]]) }, context(now)),
            owner.targetsKey,
          ),
        }),
        code: 'INVALID_UPDATE',
        inner: 'MALFORMED',
      },
    ]),
  ),
)

await t.test('the server has no repository, and no file, by such a name', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  const { payload, headers } = multipart({ targets: Buffer.from('{}') })
  for (const text of Object.values(NAMES)) {
    // Names of hosts, for all that anybody knows; and the file of targets 1.
    if (PLAIN.has(text) || text === '1.targets') continue
    const name = encodeURIComponent(text)
    const file = await server.get(`/v2/${REPO}/_trust/tuf/${name}.json`)
    t.ok([400, 404, 414].includes(file.statusCode), `${name}: ${file.body}`)
    const read = await server.get(`/v2/${name}/_trust/tuf/root.json`)
    t.ok([400, 404, 414].includes(read.statusCode), `${name}: ${read.body}`)
    const write = await server.app.inject({ method: 'POST', url: `/v2/${name}/_trust/tuf/`, payload, headers })
    t.ok([400, 404, 414].includes(write.statusCode), `${name}: ${write.body}`)
    const key = await server.get(`/v2/${name}/_trust/tuf/timestamp.key`)
    t.ok([400, 404, 414].includes(key.statusCode), `${name}: ${key.body}`)
  }
  t.equal((await server.services.deps.store.metadata.repositories({ limit: 9 })).length, 1)
})

type Lab = Awaited<ReturnType<typeof openLab>>
async function downloads(lab: Lab, asked: string[], folder: string) {
  const artifacts = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.end('two')
  })
  await new Promise<void>((resolve) => artifacts.listen(0, '127.0.0.1', resolve))
  const targetsUrl = `http://127.0.0.1:${(artifacts.address() as AddressInfo).port}/targets/`
  const repository = openRepository({
    metadataUrl: `${lab.url}/v2/app/_trust/tuf/`,
    pin: { kind: 'root', bytes: lab.simulator.anchor() },
    stateDir: join(lab.folder, 'library'),
  })
  return {
    download: (path: string) => repository.download(path, { targetsUrl, folder }),
    close: () => {
      repository.close()
      artifacts.closeAllConnections()
      artifacts.close()
    },
  }
}

/** Files below a folder, but for the state of the client under attack. */
async function filesBelow(folder: string, state: string): Promise<readonly string[]> {
  const all = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = all.filter((each) => !each.isDirectory()).map((each) => join(each.parentPath, each.name))
  const elsewhere =
    state === '' ? files : files.filter((path) => !path.startsWith(`${state}/`) && !path.includes('/library/'))
  return elsewhere.map((path) => path.slice(folder.length + 1)).toSorted()
}
