/** The rules that `npm run check` holds us to, tried on a tree that breaks them. */
import { execFile } from 'node:child_process'
import { cp, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

type Tree = { [name: string]: string | Tree }
const BASE: Tree = {
  'package.json':
    '{"type":"module","dependencies":{"better-sqlite3":"*","fastify":"*","undici":"*","@noble/ed25519":"*"}}',
  tuf: {
    'index.ts': 'export const a = 1\n',
    model: { 'ids.ts': 'export const b = 1\n' },
    verify: { 'root.ts': 'export const r = 1\n' },
  },
  keys: { 'signer.ts': "import { b } from '../tuf/model/ids.ts'\nexport const c = b\n" },
  server: { 'app.ts': "import { a } from '../tuf/index.ts'\nexport const d = a\n" },
  client: { 'main.ts': "import { c } from '../keys/signer.ts'\nexport const e = c\n" },
  test: {},
  scripts: {},
  bench: {},
}

const BREAKS: Record<string, readonly [file: string, text: string, rule: string]> = {
  'tuf imports a built-in': ['tuf/x.ts', "import 'node:fs'\n", 'tuf-imports-nothing'],
  'tuf imports a package': ['tuf/x.ts', "import '@noble/ed25519'\n", 'tuf-imports-nothing'],
  'tuf imports keys, if only a type': [
    'tuf/x.ts',
    "import type { c } from '../keys/signer.ts'\nexport type X = typeof c\n",
    'tuf-imports-nothing',
  ],
  'keys import a step of the workflow': [
    'keys/x.ts',
    "import '../tuf/verify/root.ts'\n",
    'keys-imports-only-the-model',
  ],
  'the server imports the client': ['server/x.ts', "import '../client/main.ts'\n", 'server-and-client-never-meet'],
  'the client imports the server': ['client/x.ts', "import '../server/app.ts'\n", 'server-and-client-never-meet'],
  'the server imports a test': ['server/x.ts', "import '../test/y.ts'\n", 'programs-import-no-helpers-of-ours'],
  'the server imports node:crypto': ['server/x.ts', "import 'node:crypto'\n", 'node-crypto-only-under-keys'],
  'a second file imports better-sqlite3': ['server/x.ts', "import 'better-sqlite3'\n", 'one-file-knows-sqlite'],
  'the server imports undici': ['server/x.ts', "import 'undici'\n", 'undici-only-under-client'],
  'the client imports fastify': ['client/x.ts', "import 'fastify'\n", 'fastify-only-under-server'],
  'a second file of the client speaks HTTP': ['client/x.ts', "import 'node:https'\n", 'one-http-client'],
  'the portable suite imports a built-in': [
    'keys/portable/x.ts',
    "import 'node:buffer'\n",
    'portable-suite-uses-no-built-in',
  ],
  'a file imports its own index': ['tuf/x.ts', "import './index.ts'\n", 'nobody-imports-their-own-index'],
  'two files import each other': ['tuf/x.ts', "import './other.ts'\n", 'no-cycles'],
}

/** One tree that breaks every rule, each in a file of its own: it takes a second to look at one. */
const broken = Object.entries(BREAKS).map(([name, [file, text, rule]], at) => {
  const own = file.replace('x.ts', `x${at}.ts`)
  return { name, rule, file: own, text: text.replace('./other.ts', `./x${at}other.ts`) }
})

await t.test('one tree that breaks every rule', async (t) => {
  const more: [string, string][] = broken.flatMap(({ file, text }) => [
    [file, text],
    [file.replace('.ts', 'other.ts'), `import './${basename(file)}'\n`],
  ])
  const told = await cruise(t.testdir(grown({ 'test/y.ts': 'export {}\n', ...Object.fromEntries(more) })))
  for (const { name, rule, file } of broken) {
    await t.test(`refuses that ${name}`, async (t) => t.match(told, `error ${rule}: ${file} `))
  }
})

await t.test('accepts what breaks none of them', async (t) => {
  t.match(await cruise(t.testdir(BASE)), 'no dependency violations found')
})

async function cruise(dir: string): Promise<string> {
  for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json']) await cp(join(ROOT, name), join(dir, name))
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  const args = [join(ROOT, 'node_modules/.bin/depcruise'), 'tuf', 'keys', 'server', 'client']
  return await run(process.execPath, args, { cwd: dir }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  )
}

/** The base with some files more, at any depth. */
function grown(files: Tree): Tree {
  const tree = structuredClone(BASE)
  for (const [path, text] of Object.entries(files)) {
    const names = path.split('/')
    let folder = tree
    for (const name of names.slice(0, -1)) {
      const next = folder[name]
      folder = folder[name] = typeof next === 'object' ? next : {}
    }
    folder[names.at(-1) ?? ''] = text
  }
  return tree
}
