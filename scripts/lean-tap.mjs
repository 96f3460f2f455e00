/**
 * Loaded into tap before it starts (`node --import`): test files run without its recorder of loaded files and without
 * source maps.
 *
 * tap has every test file, and every program that one starts, note what it loads, for coverage and `--changed`, which
 * nobody asks for here. That took 0.4 s of processor for each of 280 test files and 0.1 to 0.2 s for each of some
 * thousand programs. tap has no option for it.
 */
import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'

const RECORDER = /^--import=.*@tapjs\/processinfo/
const spawn = childProcess.spawn

/** @type {(command: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv }) => unknown} */
childProcess.spawn = (command, args, options) => {
  if (!args.some((arg) => RECORDER.test(arg))) return spawn(command, args, options)
  const own = args.filter((arg) => !RECORDER.test(arg) && arg !== '--enable-source-maps')
  return spawn(command, own, { ...options, env: { ...options.env, NODE_OPTIONS: process.env.NODE_OPTIONS } })
}
syncBuiltinESMExports()
