/**
 * `npm run build`: makes the `dist/` that is published. `node scripts/build.ts DIR` makes it elsewhere.
 *
 * - `dist/bin/`: what package.json names as programs: a check of Node's version, then the program.
 * - `dist/program/`: each program in one file. One file instead of two hundred takes 60 ms off every run of `tagseal`;
 *   CommonJS is what makes `node:http` cheap to load (ADR 0012).
 * - `dist/lib/`: the library as ES modules, with types.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import facts from '../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = resolve(process.argv[2] ?? join(ROOT, 'dist'))
const STAGING = `${DIST}.new`

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
 * What V8 compiled is kept for the next run, which saves 8 ms of 25. It is code, so it lies where the pins lie that say
 * whom to trust, or in this user's own cache; never in /tmp, where Node would put it, and never in another user's folder.
 */
const COMPILE_CACHE = `try {
  var fs = require('node:fs')
  var at = process.argv.indexOf('--home')
  var home = at > 0 ? process.argv[at + 1] : process.env.TAGSEAL_HOME
  var caches = process.env.XDG_CACHE_HOME || (process.env.HOME ? process.env.HOME + '/.cache' : undefined)
  var folder = home ? home + '/cache' : caches ? caches + '/tagseal' : undefined
  if (folder !== undefined) {
    fs.mkdirSync(folder, { recursive: true, mode: 448 })
    var found = fs.lstatSync(folder)
    var own = process.getuid === undefined || found.uid === process.getuid()
    if (own && found.isDirectory() && (found.mode & 18) === 0) require('node:module').enableCompileCache(folder)
  }
} catch {
  // Slower, and nothing else.
}
`

/** The server is started once and may take its packages from node_modules; `tagseal` carries them inside. */
const PROGRAMS = {
  tagseal: { entry: 'client/main.ts', format: 'cjs', packages: 'bundle' },
  'tagseal-server': { entry: 'server/main.ts', format: 'esm', packages: 'external' },
} as const

// Beside the old one and swapped in at the end: a program started meanwhile finds a whole build.
rmSync(STAGING, { recursive: true, force: true })
await Promise.all(Object.entries(PROGRAMS).map(([name, program]) => bundle(name, program)))
for (const [name, program] of Object.entries(PROGRAMS)) writeLauncher(name, program)
// By its file: started through its link, a `tsc` without suffix cannot be loaded below tap, which hooks into `require`.
const TSC = join(ROOT, 'node_modules/typescript/lib/tsc.js')
execFileSync(process.execPath, [TSC, '-p', 'tsconfig.build.json', '--outDir', join(STAGING, 'lib')], {
  cwd: ROOT,
  stdio: 'inherit',
})
rmSync(DIST, { recursive: true, force: true })
renameSync(STAGING, DIST)

type Program = (typeof PROGRAMS)[keyof typeof PROGRAMS]

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
    logLevel: 'warning',
  })
}

function fileOf(name: string, { format }: Program): string {
  return `${name}.${format === 'cjs' ? 'cjs' : 'mjs'}`
}

function writeLauncher(name: string, program: Program): void {
  const file = join(STAGING, 'bin', `${name}.cjs`)
  const start = program.format === 'cjs' ? `${COMPILE_CACHE}require` : 'import'
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${VERSION_CHECK}${start}('../program/${fileOf(name, program)}')\n`)
  chmodSync(file, 0o755)
}
