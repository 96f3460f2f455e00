/** The library on repositories that the original `notary` makes and the original `notary-server` serves. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openRepository } from '../../client/trust/repository.ts'
import type { RepositoryOptions } from '../../client/trust/repository.ts'
import { keyId } from '../../tuf/index.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { runProgram } from '../support/program.ts'
import { makeCertificate } from '../support/tls.ts'
import { NOTARY_PASSPHRASES, notaryUser, whyNoNotary } from '../support/notary.ts'

const GUN = 'registry.example.com:5000/Team/app'
const skip = (await whyNoNotary()) ?? (await whyNoNotaryServer()) ?? false

type Town = {
  /** `notary` of the owner; throws where it fails. */
  readonly notary: (...args: string[]) => Promise<string>
  readonly open: (pin: RepositoryOptions['pin'], state?: string) => ReturnType<typeof openRepository>
  readonly file: (content: string) => Promise<string>
  readonly dir: string
}

async function openTown(t: Test): Promise<Town> {
  const dir = t.testdir()
  const tls = await makeCertificate(join(dir, 'tls'))
  const server = await startNotaryServer(tls)
  t.teardown(server.stop)
  const owner = notaryUser(join(dir, 'owner'), { url: server.url, ca: tls.ca })
  return {
    dir,
    notary: async (...args) => (await owner.run(...args)).stdout,
    open(pin, state = 'state') {
      const place = { server: server.url, repository: GUN, ca: tls.caText, stateDir: join(dir, state) }
      const repository = openRepository({ ...place, pin })
      t.teardown(repository.close)
      return repository
    },
    async file(content) {
      const path = join(dir, `target-${content}`)
      await writeFile(path, content)
      return path
    },
  }
}

const digestOf = (content: string) => `sha256:${createHash('sha256').update(content).digest('hex')}`

await t.test('a repository of notary, from its first tag through every rotation', { skip }, async (t) => {
  const { notary, open, file, dir } = await openTown(t)
  await notary('init', '-p', GUN)
  await notary('add', '-p', GUN, 'v1', await file('one'))
  const listed = await notary('key', 'list')
  const [canonical = ''] = /[0-9a-f]{64}/.exec(listed.split('\n').find((line) => line.includes('root')) ?? '') ?? []
  const rootFile = join(dir, 'owner', 'tuf', GUN, 'metadata', 'root.json')
  const root = await readFile(rootFile)

  const byRoot = open({ kind: 'root', bytes: root })
  t.equal((await byRoot.resolve('v1')).digest, digestOf('one'), 'by the root file')
  const byKey = open({ kind: 'keys', keyids: [keyId(canonical)], threshold: 1 }, 'by-key')
  t.equal((await byKey.resolve('v1')).digest, digestOf('one'), 'by the id that "notary key list" prints')
  t.equal((await open({ kind: 'tofu' }, 'tofu').resolve('v1')).digest, digestOf('one'), 'on first use')
  await t.rejects(open({ kind: 'keys', keyids: [keyId('0'.repeat(64))], threshold: 1 }, 'no').refresh(), {
    code: 'PIN_NOT_MET',
  })

  await notary('add', '-p', GUN, 'v1', await file('two'))
  await byRoot.refresh()
  t.equal((await byRoot.resolve('v1')).digest, digestOf('two'), 'a tag that moved')

  for (const rotation of [
    ['key', 'rotate', GUN, 'snapshot', '-r'],
    ['key', 'rotate', GUN, 'timestamp', '-r'],
    ['key', 'rotate', GUN, 'targets'],
  ]) {
    await notary(...rotation)
    const { root: after } = await byRoot.refresh()
    t.ok(after.version > 1, `${rotation.slice(1).join(' ')}: root ${after.version}`)
  }
  await rotateRoot(join(dir, 'owner'))
  await notary('add', '-p', GUN, 'v2', await file('three'))
  const view = await byRoot.refresh()
  t.equal(view.root.version, 5, 'and the root')
  t.equal((await byRoot.resolve('v2')).digest, digestOf('three'))
  t.equal((await open({ kind: 'root', bytes: root }, 'late').resolve('v2')).digest, digestOf('three'), 'from the start')

  await notary('remove', '-p', GUN, 'v2')
  await byRoot.refresh()
  await t.rejects(byRoot.resolve('v2'), { code: 'TAG_NOT_SIGNED' })
})

await t.test('delegations of notary', { skip }, async (t) => {
  const { notary, open, file, dir } = await openTown(t)
  await notary('init', '-p', GUN)
  await notary('add', '-p', GUN, 'old', await file('one'))
  const pem = async (name: string) => {
    const [publicPath, privatePath] = [join(dir, `${name}.pub`), join(dir, `${name}.key`)]
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writeFile(publicPath, publicKey.export({ format: 'pem', type: 'spki' }))
    await writeFile(privatePath, privateKey.export({ format: 'pem', type: 'sec1' }), { mode: 0o600 })
    return [publicPath, privatePath] as const
  }
  const [releases, releasesKey] = await pem('releases')
  const [qa, qaKey] = await pem('qa')
  await notary('delegation', 'add', '-p', GUN, 'targets/releases', releases, '--all-paths')
  await notary('delegation', 'add', '-p', GUN, 'targets/qa', qa, '--paths', 'qa-')
  await notary('key', 'import', releasesKey, '--role', 'targets/releases')
  await notary('key', 'import', qaKey, '--role', 'targets/qa')

  const repository = open({ kind: 'tofu' })
  t.equal((await repository.resolve('old')).role, 'targets', 'with roles that never signed anything')

  await notary('add', '-p', GUN, 'v1', await file('two'), '-r', 'targets/releases')
  await notary('add', '-p', GUN, 'qa-1', await file('three'), '-r', 'targets/qa')
  const view = await repository.refresh()
  t.same([...view.snapshot.meta.keys()].sort(), ['root', 'targets', 'targets/qa', 'targets/releases'])
  t.match(await repository.resolve('v1'), { role: 'targets/releases', digest: digestOf('two') })
  await t.rejects(repository.resolve('qa-1'), { code: 'TAG_NOT_SIGNED' }, 'docker counts no such role')

  await notary('delegation', 'remove', '-p', '-y', GUN, 'targets/releases')
  await repository.refresh()
  await t.rejects(repository.resolve('v1'), { code: 'TAG_NOT_SIGNED' })
  t.equal((await repository.resolve('old')).role, 'targets')
})

/** `notary key rotate` asks on its stdin whether that is meant. */
async function rotateRoot(home: string): Promise<void> {
  const env = { ...process.env, ...NOTARY_PASSPHRASES, HOME: home }
  const args = ['-c', join(home, 'config.json'), 'key', 'rotate', GUN, 'root']
  const ran = await runProgram('notary', args, { env, input: 'yes\n' })
  if (ran.code !== 0) throw new Error(ran.stderr + ran.stdout)
}
