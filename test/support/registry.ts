import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type BuiltImage, type BuiltIndex, everythingOf, type Stored, topOf } from './images.ts'

/** A running `docker-registry` (CNCF distribution) with its own temporary folder. */
export type TestRegistry = {
  /** `127.0.0.1:40001`: the first part of image names. */
  readonly host: string
  readonly url: string
  /** The `Authorization` that pushing needs, where the registry asks for one. */
  readonly authorization: string | undefined
  /** Where it keeps its files, for tests that damage them. */
  readonly storage: string
  /** Ends the process and removes its folder. */
  readonly stop: () => Promise<void>
}

export type TestRegistryOptions = {
  /** Ask for `TEST_LOGIN` by Basic authentication. */
  readonly login?: boolean
  /** Any free one otherwise. */
  readonly port?: number
  /** PEM files to speak TLS with. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Where to send clients for a token, and whose signature the token must have. */
  readonly token?: {
    readonly realm: string
    readonly service: string
    readonly issuer: string
    readonly bundle: string
  }
}

export const TEST_LOGIN = { username: 'ci', password: 'correct horse' } as const
/** bcrypt of the password above, of the smallest cost that there is. */
const HTPASSWD = 'ci:$2b$04$MBIgL67aid5kK/BOohchFuVbcm4qola8ECFifI.IinmGmtnVxTG3i\n'
const PROGRAM = 'docker-registry'
const run = promisify(execFile)

/** Why there is no real registry here; undefined where there is one. Tests pass it to `skip`. */
export async function whyNoRegistry(): Promise<string | undefined> {
  return (await succeeds(PROGRAM))
    ? undefined
    : `SKIPPED: ${PROGRAM} is not installed (apt-get install docker-registry)`
}

export async function whyNoSkopeo(): Promise<string | undefined> {
  return (await succeeds('skopeo')) ? undefined : 'SKIPPED: skopeo is not installed (apt-get install skopeo)'
}

async function succeeds(program: string): Promise<boolean> {
  try {
    await run(program, ['--version'])
    return true
  } catch {
    return false
  }
}

/** Starts one on a free port of 127.0.0.1. The caller stops it. */
export async function startRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const dir = await mkdtemp(join(tmpdir(), 'tagseal-registry-'))
  const storage = join(dir, 'storage')
  await writeFile(join(dir, 'htpasswd'), HTPASSWD)
  await writeFile(join(dir, 'config.json'), JSON.stringify(configOf(dir, storage, options))) // JSON is YAML
  const child = spawn(PROGRAM, ['serve', join(dir, 'config.json')], { stdio: ['ignore', 'ignore', 'pipe'] })
  const stop = async () => {
    await end(child)
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const host = await listening(child)
    const authorization = options.login === true ? basic(TEST_LOGIN) : undefined
    return { host, url: `${options.tls === undefined ? 'http' : 'https'}://${host}`, authorization, storage, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

export function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function configOf(dir: string, storage: string, { login, port = 0, tls, token }: TestRegistryOptions): object {
  const http = {
    addr: `127.0.0.1:${port}`,
    ...(tls === undefined ? {} : { tls: { certificate: tls.cert, key: tls.key } }),
  }
  const htpasswd = { htpasswd: { realm: 'the "test", registry', path: join(dir, 'htpasswd') } }
  const auth = token === undefined ? htpasswd : { token: { ...token, bundle: undefined, rootcertbundle: token.bundle } }
  return {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
    http,
    ...(login === true || token !== undefined ? { auth } : {}),
  }
}

/** The registry logs the port it got. */
async function listening(child: ChildProcess): Promise<string> {
  if (child.stderr === null) throw new Error('no stderr')
  const seen: string[] = []
  const lines = createInterface({ input: child.stderr })
  for await (const line of lines) {
    seen.push(line)
    const [, host] = /listening on (127\.0\.0\.1:\d+)/.exec(line) ?? []
    if (host !== undefined) {
      child.stderr.resume() // a full pipe would stop it
      return host
    }
  }
  throw new Error(`docker-registry did not start:\n${seen.join('\n')}`)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

/** Pushes everything an image consists of through the registry's own API, manifests last, and tags the top. */
export async function pushImage(
  registry: TestRegistry,
  repository: string,
  tag: string,
  built: BuiltImage | BuiltIndex,
): Promise<Stored> {
  const all = [...everythingOf(built)].reverse()
  for (const content of all) {
    if (isManifest(content)) await putManifest(registry, repository, content.digest, content)
    else await putBlob(registry, repository, content)
  }
  await putManifest(registry, repository, tag, topOf(built))
  return topOf(built)
}

function isManifest({ mediaType }: Stored): boolean {
  return /(?:\.manifest\.|\.index\.|manifest\.list)/.test(mediaType)
}

export async function putManifest(
  registry: TestRegistry,
  repository: string,
  name: string,
  content: Stored,
): Promise<void> {
  const url = `${registry.url}/v2/${repository}/manifests/${name}`
  await send(registry, 'PUT', url, 201, content.bytes, content.mediaType)
}

export async function putBlob(registry: TestRegistry, repository: string, content: Stored): Promise<void> {
  const opened = await send(registry, 'POST', `${registry.url}/v2/${repository}/blobs/uploads/`, 202)
  const location = new URL(opened.headers.get('location') ?? '', registry.url)
  location.searchParams.set('digest', content.digest)
  await send(registry, 'PUT', location.href, 201, content.bytes)
}

export async function deleteFrom(
  registry: TestRegistry,
  repository: string,
  kind: 'manifests' | 'blobs',
  digest: string,
): Promise<void> {
  await send(registry, 'DELETE', `${registry.url}/v2/${repository}/${kind}/${digest}`, 202)
}

async function send(
  { authorization }: TestRegistry,
  method: string,
  url: string,
  status: number,
  body?: Uint8Array,
  type = 'application/octet-stream',
): Promise<Response> {
  const headers = { 'content-type': type, ...(authorization === undefined ? {} : { authorization }) }
  const payload = body === undefined ? {} : { body: new Blob([new Uint8Array(body)]) }
  const response = await fetch(url, { method, headers, ...payload })
  const text = await response.text()
  if (response.status !== status) throw new Error(`${method} ${url} answered ${response.status}: ${text}`)
  return response
}

/** Copies an image with skopeo, as a pipeline would: `from` and `to` as skopeo writes them. */
export async function skopeoCopy(from: string, to: string, ...more: string[]): Promise<void> {
  await run('skopeo', [
    '--insecure-policy',
    'copy',
    '--all',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    ...more,
    from,
    to,
  ])
}
