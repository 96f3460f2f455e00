/**
 * The programs that tests start: what `npm test` built of the sources when it began, which starts in half the time; for
 * a file that is run alone the sources themselves. Neither is ever stale.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BUILT = process.env['TAGSEAL_TESTED']

export const TAGSEAL = BUILT ? join(BUILT, 'bin/tagseal.cjs') : join(ROOT, 'client/main.ts')
export const TAGSEAL_SERVER = BUILT ? join(BUILT, 'bin/tagseal-server.cjs') : join(ROOT, 'server/main.ts')

/** For programs that are given nothing of whoever runs the tests: what V8 compiled for the ones before. */
export const COMPILED: Readonly<Record<string, string>> = process.env['NODE_COMPILE_CACHE']
  ? { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }
  : {}
