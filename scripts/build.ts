/**
 * `npm run build`: makes the `dist/` that is published. `node scripts/build.ts DIR` makes it elsewhere, and with
 * `--for-tests` the programs alone, for `npm test`: prints the folder, which is named after what is in it.
 *
 * - `dist/bin/`: what package.json names as programs: a check of Node's version, then the program, with what V8
 *   compiled for it before.
 * - `dist/program/`: each program in one file. One file instead of two hundred takes 60 ms off every run of `tagseal`;
 *   CommonJS is what makes `node:http` cheap to load (ADR 0012). `tagseal` is there a second time with the few commands
 *   that run most.
 * - `dist/lib/`: the library as ES modules, with types.
 */
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import * as childProcess from 'node:child_process'
import * as dns from 'node:dns'
import * as promises from 'node:fs/promises'
import * as net from 'node:net'
import * as tty from 'node:tty'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Plugin } from 'esbuild'
import { COMMANDS } from '../client/commands/table.ts'
import facts from '../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOR_TESTS = process.argv[2] === '--for-tests'
const FOR_TESTS_IN = join(ROOT, '.cache', 'tested')
const KEPT_FOR_TESTS = 4
const DIST = resolve(process.argv[2] ?? join(ROOT, 'dist'))
const STAGING = FOR_TESTS ? join(FOR_TESTS_IN, `new-${process.pid}`) : `${DIST}.new`

const NEEDED = facts.engines.node.replace('>=', '')
const [MAJOR = '', MINOR = ''] = NEEDED.split('.')

/** Readable by the oldest Node there is, because it is for that one. */
const VERSION_CHECK = `#!/usr/bin/env node
'use strict'
var version = process.versions.node.split('.').map(Number)
if (version[0] < ${MAJOR} || (version[0] === ${MAJOR} && version[1] < ${MINOR})) {
  console.error('error: Node ${NEEDED} or newer is needed, and this is ' + process.version)
  process.exit(3)
}
`

/**
 * What a run rarely needs is loaded when it is needed: commander wants `node:child_process` for subcommands that are
 * programs of their own, of which we have none; `node:fs/promises` brings watchers and line editing along. Together
 * they would take 6 ms of every run.
 */
const LAZY = {
  'node:child_process': childProcess,
  'node:dns': dns,
  'node:fs/promises': promises,
  'node:net': net,
  'node:tty': tty,
}
/** What commander imports as one thing. Else all that is in it is copied into another, one by one, at every start. */
const WHOLE: ReadonlySet<string> = new Set(['node:fs', 'node:path', 'node:process'])
const LAZY_BUILTINS: Plugin = {
  name: 'lazy-builtins',
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path, importer }) => {
      const isCommander = importer.includes('/node_modules/commander/')
      if (isCommander && path === 'node:child_process') return { path: 'nothing', namespace: 'lazy' }
      if (isCommander && WHOLE.has(path)) return { path, namespace: 'whole' }
      return Object.hasOwn(LAZY, path) ? { path, namespace: 'lazy' } : undefined
    })
    build.onLoad({ filter: /^nothing$/, namespace: 'lazy' }, () => ({ contents: 'export default {}' }))
    build.onLoad({ filter: /^node:/, namespace: 'whole' }, ({ path }) => ({
      contents: `export default process.getBuiltinModule('${path}')`,
    }))
    build.onLoad({ filter: /^node:/, namespace: 'lazy' }, ({ path }) => ({ contents: forwarding(path) }))
  },
}

/**
 * Parts of `tagseal` that few of its commands want, in files of their own: half a megabyte of program is read and checked
 * at every start. They carry a second copy of what they share with it, errors among that: whoever catches one of theirs
 * goes by its name and code, as `client/exit.ts` does, and not by its class.
 */
