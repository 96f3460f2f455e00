import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import facts from '../../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

// A package of its own, or `tagseal` would mean the checkout around it.
const dir = t.testdir({ source: {}, user: { 'package.json': '{}', node_modules: {} } })
const files = await packed(join(dir, 'source'))
const installed = await install(join(dir, 'user', 'node_modules'))
const bin = (name: string) => join(installed, 'dist', 'bin', `${name}.cjs`)

await t.test('the packed files', async (t) => {
  for (const wanted of [
    'package.json',
    'README.md',
    'LICENSE',
    'dist/bin/tagseal.cjs',
    'dist/bin/tagseal-server.cjs',
    'dist/program/tagseal-server-reader.mjs',
  ]) {
    t.ok(files.includes(wanted), `hold ${wanted}`)
  }
  const sources = files.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
  t.strictSame(sources, [], 'hold no sources')
  t.strictSame(
    files.filter((name) => /^(test|bench|scripts)\//.test(name)),
    [],
    'hold no tests',
  )
})

await t.test('the command line says which version it is', async (t) => {
  const { stdout } = await run(process.execPath, [bin('tagseal'), '--version'], { env: { HOME: dir } })
  t.equal(stdout.trim(), facts.version)
})

await t.test('what V8 compiled is kept where only this user can write', async (t) => {
  const home = join(dir, 'home')
  await run(process.execPath, [bin('tagseal'), '--version', '--home', home], { env: {} })
  t.equal((await readdir(join(home, 'cache'))).length, 1, 'below --home')
  const shared = join(dir, 'shared')
  await mkdir(join(shared, 'cache'), { recursive: true })
  await run('chmod', ['777', join(shared, 'cache')])
  await run(process.execPath, [bin('tagseal'), '--version', '--home', shared], { env: {} })
  t.strictSame(await readdir(join(shared, 'cache')), [], 'not in a folder that others may write to')
})

await t.test('what was kept is used again, and made again where it is damaged or of another build', async (t) => {
  const home = join(dir, 'kept')
  const cache = join(home, 'cache')
  const start = () => run(process.execPath, [bin('tagseal'), '--version', '--home', home], { env: {} })
  await start()
  const [name = ''] = await readdir(cache)
  const kept = await readFile(join(cache, name))
  await start()
  t.strictSame(await readFile(join(cache, name)), kept, 'used as it is')
  await writeFile(join(cache, name), kept.fill(0, kept.length / 2))
  await writeFile(join(cache, '0123456789abcdef-v24.0.0-x64-sign.v8'), 'of another build')
  const { stdout } = await start()
  t.equal(stdout.trim(), facts.version, 'a damaged one changes nothing')
  t.strictSame(await readdir(cache), [name], 'what another build left is gone')
  t.notOk(
    (await readFile(join(cache, name))).subarray(-1000).every((byte) => byte === 0),
    'and it is whole again',
  )
})

await t.test('the commands that run most are a program of their own, which says what the whole one says', async (t) => {
  const told = async (...args: string[]) => {
    const home = join(dir, 'told')
    const { stdout, stderr } = await run(process.execPath, [bin('tagseal'), '--home', home, ...args], {
      env: {},
    }).catch((error: { stdout: string; stderr: string }) => error)
    return {
      stdout,
      stderr,
      kept: (await readdir(join(home, 'cache'))).map((name) => name.split('-').slice(3).join('-')),
    }
  }
  for (const [command, nonsense] of [
    ['sign'],
    ['verify'],
    ['pull'],
    ['sign', '--nonsense'],
    ['verify', '--bogus=list'],
  ].map(([command = '', nonsense = '--help']) => [command, nonsense] as const)) {
    const quick = await told(command, nonsense)
    // A value that is the name of another command: then it could be that one which is meant.
    const whole = await told(command, nonsense, '--ca', 'status')
    t.same([whole.stdout, whole.stderr], [quick.stdout, quick.stderr], `${command} ${nonsense}`)
    t.ok(quick.kept.includes(`${command}.v8`), 'the quick one ran')
    t.ok(whole.kept.includes(`whole-${command}.v8`), 'and the whole one')
  }
})

await t.test('the library can be imported by its name', async (t) => {
  const script = `import('tagseal').then((library) => console.log(typeof library.openRepository))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: join(dir, 'user') })
  t.equal(stdout.trim(), 'function')
})

await t.test('the server starts with readers, and ends on SIGTERM', async (t) => {
  const args = [bin('tagseal-server'), '--data', join(dir, 'data'), '--listen', '127.0.0.1:0', '--readers', '2']
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const closed = once(server, 'exit')
  const lines = createInterface({ input: server.stdout })
  let url = ''
  for await (const line of lines) {
    url = /^tagseal-server listening on (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)?.[1] ?? ''
    if (url !== '') break
  }
  t.equal((await fetch(`${url}/v2/a/_trust/tuf/root.json`)).status, 404)
  server.kill('SIGTERM')
  t.strictSame(await closed, [0, null])
})

/** What `npm pack` would publish, built beside the real `dist/`, which others may be using. */
async function packed(source: string): Promise<readonly string[]> {
  await run(process.execPath, [join(ROOT, 'scripts/build.ts'), join(source, 'dist')])
  for (const name of ['package.json', 'README.md', 'LICENSE', ...facts.files.filter((each) => each !== 'dist')]) {
    await cp(join(ROOT, name), join(source, name), { recursive: true })
  }
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dirname(source)], { cwd: source })
  const listed: unknown = JSON.parse(stdout)
  return [...JSON.stringify(listed).matchAll(/"path":"([^"]+)"/g)].map(([, path = '']) => path)
}

/** Unpacked beside our own dependencies: npm would fetch the same ones. */
async function install(modules: string): Promise<string> {
  const tarball = `tagseal-${facts.version}.tgz`
  await run('tar', ['-xzf', join(dir, tarball), '-C', modules])
  await run('mv', [join(modules, 'package'), join(modules, 'tagseal')])
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (name === 'tagseal' || name.startsWith('.')) continue
    await symlink(join(ROOT, 'node_modules', name), join(modules, name))
  }
  return join(modules, 'tagseal')
}
