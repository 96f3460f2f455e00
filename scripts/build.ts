/**
 * `npm run build`: makes the `dist/` that is published.
 *
 * - `dist/bin/`: what package.json names as programs: a check of Node's version, then the program.
 * - `dist/program/`: each program in one CommonJS file. One file instead of a hundred halves the time to start, and
 *   CommonJS is what makes `node:http` cheap to load (ADR 0012).
 * - `dist/lib/`: the library as ES modules, with types.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import facts from '../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const STAGING = join(ROOT, 'dist.new')
const DIST = join(ROOT, 'dist')

/** Each program, its entry, and the packages it takes from node_modules rather than carrying them inside. */
const PROGRAMS = {
  tagseal: { entry: 'client/main.ts', external: [] },
  'tagseal-server': {
    entry: 'server/main.ts',
    external: ['better-sqlite3', 'fastify', 'pino', 'ajv', '@fastify/busboy'],
  },
} as const

// Beside the old one and swapped in at the end: a program started meanwhile finds a whole build.
rmSync(STAGING, { recursive: true, force: true })
await Promise.all(Object.entries(PROGRAMS).map(([name, program]) => bundle(name, program.entry, program.external)))
for (const name of Object.keys(PROGRAMS)) writeLauncher(name)
execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', join(STAGING, 'lib')], {
  cwd: ROOT,
  stdio: 'inherit',
})
rmSync(DIST, { recursive: true, force: true })
renameSync(STAGING, DIST)

async function bundle(name: string, entry: string, external: readonly string[]): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: join(STAGING, 'program', `${name}.cjs`),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${facts.engines.node.replace('>=', '')}`,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'eof',
    external: [...external],
    logLevel: 'warning',
  })
}

function writeLauncher(name: string): void {
  const file = join(STAGING, 'bin', `${name}.cjs`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, launcher(name))
  chmodSync(file, 0o755)
}

/** Readable by the oldest Node there is, because its first line is for that one. */
function launcher(name: string): string {
  const [major = '', minor = ''] = facts.engines.node.replace('>=', '').split('.')
  return `#!/usr/bin/env node
'use strict'
var version = process.versions.node.split('.').map(Number)
if (version[0] < ${major} || (version[0] === ${major} && version[1] < ${minor})) {
  console.error('error: Node ${major}.${minor} or newer is needed, and this is ' + process.version)
  process.exit(3)
}
require('../program/${name}.cjs')
`
}