const APART: Readonly<Record<string, string>> = {
  'client/policy/policy.ts': 'tagseal-policy.cjs',
  'client/gateway/serve.ts': 'tagseal-gateway.cjs',
  'client/admission/serve.ts': 'tagseal-admission.cjs',
  'client/admission/manifests.ts': 'tagseal-manifests.cjs',
  'client/doctor/main.ts': 'tagseal-doctor.cjs',
  'client/pinning/pin.ts': 'tagseal-pin.cjs',
  'client/verifier/verify.ts': 'tagseal-verifier.cjs',
  'client/verifier/serve.ts': 'tagseal-agent.cjs',
}
const LOADED_APART: Plugin = {
  name: 'loaded-apart',
  setup(build) {
    build.onResolve({ filter: /\.ts$/ }, ({ path, resolveDir, kind }) => {
      const file = APART[relative(ROOT, resolve(resolveDir, path))]
      return kind === 'dynamic-import' && file !== undefined ? { path: file, namespace: 'apart' } : undefined
    })
    build.onLoad({ filter: /./, namespace: 'apart' }, ({ path }) => ({
      contents: `module.exports = require('./${path}')`,
    }))
    build.onResolve({ filter: /./, namespace: 'apart' }, ({ path }) => ({ path, external: true }))
  },
}

const BUNDLED = [LOADED_APART, LAZY_BUILTINS]

/**
 * What a pipeline runs once per build, and whoever pulls once per image: a program of their own carries them alone, which
 * takes a twelfth off each run. It is started where no argument names another command (`client/kept-code.ts`).
 */
const QUICK = ['sign', 'verify', 'pull']
const QUICK_ALONE: Plugin = {
  name: 'quick-alone',
  setup(build) {
    build.onResolve({ filter: /\.ts$/ }, ({ path, importer, kind }) => {
      const isCommand = kind === 'dynamic-import' && relative(ROOT, importer) === 'client/commands/table.ts'
      return isCommand && !QUICK.some((name) => path === `./${name}.ts`) ? { path, namespace: 'elsewhere' } : undefined
    })
    build.onLoad({ filter: /./, namespace: 'elsewhere' }, ({ path }) => ({
      contents: `throw new Error('${path} is not part of this program')`,
    }))
  },
}

/** A module whose functions and classes load the real one when they are called. */
function forwarding(path: string): string {
  const builtin = new Map<string, object>(Object.entries(LAZY)).get(path) ?? {}
  const functions = Object.entries(builtin).filter(([name, value]) => typeof value === 'function' && name !== 'default')
  const lines = functions.map(
    ([name]) => `export function ${name}(...given) {
      const real = process.getBuiltinModule('${path}').${name}
      return new.target === undefined ? real(...given) : new real(...given)
    }`,
  )
  return [...lines, ...('constants' in builtin ? ["export { constants } from 'node:fs'"] : [])].join('\n')
}

/** The launcher calls it with a module of its own. */
const WRAPPER = ['(function (exports, require, module, __filename, __dirname) {', '})'] as const

/**
 * Run as a script, which may call `require` but has no `import()`. For the tests it is a module: they share Node's own
 * cache of compiled code, where each of their many homes would begin one for each command.
 */
const AS_SCRIPT = {
  ...(FOR_TESTS ? {} : { banner: { js: WRAPPER[0] }, footer: { js: WRAPPER[1] } }),
  supported: { 'dynamic-import': false },
}

/** The server is started once and may take its packages from node_modules; `tagseal` carries them inside. */
const PROGRAMS = {
  tagseal: { entry: 'client/main.ts', format: 'cjs', packages: 'bundle' },
  'tagseal-server': { entry: 'server/main.ts', format: 'esm', packages: 'external' },
} as const

/** Started by a program, never by a user: no launcher. */
const HELPERS = {
  'tagseal-quick': { entry: 'client/main.ts', format: 'cjs', packages: 'bundle', plugins: [QUICK_ALONE] },
  'tagseal-server-reader': { entry: 'server/readers/main.ts', format: 'esm', packages: 'external' },
} as const

// Beside the old one and swapped in at the end: a program started meanwhile finds a whole build.
rmSync(STAGING, { recursive: true, force: true })
await Promise.all([
  ...Object.entries({ ...PROGRAMS, ...HELPERS }).map(([name, program]) => bundle(name, program)),
  ...Object.entries(APART).map(([entry, file]) => bundleCommonJs(entry, join('program', file))),
  bundleCommonJs('client/kept-code.ts', join('bin', 'kept-code.cjs')),
])
for (const [name, program] of Object.entries(PROGRAMS)) writeLauncher(name, program)
if (FOR_TESTS) console.log(keepForTests())
else {
  writeLibrary()
  rmSync(DIST, { recursive: true, force: true })
  renameSync(STAGING, DIST)
}

