import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { choose } from '../../client/kept-code.ts'

const BUILT = {
  whole: 'whole.cjs',
  quick: 'quick.cjs',
  commands: ['init', 'sign', 'verify', 'list', 'trust'],
  quickCommands: ['sign', 'verify'],
}

const CASES: Record<string, { readonly argv: readonly string[]; readonly file: string; readonly name: string }> = {
  'a command of the quick program': { argv: ['sign', 'a:1'], file: 'quick.cjs', name: 'sign' },
  'options before it': { argv: ['--home', '/x', '--json', 'verify', 'a:1'], file: 'quick.cjs', name: 'verify' },
  'its help': { argv: ['help', 'sign'], file: 'quick.cjs', name: 'sign' },
  'a command that only the whole one has': { argv: ['init', 'a'], file: 'whole.cjs', name: 'whole-init' },
  'a group whose command is called like another': { argv: ['trust', 'list'], file: 'whole.cjs', name: 'whole-list' },
  'an option whose value is called like another command': {
    argv: ['--home', 'list', 'verify', 'a:1'],
    file: 'whole.cjs',
    name: 'whole-verify',
  },
  'two commands of the quick one': { argv: ['verify', 'sign'], file: 'whole.cjs', name: 'whole-sign' },
  'no command': { argv: ['--version'], file: 'whole.cjs', name: 'other' },
  'a word that no command is called': { argv: ['signs', 'a:1'], file: 'whole.cjs', name: 'other' },
}
for (const [name, { argv, ...chosen }] of Object.entries(CASES)) {
  await t.test(`${name}: ${chosen.file}`, async (t) => {
    t.same(choose(argv, BUILT), chosen)
  })
}

const RUN = `
  import { runProgram } from ${JSON.stringify(new URL('../../client/kept-code.ts', import.meta.url).href)}
  const whole = process.env['PROGRAM']
  runProgram({ whole, quick: whole, build: 'b', commands: [], quickCommands: [] })`

type Run = {
  readonly says: string
  readonly in: string
  readonly env: Readonly<Record<string, string>>
  readonly words?: readonly string[]
}

/** Runs a program that prints a word. V8 takes what was compiled of another one that is as long for its own. */
function run(folder: string, { says, in: cwd, env, words = [] }: Run): string {
  const program = join(folder, `${says}.cjs`)
  writeFileSync(program, `(function () { process.stdout.write('${says}') })`)
  const nowhere = { HOME: undefined, XDG_CACHE_HOME: undefined, TAGSEAL_HOME: undefined }
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', RUN, 'tagseal', ...words], {
    cwd,
    env: { ...process.env, ...nowhere, PROGRAM: program, ...env },
    encoding: 'utf8',
  })
  return run.status === 0 ? run.stdout : run.stderr
}

const isRoot = process.getuid?.() === 0
const FILES: readonly (readonly [string, string, (file: string) => void])[] = [
  ['their file, which is ours by every look of it', 'theirs', () => undefined],
  ['not a file that others may write', 'mine..', (file) => chmodSync(file, 0o622)],
  ...(isRoot
    ? [["not another user's file", 'mine..', (file: string) => chownSync(file, 12_345, 12_345)] as const]
    : []),
]
for (const [name, expected, change] of FILES) {
  await t.test(`what is kept in a folder of ours is run: ${name}`, async (t) => {
    const folder = t.testdir()
    const env = { XDG_CACHE_HOME: folder }
    t.equal(run(folder, { says: 'theirs', in: folder, env }), 'theirs')
    const [kept = ''] = readdirSync(join(folder, 'tagseal'))
    change(join(folder, 'tagseal', kept))
    t.equal(run(folder, { says: 'mine..', in: folder, env }), expected)
    t.equal(run(folder, { says: 'mine..', in: folder, env }), expected, 'and a good one is in its place')
  })
}

for (const [variable, value, at] of [
  ['XDG_CACHE_HOME', 'caches', 'caches/tagseal'],
  ['HOME', '.', '.cache/tagseal'],
] as const) {
  await t.test(`${variable}=${value} does not have the current folder say what is run`, async (t) => {
    const folder = t.testdir()
    const absolute = { [variable]: join(folder, value) }
    t.equal(run(folder, { says: 'theirs', in: folder, env: absolute }), 'theirs')
    t.ok(existsSync(join(folder, at)))
    t.equal(run(folder, { says: 'mine..', in: folder, env: { [variable]: value } }), 'mine..')
  })
}

await t.test('an image that is named like an option does not say where what is run is kept', async (t) => {
  const folder = t.testdir()
  const env = { XDG_CACHE_HOME: join(folder, 'ours') }
  t.equal(run(folder, { says: 'theirs', in: folder, env, words: ['--home', 'named'] }), 'theirs')
  t.equal(run(folder, { says: 'mine..', in: folder, env, words: ['--home', 'named'] }), 'theirs', 'an option does')
  t.equal(run(folder, { says: 'mine..', in: folder, env, words: ['x', '--', '--home', 'named'] }), 'mine..')
})
