import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findDockerClients } from './docker-client.ts'
import type { DockerClient } from './docker-client.ts'
import { tryDockerd } from './dockerd.ts'
import type { TestDockerd } from './dockerd.ts'
import { runProgram } from './program.ts'
import type { ProgramOptions, Ran } from './program.ts'
import { startRegistry, whyNoRegistry } from './registry.ts'
import type { TestRegistry } from './registry.ts'
import { startServer } from './server.ts'
import type { TestServer, TestServerOptions } from './server.ts'
import { makeCertificate } from './tls.ts'
import type { TestCertificate } from './tls.ts'

/** A trust server that docker can talk to: it insists on https. */
export type TrustServer = { readonly url: string; readonly stop: () => Promise<void> }

/** Somebody with docker keys and a docker cache of their own, and content trust on unless a command turns it off. */
export type DockerUser = {
  /** `DOCKER_CONFIG`: keys and what was seen are in `trust` below it. */
  readonly config: string
  readonly docker: (args: readonly string[], options?: ProgramOptions) => Promise<Ran>
}

/** A registry, a trust server, one daemon, and people who use them. */
export type DockerTown<S extends TrustServer = TrustServer> = {
  readonly registry: TestRegistry
  readonly server: S
  readonly certificate: TestCertificate
  /** The password is what docker sends, under that name, to a trust server that asks. */
  readonly user: (name: string, password?: string) => Promise<DockerUser>
  /** The `notary` command on somebody's docker keys and cache. */
  readonly notary: (user: DockerUser, args: readonly string[], options?: ProgramOptions) => Promise<Ran>
  /** Makes an image that prints `text` when it is run. Nothing is pushed. */
  readonly make: (image: string, text: string) => Promise<void>
  readonly close: () => Promise<void>
}

const PASSPHRASES = {
  DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE: 'dctroot123',
  DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: 'dctrepo123',
} as const
const NOTARY = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  NOTARY_ROOT_PASSPHRASE: PASSPHRASES.DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE,
  NOTARY_TARGETS_PASSPHRASE: PASSPHRASES.DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE,
  NOTARY_SNAPSHOT_PASSPHRASE: PASSPHRASES.DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE,
  NOTARY_DELEGATION_PASSPHRASE: PASSPHRASES.DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE,
} as const
export const UNTRUSTED = { env: { DOCKER_CONTENT_TRUST: '0' } } as const

/** docker 29 verifies nothing on pull. */
const LAST_WITH_TRUST = 28