type Program = (typeof PROGRAMS)[keyof typeof PROGRAMS] | (typeof HELPERS)[keyof typeof HELPERS]

async function bundle(name: string, program: Program): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [program.entry],
    outfile: join(STAGING, 'program', fileOf(name, program)),
    bundle: true,
    platform: 'node',
    format: program.format,
    target: `node${NEEDED}`,
    minify: true,
    legalComments: 'eof',
    packages: program.packages,
    external: ['pkcs11js'], // native code, which cannot be carried inside (ADR 0020)
    ...(program.format === 'cjs' ? AS_SCRIPT : {}),
    plugins: [...('plugins' in program ? program.plugins : []), ...(program.packages === 'bundle' ? BUNDLED : [])],
    logLevel: 'warning',
  })
  if (program.format === 'cjs' && !FOR_TESTS) keepOutsideHeap(join(STAGING, 'program', fileOf(name, program)))
}

/**
 * A text of a megabyte stays where Node read it into; a shorter one is copied into the part of V8's heap that is tidied up
 * first, which then is a run more often. Spaces cost nothing of the kind: two hundredths of a short run are saved.
 */
function keepOutsideHeap(file: string): void {
  const missing = 1024 * 1024 - statSync(file).size
  if (missing > 0) appendFileSync(file, ' '.repeat(missing))
}

/** What a launcher does once Node is new enough. */
function startOf(file: string, { format }: Program): string {
  if (format === 'esm') return `import('../program/${file}')\n`
  const files = [file, 'tagseal-quick.cjs']
  const build = createHash('sha256')
  for (const name of files) build.update(readFileSync(join(STAGING, 'program', name)))
  const [whole, quick] = files.map((name) => `require('node:path').join(__dirname, '../program/${name}')`)
  return `require('./kept-code.cjs').${FOR_TESTS ? 'requireProgram' : 'runProgram'}({
  whole: ${whole},
  quick: ${quick},
  build: '${build.digest('hex').slice(0, 16)}',
  commands: ${JSON.stringify(Object.keys(COMMANDS))},
  quickCommands: ${JSON.stringify(QUICK)}
})\n`
}

/** What is loaded before the program, or after it, and so in a file of its own. */
async function bundleCommonJs(entry: string, file: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: join(STAGING, file),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${NEEDED}`,
    minify: true,
    legalComments: 'eof',
    logLevel: 'warning',
  })
}

function fileOf(name: string, { format }: Program): string {
  return `${name}.${format === 'cjs' ? 'cjs' : 'mjs'}`
}

function writeLauncher(name: string, program: Program): void {
  const file = join(STAGING, 'bin', `${name}.cjs`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, VERSION_CHECK + startOf(fileOf(name, program), program))
  chmodSync(file, 0o755)
}

function writeLibrary(): void {
  // By its file: started through its link, a `tsc` without suffix cannot be loaded below tap, which hooks into `require`.
  const tsc = join(ROOT, 'node_modules/typescript/lib/tsc.js')
  childProcess.execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(STAGING, 'lib')], {
    cwd: ROOT,
    stdio: 'inherit',
  })
}

/**
 * Two runs of the tests at once find each what its sources were when it began: nothing is built over. The newest few
 * stay, and what was compiled of them with them.
 */
function keepForTests(): string {
  const sum = createHash('sha256')
  // The launcher among them: it says which program is run.
  for (const part of ['bin', 'program']) {
    for (const name of readdirSync(join(STAGING, part)).sort()) {
      sum.update(name).update(readFileSync(join(STAGING, part, name)))
    }
  }
  const folder = join(FOR_TESTS_IN, sum.digest('hex').slice(0, 16))
  if (existsSync(folder)) rmSync(STAGING, { recursive: true })
  else renameSync(STAGING, folder)
  utimesSync(folder, new Date(), new Date())
  removeOldest()
  return folder
}

function removeOldest(): void {
  const age = (name: string) => statSync(join(FOR_TESTS_IN, name), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const names = readdirSync(FOR_TESTS_IN).sort((a, b) => age(b) - age(a))
  for (const name of names.slice(KEPT_FOR_TESTS)) rmSync(join(FOR_TESTS_IN, name), { recursive: true, force: true })
}
