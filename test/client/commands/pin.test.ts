import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { printLock, parseLock } from '../../../client/pinning/lock.ts'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import { buildImage } from '../../support/images.ts'
import type { Stored } from '../../support/images.ts'
import { runInside } from '../../support/run-inside.ts'

const lab = await openGatewayLab({ rule: '    maxAge: 1s\n' })
t.teardown(lab.close)
const imageOf = (text: string): Stored => buildImage({ layers: [{ a: text }] }).manifest
const [one, two, next, never] = [imageOf('one'), imageOf('two'), imageOf('next'), imageOf('never')]

/** A folder with files, a machine that saw nothing yet, and what is signed now. */
async function openFolder(t: Test, files: Readonly<Record<string, string>>) {
  lab.sign({ '1.0': one, '2.0': two })
  const folder = t.testdir()
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  await mkdir(join(folder, 'home'))
  const lock = join(folder, 'tagseal.lock')
  return {
    lock,
    read: async (name: string) => await readFile(join(folder, name), 'utf8'),
    write: async (name: string, text: string) => await writeFile(join(folder, name), text),
    pin: async (...args: readonly string[]) =>
      await runInside([
        '--home',
        join(folder, 'home'),
        'pin',
        '--policy',
        join(lab.folder, 'policy.yaml'),
        '--lock',
        lock,
        ...args.map((arg) => (Object.hasOwn(files, arg) ? join(folder, arg) : arg)),
      ]),
  }
}

const FILES = {
  Dockerfile: `FROM ${NAME}:1.0 AS build\nFROM scratch\nCOPY --from=build / /\n`,
  'compose.yaml': `services:\n  app:\n    image: ${NAME}:2.0 # the app\n`,
}
const ALL = Object.keys(FILES)

await t.test('images of all files are locked, and a check agrees', async (t) => {
  const { pin, lock } = await openFolder(t, FILES)
  const wrote = await pin(...ALL)
  t.equal(wrote.exit, 0, wrote.stderr)
  t.match(wrote.stdout, new RegExp(`Dockerfile:1: ${NAME}@${one.digest}\\n.*compose.yaml:3: ${NAME}@${two.digest}\\n`))
  const { images, repositories } = parseLock(await readFile(lock), lock)
  t.same(
    [...images],
    [
      [`${NAME}:1.0`, { digest: one.digest, length: one.size, role: 'targets' }],
      [`${NAME}:2.0`, { digest: two.digest, length: two.size, role: 'targets' }],
    ],
  )
  t.same([...repositories.keys()], [NAME])
  const { mtimeMs } = await stat(lock)
  t.match(await pin('--check', ...ALL), { exit: 0 })
  t.match(await pin(...ALL), { exit: 0, stderr: /tagseal\.lock is as it should be/ })
  t.equal((await stat(lock)).mtimeMs, mtimeMs, 'and nothing is written again')
  const { stdout } = await pin('--json', ...ALL)
  t.match(JSON.parse(stdout), {
    images: [
      { line: 1, image: `${NAME}:1.0`, digest: one.digest },
      { line: 3, digest: two.digest },
    ],
  })
})