export async function openDockerTown<S extends TrustServer>(
  { daemon, client }: { readonly daemon: TestDockerd; readonly client: DockerClient },
  startTrust: (certificate: TestCertificate) => Promise<S>,
  startOther: (server: S, dir: string) => Promise<TestRegistry> = () => startRegistry(),
): Promise<DockerTown<S>> {
  const dir = await mkdtemp(join(tmpdir(), 'tagseal-docker-town-'))
  const certificate = await makeCertificate(join(dir, 'tls'))
  const server = await startTrust(certificate)
  const registry = await startOther(server, dir)
  const user = async (name: string, password = 'any'): Promise<DockerUser> => {
    const config = await mkdtemp(join(dir, 'user-'))
    await trustAuthority(config, server.url, certificate.ca)
    if (name !== '') await logIn(config, registry.host, `${name}:${password}`)
    const env = environment(daemon.host, config, server.url)
    return {
      config,
      docker: (args, options) => runProgram(client.program, args, { ...options, env: { ...env, ...options?.env } }),
    }
  }
  const place = ({ config }: DockerUser) => [
    '--trustDir',
    join(config, 'trust'),
    '--server',
    server.url,
    '--tlscacert',
    certificate.ca,
  ]
  const maker = await user('maker')
  return {
    registry,
    server,
    certificate,
    user,
    notary: (who, args, options) =>
      runProgram('notary', [...place(who), ...args], { ...options, env: { ...NOTARY, ...options?.env } }),
    make: (image, text) => makeRunnable(maker, join(dir, 'busybox.tar'), image, text),
    async close() {
      await Promise.all([registry.stop(), server.stop()])
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** `client` is the oldest of them. */
export type ContentTrust = {
  readonly daemon: TestDockerd
  readonly client: DockerClient
  readonly clients: readonly DockerClient[]
}

/** What docker content trust needs here: a daemon, and clients that know it, or why they are not to be had. */
export async function tryContentTrust(): Promise<ContentTrust | string> {
  const clients = (await findDockerClients()).filter(({ major }) => major <= LAST_WITH_TRUST)
  const client = clients.at(-1)
  if (client === undefined) return 'SKIPPED: no docker up to 28 is installed (apt-get install docker.io)'
  const daemon = (await whyNoRegistry()) ?? (await whyNoNotary()) ?? (await whyNoBusybox()) ?? (await tryDockerd())
  return typeof daemon === 'string' ? daemon : { daemon, client, clients }
}

/** Images of one file are run here. */
export async function whyNoBusybox(): Promise<string | undefined> {
  const { code, stderr } = await runProgram('ldd', ['/bin/busybox'])
  return code !== 0 && stderr.includes('not a dynamic executable')
    ? undefined
    : 'SKIPPED: there is no static /bin/busybox (apt-get install busybox-static)'
}

async function whyNoNotary(): Promise<string | undefined> {
  const { code } = await runProgram('notary', ['version'])
  return code === 127 ? 'SKIPPED: notary is not installed (apt-get install notary)' : undefined
}

function environment(host: string, config: string, server: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: config,
    DOCKER_HOST: host,
    DOCKER_CONFIG: config,
    DOCKER_CONTENT_TRUST: '1',
    DOCKER_CONTENT_TRUST_SERVER: server,
    DOCKER_BUILDKIT: '0', // the daemon is of an age that builds by itself
    ...PASSPHRASES,
  }
}

async function trustAuthority(config: string, server: string, ca: string): Promise<void> {
  const folder = join(config, 'tls', new URL(server).host)
  await mkdir(folder, { recursive: true })
  await copyFile(ca, join(folder, 'ca.crt'))
}

/** As `docker login` leaves it. The trust server gets the same; a registry that asks nothing gets nothing. */
async function logIn(config: string, registry: string, login: string): Promise<void> {
  const auth = Buffer.from(login).toString('base64')
  await writeFile(join(config, 'config.json'), JSON.stringify({ auths: { [registry]: { auth } } }))
}

async function makeRunnable({ docker }: DockerUser, archive: string, image: string, text: string): Promise<void> {
  await runProgram('tar', ['-C', '/', '-cf', archive, 'bin/busybox'])
  const entry = JSON.stringify(['/bin/busybox', 'echo', text])
  const { code, stderr } = await docker(['import', '--change', `ENTRYPOINT ${entry}`, archive, image])
  if (code !== 0) throw new Error(`docker import: ${stderr}`)
}

/** Ours, with https, as docker wants it. */
export async function startTagseal(
  { cert, key }: TestCertificate,
  { args = [], env = {} }: TestServerOptions = {},
): Promise<TestServer> {
  const server = await startServer({ args: [...args, '--tls-cert', cert, '--tls-key', key], env })
  return {
    ...server,
    async stop() {
      await server.stop()
      await server.remove()
    },
  }
}

/** Runs what must succeed. */
export async function did(user: DockerUser, ...args: string[]): Promise<Ran> {
  const ran = await user.docker(args)
  if (ran.code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${ran.code}: ${ran.stderr}${ran.stdout}`)
  return ran
}

/** Makes, pushes and signs an image, and forgets it here; gives its digest. */
export async function pushed(town: DockerTown, user: DockerUser, image: string, text: string): Promise<string> {
  await town.make(image, text)
  const { stdout } = await did(user, 'push', image)
  await did(user, 'image', 'rm', '-f', image)
  const digest = /digest: (sha256:[0-9a-f]{64}) /.exec(stdout)?.[1]
  if (digest === undefined || !stdout.includes(`Successfully signed ${image}`)) throw new Error(stdout)
  return digest
}

/** Pushes an image as somebody who owns the registry and no key. */
export async function offer(town: DockerTown, { docker }: DockerUser, image: string, text: string): Promise<void> {
  await town.make(image, text)
  const { code, stderr } = await docker(['push', image], UNTRUSTED)
  if (code !== 0) throw new Error(stderr)
  await docker(['image', 'rm', '-f', image])
}
