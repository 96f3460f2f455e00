/** `npm run coverage`: runs the tests of `tuf/` and `keys/`, and fails where a line of either was not reached. */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

const LAYERS = ['tuf', 'keys']
/** Files of types alone have no line that could run. */
const SOURCES = LAYERS.flatMap((layer) => globSync(`${layer}/**/*.ts`, { cwd: ROOT })).filter(hasCode)

const REPORT = ['--reporter', 'text', '--skip-full', '--temp-directory', '.tap/c8']
const LINES_ALONE = ['--lines', '100', '--statements', '0', '--functions', '0', '--branches', '0']
const included = SOURCES.flatMap((path) => ['--include', path])
const tests = LAYERS.map((layer) => `test/${layer}/**/*.test.ts`)

const c8 = ['--all', '--check-coverage', ...LINES_ALONE, ...REPORT, ...included]
const tap = ['tap', '--reporter=tap', '--disable-coverage', ...tests]
const { status } = spawnSync('c8', [...c8, ...tap], { cwd: ROOT, stdio: 'inherit' })
process.exitCode = status ?? 1

function hasCode(path: string): boolean {
  return transformSync(readFileSync(join(ROOT, path), 'utf8'), { loader: 'ts' }).code.trim() !== ''
}