type Spoil = (folder: Awaited<ReturnType<typeof openFolder>>) => Promise<unknown>
const REFUSED: Record<string, { spoil: Spoil; code: string; args?: readonly string[] }> = {
  'a lock that is not there': {
    spoil: async ({ lock, write }) => await write('other', lock),
    code: 'LOCK_MISSING',
    args: ['--lock', '/nonexistent/lock'],
  },
  'a tag that was signed anew': { spoil: async () => lab.sign({ '1.0': next, '2.0': two }), code: 'LOCK_STALE' },
  'a tag that was revoked': {
    spoil: async () => {
      lab.lab.simulator.publishTargets({ remove: new Set(['1.0']) })
      lab.lab.simulator.release()
    },
    code: 'TAG_NOT_SIGNED',
  },
  'a digest that somebody changed': {
    spoil: async (folder) => await edit(folder, one.digest, next.digest),
    code: 'LOCK_EDITED',
  },
  'a digest that somebody changed with its sum': {
    spoil: async (folder) => await forge(folder, one.digest, next.digest),
    code: 'LOCK_STALE',
  },
  'an entry that somebody took out with its sum': {
    spoil: async (folder) => await forge(folder, ':2.0', ':3.0'),
    code: 'LOCK_INCOMPLETE',
  },
  'a lock that git merged': {
    spoil: async (folder) => await edit(folder, '{', '<<<<<<< ours\n{'),
    code: 'LOCK_EDITED',
  },
  'a lock that says an image twice': {
    spoil: async (folder) => await edit(folder, `"${NAME}:2.0"`, `"${NAME}:1.0"`),
    code: 'LOCK_EDITED',
  },
  'an image that came into a file': {
    spoil: async ({ write }) => {
      lab.sign({ '1.0': one, '2.0': two, '3.0': next })
      await write('Dockerfile', `FROM ${NAME}:1.0\nFROM ${NAME}:3.0\n`)
    },
    code: 'LOCK_INCOMPLETE',
  },
  'an image that left all files': { spoil: async () => undefined, code: 'LOCK_INCOMPLETE', args: ['Dockerfile'] },
  'metadata that is older than what was locked': {
    spoil: async (folder) => await forge(folder, /"snapshot": \d+/, '"snapshot": 1000000'),
    code: 'LOCK_AHEAD',
  },
  'a root that is older than what was locked': {
    spoil: async (folder) => await forge(folder, /"root": \d+/, '"root": 9'),
    code: 'LOCK_AHEAD',
  },
}

async function edit({ lock, write }: Parameters<Spoil>[0], from: string | RegExp, to: string): Promise<void> {
  const before = await readFile(lock, 'utf8')
  const after = before.replace(from, to)
  if (after === before) throw new Error(`no ${String(from)} in it`)
  await write('tagseal.lock', after)
}

/** By somebody who knows how the sum is made. */
async function forge(folder: Parameters<Spoil>[0], from: string | RegExp, to: string): Promise<void> {
  await edit(folder, from, to)
  const { repositories, images } = JSON.parse(await readFile(folder.lock, 'utf8')) as Record<
    string,
    Record<string, never>
  >
  const lock = {
    repositories: new Map(Object.entries(repositories ?? {})),
    images: new Map(Object.entries(images ?? {})),
  }
  await folder.write('tagseal.lock', printLock(lock))
}

for (const [name, { spoil, code, args = [] }] of Object.entries(REFUSED)) {
  await t.test(`a check refuses ${name}`, async (t) => {
    const folder = await openFolder(t, FILES)
    t.equal((await folder.pin(...ALL)).exit, 0)
    const before = await readFile(folder.lock, 'utf8')
    await spoil(folder)
    lab.pass(2000)
    const own = args.includes('--lock') ? [] : args
    const files = own.length === 0 ? ALL : own
    if (args.includes('--lock')) {
      const ran = await runInside(
        ['pin', '--check', ...args, '--policy', join(lab.folder, 'policy.yaml'), join(folder.lock, '..', 'Dockerfile')],
        { env: { TAGSEAL_HOME: join(folder.lock, '..', 'home') } },
      )
      t.match(ran, { exit: 1, stderr: new RegExp(`\\(${code}\\)`) })
      return
    }
    const ran = await folder.pin('--check', ...files)
    t.match(ran, { exit: 1, stdout: '' }, ran.stderr)
    t.match(ran.stderr, new RegExp(`\\(${code}\\)`), ran.stderr)
    if (code === 'LOCK_STALE' && !name.includes('changed'))
      t.equal(await readFile(folder.lock, 'utf8'), before, 'and writes nothing')
  })
}

await t.test('nothing is locked where one image is not signed, and each one is told with its line', async (t) => {
  const { pin, lock } = await openFolder(t, {
    Dockerfile: `FROM ${NAME}:1.0\nFROM ${NAME}:no\nFROM other.test/x:1\nFROM A//b\n`,
  })
  const ran = await pin('Dockerfile')
  t.equal(ran.exit, 1)
  t.match(ran.stderr, /Dockerfile:2: .*\(TAG_NOT_SIGNED\)/)
  t.match(ran.stderr, /Dockerfile:3: .*\(NO_RULE\)/)
  t.match(ran.stderr, /Dockerfile:4: .*\(REFERENCE_INVALID\)/)
  await t.rejects(readFile(lock), { code: 'ENOENT' })
})

