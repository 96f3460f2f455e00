/**
 * Starts a program of this project from a checkout, on whatever Node calls it.
 *
 * A Node too old for us hands over to the one that `npm ci` brought. In a clone the sources run, so that a stale build
 * never does; TAGSEAL_DIST=1 asks for the build. A published package has no sources and no part in this: its programs
 * are those in dist/bin/.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NEEDED = [22, 19]
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * @param {string} program its name in dist/bin/
 * @param {string} source its entry among the sources
 */
export function launch(program, source) {
  const built = fileURLToPath(new URL(`../dist/bin/${program}.cjs`, import.meta.url))
  const entry = fileURLToPath(new URL(`../${source}`, import.meta.url))
  const file = existsSync(built) && (process.env.TAGSEAL_DIST === '1' || !existsSync(entry)) ? built : entry
  if (file === entry && !isInstalled()) refuseBareClone()
  else if (recentEnough()) start(file)
  else handOver(file)
}

/** After a pull a package may be missing that is new, and what loads it would end with a stack trace. */
function isInstalled() {
  if (!existsSync(new URL('../node_modules', import.meta.url))) return false
  const { dependencies } = createRequire(import.meta.url)('../package.json')
  return Object.keys(dependencies).every((name) => existsSync(new URL(`../node_modules/${name}`, import.meta.url)))
}

function refuseBareClone() {
  console.error('error: the packages that this clone needs are not installed')
  console.error('hint: node scripts/ensure.mjs installs them, once')
  process.exitCode = 3
}

/** @param {string} file */
function start(file) {
  if (file.endsWith('.cjs')) createRequire(import.meta.url)(file)
  else void import(pathToFileURL(file).href)
}

function recentEnough() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

/** @param {string} file */
function handOver(file) {
  const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))
  if (!existsSync(node)) {
    console.error(`error: Node ${NEEDED.join('.')} or newer is needed, and this is ${process.version}`)
    console.error('hint: node scripts/ensure.mjs fetches one beside this project')
    process.exitCode = 3
    return
  }
  const child = spawn(node, [file, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0)
    process.exit()
  })
}
