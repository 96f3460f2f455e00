import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DockerClient } from './docker-client.ts'
import type { TestDockerd } from './dockerd.ts'
import { runProgram } from './program.ts'
import type { ProgramOptions, Ran } from './program.ts'
import { startRegistry } from './registry.ts'
import type { TestRegistry } from './registry.ts'
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
export type DockerTown = {
  readonly registry: TestRegistry
  readonly server: TrustServer
  readonly certificate: TestCertificate
  readonly user: (name: string, client?: DockerClient) => Promise<DockerUser>
  /** The `notary` command on somebody's docker keys and cache. */
  readonly notary: (user: DockerUser, args: readonly string[], input?: string) => Promise<Ran>
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

export async function openDockerTown(
  daemon: TestDockerd,
  client: DockerClient,
  startTrust: (certificate: TestCertificate) => Promise<TrustServer>,
): Promise<DockerTown> {
  const dir = await mkdtemp(join(tmpdir(), 'tagseal-docker-town-'))
  const certificate = await makeCertificate(join(dir, 'tls'))
  const [registry, server] = await Promise.all([startRegistry(), startTrust(certificate)])
  const user = async (name: string, other = client): Promise<DockerUser> => {
    const config = await mkdtemp(join(dir, 'user-'))
    await trustAuthority(config, server.url, certificate.ca)
    await nameUser(config, registry.host, name)
    const env = environment(daemon.host, config, server.url)
    return {
      config,
      docker: (args, options) => runProgram(other.program, args, { ...options, env: { ...env, ...options?.env } }),
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
    notary: (who, args, input) => runProgram('notary', [...place(who), ...args], { env: NOTARY, input }),
    make: (image, text) => makeRunnable(maker, join(dir, 'busybox.tar'), image, text),
    async close() {
      await Promise.all([registry.stop(), server.stop()])
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Why nothing can be run in an image of one file; undefined where it can. */
export async function whyNoBusybox(): Promise<string | undefined> {
  const { code, stderr } = await runProgram('ldd', ['/bin/busybox'])
  return code !== 0 && stderr.includes('not a dynamic executable')
    ? undefined
    : 'SKIPPED: there is no static /bin/busybox (apt-get install busybox-static)'
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

/** `docker trust sign` names its role after whom docker is logged in as; this registry asks for no password. */
async function nameUser(config: string, registry: string, name: string): Promise<void> {
  const auth = Buffer.from(`${name}:any`).toString('base64')
  await writeFile(join(config, 'config.json'), JSON.stringify({ auths: { [registry]: { auth } } }))
}

async function makeRunnable({ docker }: DockerUser, archive: string, image: string, text: string): Promise<void> {
  await runProgram('tar', ['-C', '/', '-cf', archive, 'bin/busybox'])
  const entry = JSON.stringify(['/bin/busybox', 'echo', text])
  const { code, stderr } = await docker(['import', '--change', `ENTRYPOINT ${entry}`, archive, image])
  if (code !== 0) throw new Error(`docker import: ${stderr}`)
}