await t.test('files that name digests', async (t) => {
  const files = {
    Dockerfile: `FROM ${NAME}:1.0@${one.digest}\nFROM ${NAME}@${two.digest}\n`,
    Containerfile: `FROM ${NAME}:1.0@${next.digest}\n`,
    'x.dockerfile.txt': `FROM ${NAME}@${never.digest}\n`,
  }
  const { pin, read } = await openFolder(t, files)
  t.equal((await pin('Dockerfile')).exit, 0, 'that are signed pass')
  t.match(await pin('Containerfile'), { exit: 1, stderr: /\(DIGEST_DIFFERS\)/ })
  t.match(await pin('x.dockerfile.txt'), { exit: 1, stderr: /\(DIGEST_NOT_SIGNED\)/ })
  t.equal((await pin('--write', 'Containerfile')).exit, 0, 'and an old one is replaced')
  t.equal(await read('Containerfile'), `FROM ${NAME}:1.0@${one.digest}\n`)
})

await t.test('--write puts digests into the files, and a second time changes nothing', async (t) => {
  const text = `ARG BASE=${NAME}:1.0\nFROM $BASE\nFROM ${NAME}:\${V:-2.0}\n`
  const { pin, read } = await openFolder(t, { ...FILES, Containerfile: text })
  const wrote = await pin('--write', ...ALL, 'Containerfile')
  t.equal(wrote.exit, 0, wrote.stderr)
  t.equal(await read('compose.yaml'), `services:\n  app:\n    image: ${NAME}:2.0@${two.digest} # the app\n`)
  t.equal(await read('Containerfile'), text.replace(':1.0', `:1.0@${one.digest}`))
  t.match(wrote.stderr, /Containerfile:3: .* depends on a variable/)
  const again = await pin('--write', ...ALL, 'Containerfile')
  t.equal(again.exit, 0)
  t.notMatch(again.stderr, /^wrote/m)
  t.equal((await pin('--check', ...ALL, 'Containerfile')).exit, 0)
})

await t.test('what need not be signed is not locked', async (t) => {
  const { pin, lock } = await openFolder(t, { Dockerfile: 'FROM registry.test/open/x:1\n' })
  t.match(await pin('Dockerfile'), { exit: 0, stdout: /registry\.test\/open\/x:1, as it is/ })
  t.equal(parseLock(await readFile(lock), lock).images.size, 0)
})

await t.test('wrong calls', async (t) => {
  const { pin } = await openFolder(t, FILES)
  for (const args of [['--check', '--write', 'Dockerfile'], ['--arg', 'x', 'Dockerfile'], []])
    t.match(await pin(...args), { exit: 2, stderr: /\(USAGE\)/ })
  t.match(await pin('/nonexistent/Dockerfile'), { exit: 2, stderr: /\(FILE_UNREADABLE\)/ })
})

await t.test('a tag that moved after its digest was written says how it is followed', async (t) => {
  const { pin, read } = await openFolder(t, FILES)
  t.equal((await pin('--write', ...ALL)).exit, 0)
  lab.sign({ '1.0': next, '2.0': two })
  lab.pass(2000)
  for (const args of [[], ['--check']]) {
    const { exit, stderr } = await pin(...args, ...ALL)
    t.equal(exit, 1)
    t.match(stderr, /\(DIGEST_DIFFERS\)\nhint: tagseal pin --write FILE\.\.\. takes what is signed now/)
  }
  t.equal((await pin('--write', ...ALL)).exit, 0)
  t.match(await read('Dockerfile'), `${NAME}:1.0@${next.digest}`)
  t.match(await pin('--check', ...ALL), { exit: 0 })
})

await t.test('a file in which no image was found is told of', async (t) => {
  const text = 'apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {container: [{image: a:1}]}}}\n'
  const { pin } = await openFolder(t, { 'deploy.yaml': text })
  t.match(await pin('deploy.yaml'), { exit: 0, stderr: /^warning: no image in .*deploy\.yaml$/m })
})

await t.test('a lock for more files says so, before it is written over with fewer', async (t) => {
  const { pin } = await openFolder(t, FILES)
  t.equal((await pin(...ALL)).exit, 0)
  const { stderr } = await pin('--check', 'Dockerfile')
  t.match(stderr, /\(LOCK_INCOMPLETE\)\nhint: name all files that the lock is for/)
})
