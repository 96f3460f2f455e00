/** `tagseal key import` over what the real `notary` and `docker` left on a disk. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf, tagseal } from '../../support/cli.ts'
import type { Ran } from '../../support/cli.ts'

const KEYS = fileURLToPath(new URL('../../vectors/notary-v1/keys', import.meta.url))
const NOTARY = {
  NOTARY_ROOT_PASSPHRASE: 'rootpass123',
  NOTARY_TARGETS_PASSPHRASE: 'targetspass123',
  NOTARY_SNAPSHOT_PASSPHRASE: 'snapshotpass123',
  NOTARY_DELEGATION_PASSPHRASE: 'delegpass123',
}

type Listed = { id: string; name?: string; encrypted: boolean; notary: { id: string; role?: string; gun?: string } }
type Document = { keys: Listed[]; there: Listed[]; failed: { file: string; key: string; error: { code: string } }[] }

function folderIn(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-import-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
const documented = (ran: Ran) => documentOf(ran) as Document
const namesOf = (folder: string) => readdirSync(join(KEYS, folder)).map((name) => basename(name, '.key'))
const notaryIds = (keys: readonly Listed[]) => keys.map(({ notary }) => notary.id).toSorted()

await t.test(
  'a folder of notary: every key, under the passphrases of the environment, which go on opening them',
  async (t) => {
    const home = join(folderIn(t), 'home')
    const run = (...args: string[]) =>
      tagseal(['--json', ...args], { env: { TAGSEAL_HOME: home, HOME: home, ...NOTARY } })
    const ran = await run('key', 'import', join(KEYS, 'trust-private'))
    t.equal(ran.code, 0, ran.stderr)
    t.strictSame(notaryIds(documented(ran).keys), namesOf('trust-private').toSorted())
    const { keys } = documented(await run('key', 'list'))
    t.ok(keys.every(({ encrypted }) => encrypted))
    for (const { id } of keys) t.match(ran.stderr, `${id.slice(0, 12)} stays under the passphrase that it had; `)
    const targets = keys.find(({ notary }) => notary.gun === 'example.com/alpha' && notary.role === 'targets')
    t.equal(targets?.name, 'targets example.com/alpha')
    const opened = await run('key', 'export', targets?.notary.id ?? '', '--private', '--no-passphrase')
    t.equal(opened.code, 0, opened.stderr)

    const again = await run('key', 'import', join(KEYS, 'trust-private'))
    t.equal(again.code, 0, 'the same once more')
    t.equal(documented(again).there.length, namesOf('trust-private').length)
  },
)

await t.test('keys that no passphrase opens are named, keep no other one out, and the exit code says so', async (t) => {
  const home = folderIn(t)
  const old = join(home, 'old')
  writeFileSync(old, 'dctrepo123\n', { mode: 0o600 })
  const args = ['--json', 'key', 'import', join(KEYS, 'docker-trust-private'), '--old-passphrase-file', old]
  const ran = await tagseal(args, { env: { TAGSEAL_HOME: join(home, 'home'), HOME: home } })
  t.equal(ran.code, 1)
  const { keys, failed } = documented(ran)
  t.equal(keys.length, namesOf('docker-trust-private').length - 1)
  t.match(failed, [{ key: 'the root key', file: /e01ce6d975b6/, error: { code: 'PASSPHRASE_WRONG' } }])
  t.equal(failed.length, 1)
  t.match(ran.stderr, /e01ce6d975b6[^\n]*does not open the root key \(PASSPHRASE_WRONG\)/)
  t.match(ran.stderr, /hint: [^\n]* --old-passphrase-file FILE\n/)
  t.notMatch(ran.stderr + ran.stdout, /dctrepo123/)

  writeFileSync(old, 'root: dctroot123\nrepository: dctrepo123\n')
  const next = await tagseal(args, { env: { TAGSEAL_HOME: join(home, 'home'), HOME: home } })
  t.equal(next.code, 0, 'with the missing one in the file')
  t.equal(documented(next).there.length, keys.length)
})

await t.test(
  'notary key export, a key of openssl and the folder of another machine, under one new passphrase',
  async (t) => {
    const home = folderIn(t)
    const own = join(home, 'own')
    writeFileSync(own, 'one for all of them', { mode: 0o600 })
    const env = { TAGSEAL_HOME: join(home, 'home'), HOME: home, ...NOTARY }
    const files = ['notary-key-export-all.pem', 'p384.key', 'rsaroot-enc-legacy.pem', 'trust-private-rsa'].map((name) =>
      join(KEYS, name),
    )
    const ran = await tagseal(['--json', 'key', 'import', ...files, '--passphrase-file', own], { env })
    t.equal(ran.code, 0, ran.stderr)
    t.notMatch(ran.stderr, /stays under/)
    const opening = { env: { TAGSEAL_HOME: join(home, 'home'), HOME: home, TAGSEAL_PASSPHRASE_FILE: own } }
    for (const { id } of documented(ran).keys.slice(-8)) {
      t.equal((await tagseal(['key', 'export', id, '--private', '--no-passphrase'], opening)).code, 0)
    }
  },
)

await t.test('a damaged file in a folder is named; what is no private key there is passed over', async (t) => {
  const home = folderIn(t)
  const folder = join(home, 'private')
  mkdirSync(join(folder, 'tuf_keys'), { recursive: true })
  cpSync(join(KEYS, 'carol.key'), join(folder, 'tuf_keys', 'carol.key'))
  cpSync(join(KEYS, 'carol.pub'), join(folder, 'carol.pem'))
  cpSync(join(KEYS, 'rootca.crt'), join(folder, 'readme.txt'))
  writeFileSync(join(folder, 'bad.key'), readFileSync(join(KEYS, 'p384.key'), 'utf8').slice(0, 100))
  const args = ['--json', 'key', 'import', folder, '--no-passphrase']
  const ran = await tagseal(args, { env: { TAGSEAL_HOME: join(home, 'home'), HOME: home } })
  t.equal(ran.code, 1)
  t.match(documented(ran), {
    keys: [{ encrypted: false }],
    failed: [{ file: /bad\.key$/, error: { code: 'KEY_MALFORMED' } }],
  })
  t.equal(documented(ran).failed.length, 1)
})

const WRONG: Record<string, { file: string; code: string; exit: number }> = {
  'that is not there': { file: 'none.key', code: 'FILE_UNREADABLE', exit: 2 },
  'with a public key': { file: 'carol.pub', code: 'KEY_MALFORMED', exit: 1 },
  'that nobody gave a passphrase for': { file: 'zroot-enc-sha1.pem', code: 'PASSPHRASE_MISSING', exit: 2 },
}
for (const [name, { file, code, exit }] of Object.entries(WRONG)) {
  await t.test(`refuses a file ${name}`, async (t) => {
    const home = folderIn(t)
    const ran = await tagseal(['key', 'import', join(KEYS, file)], { env: { TAGSEAL_HOME: home, HOME: home } })
    t.equal(codeOf(ran), code)
    t.equal(ran.code, exit)
  })
}
