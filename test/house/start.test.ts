import { execFile } from 'node:child_process'
import { access, chmod, copyFile, cp, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import facts from '../../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const old = await findOldNode()

await t.test('whatever is installed already is not installed again', async (t) => {
  const { stdout, stderr } = await run(process.execPath, [join(ROOT, 'scripts/ensure.mjs')])
  t.equal(stdout + stderr, '', 'and nothing is said about it')
})

await t.test('a clone runs its programs from the sources', async (t) => {
  for (const name of ['tagseal', 'tagseal-server']) {
    const { stdout } = await run(process.execPath, [join(ROOT, `bin/${name}.mjs`), '--version'])
    t.equal(stdout.trim(), facts.version, name)
  }
})

await t.test('a Node that is too old', { skip: old === undefined && 'SKIPPED: every node here is new' }, async (t) => {
  const node = old ?? ''
  const { stdout } = await run(node, [join(ROOT, 'bin/tagseal.mjs'), '--version'])
  t.equal(stdout.trim(), facts.version, 'hands over to the one in node_modules')
  await t.rejects(run(node, [join(ROOT, 'bin/tagseal.mjs'), 'verify']), { code: 2 }, 'and passes its exit code on')
  const { stderr } = await run(node, [join(ROOT, 'scripts/ensure.mjs')])
  t.equal(stderr, '', 'can look for what is missing')
})

/** In the place of npm: says that it was called, and in its own time leaves what `ensure.mjs` looks for. */
const NPM = `#!/bin/sh
echo "$*" >> calls
sleep 1
mkdir -p node_modules/node/bin node_modules/.bin node_modules/tap node_modules/@tapjs/test
cp package-lock.json node_modules/.package-lock.json
echo '{"version":"1.0.0"}' | tee node_modules/tap/package.json > node_modules/@tapjs/test/package.json
printf '#!/bin/sh\\n' | tee node_modules/.bin/tap > node_modules/node/bin/node
chmod +x node_modules/.bin/tap
`

await t.test('eight that start at once in a fresh clone with the lock of a process that was killed', async (t) => {
  const folder = t.testdir({
    bin: { npm: NPM },
    scripts: {},
    '.cache': { 'ensure.lock': '99999999' }, // of a process that was killed
    '.taprc': '',
    'package-lock.json': '{"packages":{}}',
  })
  const script = join(folder, 'scripts/ensure.mjs')
  await chmod(join(folder, 'bin/npm'), 0o755)
  await copyFile(join(ROOT, 'scripts/ensure.mjs'), script)
  const env = { PATH: `${join(folder, 'bin')}${delimiter}${process.env['PATH'] ?? ''}` }
  await Promise.all(Array.from({ length: 8 }, async () => await run(process.execPath, [script], { env })))
  const calls = await readFile(join(folder, 'calls'), 'utf8')
  t.equal(calls.split('\n').length - 1, 1, 'install once')
  t.match(calls, /^ci /)
})

const NOT_INSTALLED = /^error: [^\n]*not installed\nhint: node scripts\/ensure\.mjs[^\n]*\n$/

await t.test('a clone in which nothing is installed says so, and how to go on', async (t) => {
  const clone = t.testdir({ client: { 'main.ts': '' } })
  await cp(join(ROOT, 'bin'), join(clone, 'bin'), { recursive: true })
  const ran = run(process.execPath, [join(clone, 'bin/tagseal.mjs'), '--version'])
  await t.rejects(ran, { code: 3, stderr: NOT_INSTALLED })
})

await t.test('a clone that was pulled since its packages were installed says the same', async (t) => {
  const clone = t.testdir({
    client: { 'main.ts': "import 'new'" },
    'package.json': '{"dependencies":{"old":"1.0.0","new":"1.0.0"}}',
    node_modules: { old: {} },
  })
  await cp(join(ROOT, 'bin'), join(clone, 'bin'), { recursive: true })
  const ran = run(process.execPath, [join(clone, 'bin/tagseal.mjs'), '--version'])
  await t.rejects(ran, { code: 3, stderr: NOT_INSTALLED })
})

async function findOldNode(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const node = join(folder, 'node')
    const version = await access(node)
      .then(() => run(node, ['--version']))
      .then(({ stdout }) => Number(/^v(\d+)/.exec(stdout)?.[1]))
      .catch(() => Number.NaN)
    if (version < 22) return node
  }
  return undefined
}
