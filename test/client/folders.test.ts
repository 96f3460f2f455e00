/** Folders that are named where none can be made: Node's own recursive way goes on for ever there. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { codeOf } from '../support/cli.ts'
import { tagsealHere } from '../support/in-process.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const NOWHERE = '/proc/tagseal/folder'

const home = t.testdir({ passphrase: 'correct horse battery staple\n' })
const passphrase = join(home, 'passphrase')
const made = await tagsealHere(['--home', home, 'key', 'generate', '--no-passphrase'])
const key = made.stdout.trim()

const COMMANDS: Record<string, { args: readonly string[]; code: string }> = {
  'a home, for a new key': { args: ['--home', NOWHERE, 'key', 'generate', '--no-passphrase'], code: 'KEYSTORE_IO' },
  'a home, for a pin': {
    args: ['--home', NOWHERE, 'trust', 'add', 'registry.test/**', '--key', key],
    code: 'CONFIG_UNUSABLE',
  },
  'a folder for shares': {
    args: ['--home', home, 'key', 'export', key, '--split', '2/3', '--out', NOWHERE],
    code: 'IO',
  },
  'a folder for the keys of notary': {
    args: ['--home', home, 'export', 'notary-keys', '--new-passphrase-file', passphrase, '--out', `${NOWHERE}/`],
    code: 'IO',
  },
  'a machine, for the configuration of its docker': {
    args: ['--home', home, 'doctor', '--root', '/proc/tagseal', '--write', 'docker', '--yes'],
    code: 'IO',
  },
}
const onLinux = { skip: process.platform === 'linux' ? false : 'Linux only' }

await t.test('a command ends that is given', onLinux, async (t) => {
  for (const [name, { args, code }] of Object.entries(COMMANDS)) {
    await t.test(name, async (t) => {
      const ran = await tagsealHere(args)
      t.equal(ran.code, 3, ran.stderr)
      t.equal(codeOf(ran), code)
      t.match(ran.stderr, /^hint: /m)
    })
  }
})

await t.test('none of our sources makes folders in that way, but below one that took a folder before', async (t) => {
  const sources = ['client', 'keys', 'server'].flatMap((layer) =>
    readdirSync(join(ROOT, layer), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${layer}/${name}`),
  )
  t.ok(sources.length > 100)
  const recursive = sources.filter((file) =>
    /mkdir(?:Sync)?\([^\n]*recursive/.test(readFileSync(join(ROOT, file), 'utf8')),
  )
  t.strictSame(recursive, ['client/gateway/store.ts'])
})
