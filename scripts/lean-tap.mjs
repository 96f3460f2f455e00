/**
 * Loaded into tap before it starts (`node --import`): test files run without its recorder of loaded files and without
 * source maps, get tap itself in one file, and have their temporary files in memory.
 *
 * tap has every test file, and every program that one starts, note what it loads, for coverage and `--changed`, which
 * nobody asks for here. That took 0.4 s of processor for each of 280 test files and 0.1 to 0.2 s for each of some
 * thousand programs. tap has no option for it. And it is made of two hundred and fifty files, which each test file
 * loaded: another 0.1 s.
 */
import childProcess from 'node:child_process'
import { renameSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { temporaryFolderOf } from './tests-in-memory.mjs'

const MODULES = new URL('../node_modules/', import.meta.url)
const RECORDER = /^--import=.*@tapjs\/processinfo/
const TAKES_ONE_FILE = `--import=${new URL('tap-in-one-file.mjs', import.meta.url).href}`
/** Where tap knows it for a part of itself, and leaves it out of the stacks that it shows. */
const ONE_FILE = fileURLToPath(new URL('.cache/node_modules/@tapjs/tap.mjs', MODULES))

await makeOneFile()
const spawn = childProcess.spawn

/** @type {(command: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv }) => unknown} */
childProcess.spawn = (command, args, options) => {
  if (!args.some((arg) => RECORDER.test(arg))) return spawn(command, args, options)
  const own = args.filter((arg) => !RECORDER.test(arg) && arg !== '--enable-source-maps')
  const env = { ...options.env, ...temporaryFolderOf(own), NODE_OPTIONS: process.env.NODE_OPTIONS }
  return spawn(command, [TAKES_ONE_FILE, ...own], { ...options, env })
}
syncBuiltinESMExports()

/** Each time, so that it is never that of another version; and at once, for tests may run twice beside each other. */
async function makeOneFile() {
  const unfinished = `${ONE_FILE}.${process.pid}`
  await build({
    entryPoints: [fileURLToPath(import.meta.resolve('tap'))],
    outfile: unfinished,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // For what is CommonJS in it.
    banner: { js: "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);" },
    logLevel: 'warning',
  })
  renameSync(unfinished, ONE_FILE)
}
