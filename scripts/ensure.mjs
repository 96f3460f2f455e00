/**
 * Installs what a fresh clone lacks, once: the packages of the lockfile, the Node that runs the project, tap's plugins.
 *
 * Runs on whatever Node is there (18 or newer), with nothing but npm beside it. Silent and quick when nothing is
 * missing, so it stands before every command that needs the packages.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MODULES = join(ROOT, 'node_modules')
const LOCKFILE = join(ROOT, 'package-lock.json')
const NODE = join(MODULES, 'node', 'bin', 'node')
const BIN = join(MODULES, '.bin')
const LINK = join(BIN, 'node')
const TAP_STAMP = join(MODULES, '.tap-built')
const ADDON = join(MODULES, 'pkcs11js')
const ADDON_TRIED = join(MODULES, '.pkcs11js-failed')
const LOCK = join(ROOT, '.cache', 'ensure.lock')
const PATIENCE_MS = 600_000

if (!isComplete()) {
  takeLock()
  process.on('exit', () => rmSync(LOCK, { force: true }))
  ensurePackages()
  ensureNode()
  ensureTap()
  ensureAddon()
}

function isComplete() {
  return installedAsLocked() && existsSync(LINK) && tapStamp() === wantedTap() && !wantsAddon()
}

/** Two that install into one folder at once leave it half installed: the second waits, and finds nothing to do. */
function takeLock() {
  mkdirSync(dirname(LOCK), { recursive: true })
  for (const start = Date.now(); !createdLock(); sleep(200)) {
    removeDeadLock()
    if (Date.now() - start > PATIENCE_MS) fail(`another process installs for too long: see ${LOCK}`)
  }
}

/**
 * One at a time looks and removes: of two that saw the same dead owner, the slower one would remove the lock that the
 * faster one took since. Looking takes no second, so who has looked for ten is dead as well.
 */
function removeDeadLock() {
  const looking = `${LOCK}.looking`
  try {
    writeFileSync(looking, '', { flag: 'wx' })
  } catch {
    const since = statSync(looking, { throwIfNoEntry: false })?.mtimeMs
    if (since !== undefined && Date.now() - since > 10_000) rmSync(looking, { force: true })
    return
  }
  try {
    const owner = readIfThere(LOCK)
    if (owner !== undefined && !isRunning(Number(owner))) rmSync(LOCK, { force: true })
  } finally {
    rmSync(looking, { force: true })
  }
}

/** Linked into its place, so that nobody ever reads a lock whose owner is not written yet. */
function createdLock() {
  const mine = `${LOCK}.${process.pid}`
  writeFileSync(mine, String(process.pid))
  try {
    linkSync(mine, LOCK)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(mine)
  }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM' // somebody else's process, but a process
  }
}

function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

function ensurePackages() {
  if (!existsSync(MODULES)) {
    say('installing the packages of package-lock.json (npm ci), about half a minute, only this once')
    npm('ci')
  } else if (!installedAsLocked()) {
    say('the lockfile changed: bringing node_modules up to it (npm install)')
    npm('install', '--no-save')
  }
}

/** npm keeps a copy of the lockfile for what it really installed; packages for other platforms are missing there. */
function installedAsLocked() {
  const installed = packagesOf(join(MODULES, '.package-lock.json'))
  if (installed === undefined) return false
  return Object.entries(packagesOf(LOCKFILE) ?? {}).every(([path, { version, optional }]) => {
    if (path === '') return true
    return installed[path] === undefined ? optional === true : installed[path].version === version
  })
}

function packagesOf(lockfile) {
  try {
    return JSON.parse(readFileSync(lockfile, 'utf8')).packages
  } catch {
    return undefined
  }
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** The package `node` fetches its binary in an install script, and install scripts are off (.npmrc). */
function ensureNode() {
  if (existsSync(LINK)) return
  if (!existsSync(NODE)) {
    say('fetching the Node that this project runs on')
    const folder = join(MODULES, 'node')
    spawnSync(process.execPath, ['installArchSpecificPackage.js'], { cwd: folder, stdio: 'ignore' })
  }
  if (existsSync(NODE)) return link(relative(BIN, NODE))
  const major = Number(process.versions.node.split('.')[0])
  if (major < 24) fail('no Node 24 could be fetched for this platform: install it and run this again')
  link(process.execPath)
}

function link(target) {
  symlinkSync(target, LINK)
}

/** tap is generated from its list of plugins; done here, in one process, rather than in the first test run. */
function ensureTap() {
  if (tapStamp() === wantedTap()) return
  say('preparing tap')
  const { status, stdout, stderr } = spawnSync(join(BIN, 'tap'), ['build'], { cwd: ROOT, env: env() })
  if (status !== 0) fail(`tap build failed:\n${stdout}${stderr}`)
  writeFileSync(TAP_STAMP, wantedTap())
}

/**
 * pkcs11js is C++ that npm would compile in an install script, and install scripts are off (.npmrc). Three files, no
 * library beside libc and no header but Node-API's, which come as a package: the compiler is called directly (ADR 0020).
 * Without one, everything works but keys on tokens, and their tests say so.
 */
function ensureAddon() {
  if (!wantsAddon()) return
  say('compiling pkcs11js, for keys on PKCS#11 tokens')
  const addon = addonFile()
  mkdirSync(dirname(addon), { recursive: true })
  const options = { cwd: ADDON, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' }
  const { error, status, stderr } = spawnSync(process.env.CXX ?? 'c++', compilerArguments(`${addon}.new`), options)
  if (status === 0) return renameSync(`${addon}.new`, addon)
  const why = error === undefined ? stderr.split('\n')[0] : 'there is no C++ compiler'
  say(`keys on PKCS#11 tokens will not work here: ${why} (to try again: rm ${ADDON_TRIED})`)
  writeFileSync(ADDON_TRIED, '')
}

/** Where the platform has no such package, or compiling failed before, nothing is missing. */
function wantsAddon() {
  return existsSync(ADDON) && !existsSync(addonFile()) && !existsSync(ADDON_TRIED)
}

function addonFile() {
  return join(ADDON, 'build', 'Release', 'pkcs11.node')
}

/** What pkcs11js says in its binding.gyp. */
function compilerArguments(output) {
  const includes = ['includes', join(MODULES, 'node-api-headers', 'include')].map((path) => `-I${path}`)
  const defines = ['-DNAPI_DISABLE_CPP_EXCEPTIONS', '-DNODE_GYP_MODULE_NAME=pkcs11', '-DBUILDING_NODE_EXTENSION']
  const sources = ['dl.cpp', 'common.cpp', 'main.cpp'].map((name) => join('src', name))
  const linking = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
  return ['-O2', '-std=c++17', '-shared', '-fPIC', ...linking, ...defines, ...includes, ...sources, '-o', output]
}

function tapStamp() {
  return readIfThere(TAP_STAMP)
}

function wantedTap() {
  return readFileSync(join(ROOT, '.taprc'), 'utf8') + versionOf('tap') + versionOf('@tapjs/test')
}

function versionOf(name) {
  return JSON.parse(readFileSync(join(MODULES, name, 'package.json'), 'utf8')).version
}

function npm(...args) {
  try {
    execFileSync('npm', [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: ROOT,
      stdio: ['ignore', process.stderr, process.stderr],
    })
  } catch {
    fail(`npm ${args.join(' ')} failed: see its words above`)
  }
}

function env() {
  return { ...process.env, PATH: `${BIN}${delimiter}${process.env.PATH ?? ''}` }
}

function say(text) {
  process.stderr.write(`tagseal: ${text}\n`)
}

function fail(text) {
  say(text)
  process.exit(1)
}
