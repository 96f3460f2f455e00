import { execFile } from 'node:child_process'
import { type Credential, Secret } from './credentials.ts'
import { withoutOurs } from '../settings.ts'
import { RegistryError } from './errors.ts'
import { parseStrictJson } from './json.ts'
import { isJsonObject, type Json, member } from '../../tuf/model/json.ts'

export type HelperSettings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** A helper may ask the user to unlock a keychain, so this is long. */
  readonly milliseconds: number
  readonly maxBytes: number
}

export const HELPER_DEFAULTS = { milliseconds: 60_000, maxBytes: 64 * 1024 } as const

/**
 * Asks `docker-credential-NAME get` for one server's login: the server's name on stdin, JSON on stdout.
 * undefined where the helper knows none.
 */
export async function askHelper(
  name: string,
  server: string,
  file: string,
  settings: HelperSettings,
  signal?: AbortSignal,
): Promise<Credential | undefined> {
  const helper = `docker-credential-${name}`
  // The name becomes part of a program's name: nothing in it may lead out of PATH.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new RegistryError('CREDENTIALS_MALFORMED', { file, why: 'the name of the credential helper is no name' })
  }
  const answer = await run(helper, server, file, settings, signal)
  return answer === undefined ? undefined : readAnswer(helper, answer)
}

type Output = Promise<string | undefined>

async function run(
  helper: string,
  server: string,
  file: string,
  settings: HelperSettings,
  signal?: AbortSignal,
): Output {
  try {
    return await output(helper, server, file, settings, signal)
  } catch (error) {
    signal?.throwIfAborted() // the caller's own reason goes before what came of it
    throw error
  }
}

/** stderr is not passed on: nobody promises that it holds no secret. */
function output(helper: string, server: string, file: string, settings: HelperSettings, signal?: AbortSignal): Output {
  const options = {
    env: withoutOurs(settings.environment),
    timeout: settings.milliseconds,
    maxBuffer: settings.maxBytes,
    killSignal: 'SIGKILL',
    windowsHide: true,
    encoding: 'utf8',
    ...(signal === undefined ? {} : { signal }),
  } as const
  return new Promise((resolve, reject) => {
    const child = execFile(helper, ['get'], options, (error, stdout) => {
      if (error === null) resolve(stdout)
      else if (knowsNone(stdout)) resolve(undefined)
      else reject(failure(helper, file, error))
    })
    child.stdin?.on('error', () => child.stdin?.destroy()) // a helper that ends without reading tells us by its code
    child.stdin?.end(`${server}\n`)
  })
}

/** The only way the protocol has of saying "none": this sentence on stdout, and a code other than 0. */
function knowsNone(stdout: string): boolean {
  return /^(?:credentials not found in native keychain|no credentials server URL|no credentials username)/.test(stdout)
}

function failure(helper: string, file: string, error: Error & { code?: unknown; killed?: boolean }): RegistryError {
  if (error.code === 'ENOENT') return new RegistryError('CREDENTIAL_HELPER_MISSING', { helper, file })
  return new RegistryError('CREDENTIAL_HELPER_FAILED', { helper, why: reason(error) })
}

function reason(error: Error & { code?: unknown; killed?: boolean }): string {
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'it printed too much'
  if (error.killed === true) return 'it took too long'
  return typeof error.code === 'number' ? `it ended with code ${error.code}` : `it did not run (${String(error.code)})`
}

function readAnswer(helper: string, output: string): Credential {
  const answer = readJson(helper, output)
  const username = isJsonObject(answer) ? member(answer, 'Username') : undefined
  const secret = isJsonObject(answer) ? member(answer, 'Secret') : undefined
  if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') {
    throw new RegistryError('CREDENTIAL_HELPER_FAILED', { helper, why: 'its answer has no Username and Secret' })
  }
  if (username === '<token>') return { kind: 'identity', token: new Secret(secret) }
  return { kind: 'basic', username, password: new Secret(secret) }
}

/** A parser's message may quote the text, and the text is a secret: only the fact is passed on. */
function readJson(helper: string, output: string): Json {
  try {
    return parseStrictJson(new TextEncoder().encode(output))
  } catch {
    throw new RegistryError('CREDENTIAL_HELPER_FAILED', { helper, why: 'its answer is no JSON' })
  }
}
