/**
 * Runs a built program with what V8 compiled for it before, which takes a third off a short run.
 *
 * Node's own compile cache keeps what was compiled when a file was loaded; this one keeps what a whole run came to need,
 * so it is made at the end of one, for each command its own. It is code, so it lies where the pins lie that say whom to
 * trust, or in this user's own cache; never in /tmp, and never in another user's folder. V8 tells one source from
 * another by its length alone: hence the build in the name; and a checksum tells a damaged file.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import type { Stats } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'
import { Script } from 'node:vm'
import { hash } from '../keys/digest.ts'
import { ensureFolder } from '../keys/folder.ts'

export type BuiltProgram = {
  /** Carries every command. One file, a function of what a CommonJS module is given; so is the other. */
  readonly whole: string
  /** Carries a few commands that run so often that reading all others along would be noticed. */
  readonly quick: string
  /** Tells this build from every other. */
  readonly build: string
  /** The words that name a command. */
  readonly commands: readonly string[]
  /** Those of the quick one. */
  readonly quickCommands: readonly string[]
}

const OTHERS_MAY_WRITE = 0o022
const SUM_LENGTH = 64

/** Runs the program as a module. A cache that cannot be used costs time and nothing else. */
export function runProgram(built: BuiltProgram): void {
  const { build } = built
  const { file, name } = choose(process.argv.slice(2), built)
  // Node then reads those authorities in a thread, as soon as TLS is loaded, and the first connection waits for it.
  if (file === built.quick && process.env['NODE_EXTRA_CA_CERTS']) process.getBuiltinModule('node:tls')
  const kept = keptFile(build, name)
  const cachedData = kept === undefined ? undefined : readKept(kept)
  const script = new Script(readFileSync(file, 'latin1'), {
    filename: file,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  if (kept !== undefined && (cachedData === undefined || script.cachedDataRejected === true)) {
    const wasThere = existsSync(kept)
    process.on('exit', () => {
      if (!wasThere && existsSync(kept)) return // of many that start at once, one is enough
      writeKept(kept, script.createCachedData(), build)
    })
  }
  const program: unknown = script.runInThisContext()
  const module = { exports: {} }
  // What makes a real `require` is not cheap, and few runs load anything but what Node brings along.
  const load = (id: string): unknown => process.getBuiltinModule(id) ?? createRequire(file)(id)
  const given = [module.exports, load, module, file, dirname(file)]
  if (typeof program === 'function') Reflect.apply(program, module.exports, given)
}

/** For the tests, which share Node's own cache of compiled code: the same choice, and the file as a module. */
export function requireProgram(built: BuiltProgram): void {
  createRequire(built.whole)(choose(process.argv.slice(2), built).file)
}

/**
 * The quick program where no other command can be meant, whatever the options and their values are: no other is named.
 * `name` is for what is kept of this file in a run of this command.
 */
export function choose(
  argv: readonly string[],
  { whole, quick, commands, quickCommands }: Omit<BuiltProgram, 'build'>,
): { readonly file: string; readonly name: string } {
  const [named, ...others] = commands.filter((name) => argv.includes(name))
  if (named === undefined) return { file: whole, name: 'other' }
  return others.length === 0 && quickCommands.includes(named)
    ? { file: quick, name: named }
    : { file: whole, name: `whole-${named}` }
}

/** undefined where there is no folder that is this user's alone. */
function keptFile(build: string, name: string): string | undefined {
  try {
    const folder = keptFolder()
    if (folder === undefined) return undefined
    ensureFolder(folder)
    const found = lstatSync(folder)
    if (!isOurs(found) || !found.isDirectory()) return undefined
    return join(folder, `${build}-${process.version}-${process.arch}-${name}.v8`)
  } catch {
    return undefined
  }
}

function isOurs({ uid, mode }: Stats): boolean {
  return (process.getuid === undefined || uid === process.getuid()) && (mode & OTHERS_MAY_WRITE) === 0
}

/** A relative one would have the current folder say what is run. */
function keptFolder(): string | undefined {
  const end = process.argv.indexOf('--') // what follows is no option
  const options = end < 0 ? process.argv : process.argv.slice(0, end)
  const at = options.indexOf('--home')
  const home = at > 0 ? options[at + 1] : process.env['TAGSEAL_HOME']
  if (home) return join(home, 'cache')
  const { XDG_CACHE_HOME, HOME } = process.env
  if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'tagseal')
  return HOME && isAbsolute(HOME) ? join(HOME, '.cache', 'tagseal') : undefined
}

/** Whoever owns a folder above ours may put another one in its place after we looked: the file itself has to be ours. */
function readKept(path: string): Buffer | undefined {
  try {
    const bytes = readOurs(path)
    const data = bytes.subarray(SUM_LENGTH)
    return hash('sha256', data) === bytes.toString('latin1', 0, SUM_LENGTH) ? data : undefined
  } catch {
    return undefined
  }
}

function readOurs(path: string): Buffer {
  const file = openSync(path, 'r')
  try {
    if (!isOurs(fstatSync(file))) throw new Error('it is not ours')
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

function writeKept(path: string, data: Buffer, build: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, Buffer.concat([Buffer.from(hash('sha256', data)), data]), { flag: 'wx', mode: 0o600 })
    renameSync(temporary, path)
    removeOthers(dirname(path), build)
  } catch {
    rmSync(temporary, { force: true })
  }
}

/** What other builds left. */
function removeOthers(folder: string, build: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(build) && /\.(?:v8|tmp)$/.test(name)) rmSync(join(folder, name), { force: true })
  }
}
