/** The configuration of each engine by which nothing gets past the gateway. */
import { usage } from '../commands/errors.ts'
import { inQuotes } from '../shell-word.ts'
import { changeOf } from './changes.ts'
import type { Change } from './changes.ts'
import { CERTS, certsFolders, configFile, criParts, isCriOff, readConfig, VERIFIERS } from './containerd.ts'
import { DAEMON, DROP_IN, NOBODY } from './docker.ts'
import { hostAndPort, isOwnHost } from './gateway.ts'
import type { Gateway } from './gateway.ts'
import { hostsFileFor } from './hosts-file.ts'
import type { Machine } from './machine.ts'
import { ATTACHMENTS, attachmentsFile, BRIDGE_KEY, nameThrough, signedScopes } from './own-check.ts'
import { POLICY, REGISTRIES } from './podman.ts'
import { at, Broken, parseJson, readToml, whereOf } from './spot.ts'

export type Wish = {
  readonly gateway: Gateway
  /** What may be pulled with podman and CRI-O: the hosts in front of names. */
  readonly registries: readonly string[]
  /** The public key, in PEM, by which podman and CRI-O are to check signatures of the gateway; undefined: they check none. */
  readonly bridge: string | undefined
  /** The command line of the verifier, without what containerd gives it. */
  readonly verifier: readonly string[]
}
export type Planned = {
  readonly changes: readonly Change[]
  /** What has to be done for it to count. */
  readonly steps: readonly string[]
}
type Plan = (machine: Machine, wish: Wish) => Planned

const BY = 'tagseal doctor --write'

export const PLANS = {
  docker: planDocker,
  containerd: planContainerd,
  podman: planPodman,
  verifier: planVerifier,
} as const satisfies Record<string, Plan>
export type Planable = keyof typeof PLANS

/** What would go before the drop-in, and what lets somebody else answer. */
const DOCKER_LEAVES_OUT: ReadonlySet<string> = new Set([
  'proxies',
  'allow-nondistributable-artifacts',
  'insecure-registries',
])

function planDocker(machine: Machine, { gateway }: Wish): Planned {
  const daemon = objectIn(machine, DAEMON)
  const insecure = listIn(daemon, 'insecure-registries').filter((host) => isOwnHost(host) || host === '127.0.0.0/8')
  const kept = Object.entries(daemon).filter(([name]) => !DOCKER_LEAVES_OUT.has(name))
  const next = {
    ...Object.fromEntries(kept),
    'registry-mirrors': [gateway.url.origin],
    ...(insecure.length === 0 ? {} : { 'insecure-registries': insecure }),
  }
  const dropIn = `# Written by "${BY} docker". The daemon reaches the gateway and nobody else, but for registries
# on this machine itself: what the gateway refuses cannot be asked of Docker Hub. Nobody listens at ${NOBODY}.
[Service]
Environment="HTTP_PROXY=${NOBODY}" "HTTPS_PROXY=${NOBODY}" "NO_PROXY=${hostAndPort(gateway)}"
`
  return {
    changes: [...changeOf(machine, DAEMON, printed(next)), ...changeOf(machine, DROP_IN, dropIn)],
    steps: ['systemctl daemon-reload && systemctl restart docker'],
  }
}

function planPodman(machine: Machine, { gateway, registries, bridge }: Wish): Planned {
  const withPort = registries.filter((registry) => registry.includes(':'))
  if (withPort.length > 1) {
    throw usage(`podman can lead one registry with a port to a gateway, not ${withPort.join(', ')}`)
  }
  const entries = registries.map(
    (registry) => `
[[registry]]
prefix = "${registry}"
location = "${nameThrough(gateway, registry)}"
${gateway.isPlain ? 'insecure = true\n' : ''}`,
  )
  // Names that lead through the gateway already are not rewritten, and have to be asked as plainly.
  const own = `
[[registry]]
prefix = "${gateway.host}"
location = "${gateway.host}"
insecure = true
`
  if (gateway.isPlain) entries.push(own)
  const conf = `# Written by "${BY} podman". A location has no way back; a mirror has one.\n${entries.join('')}`
  const policy = objectIn(machine, POLICY)
  const { transports, ...rest } = policy
  const others = isObject(transports) ? transports : {}
  const accept = [{ type: 'insecureAcceptAnything' }]
  const next = {
    ...rest,
    default: [{ type: 'reject' }],
    transports: {
      'containers-storage': { '': accept },
      ...others,
      docker:
        bridge === undefined
          ? Object.fromEntries([...registries, gateway.host].map((registry) => [registry, accept]))
          : signedScopes(gateway, registries),
    },
  }
  return {
    changes: [
      ...changeOf(machine, REGISTRIES, conf),
      ...(bridge === undefined ? [] : changeOf(machine, BRIDGE_KEY, bridge)),
      ...(bridge === undefined
        ? []
        : changeOf(machine, ATTACHMENTS, attachmentsFile(gateway, registries, `${BY} podman`))),
      ...changeOf(machine, POLICY, printed(next)),
    ],
    steps: [
      ...(machine.has('/etc/crio') ? ['systemctl restart crio'] : []),
      ...withPort.map((registry) => `the policy of the gateway says defaultRegistry: ${registry}`),
    ],
  }
}

function planContainerd(machine: Machine, { gateway }: Wish): Planned {
  const config = readConfig(machine)
  refuseMirrors(config)
  const folders = certsFolders(config) ?? [CERTS]
  const [first = CERTS] = folders
  const hosts = folders.flatMap((folder) => {
    const names = machine.list(folder)
    const all = folder === first && !names.includes('_default') ? ['_default', ...names] : names
    return all.map((name) => `${folder}/${name}/hosts.toml`)
  })
  const text = hostsFileFor(gateway, `${BY} containerd`)
  const file = configFile(machine)
  const needsPath = certsFolders(config) === undefined && !isCriOff(config)
  return {
    changes: [
      ...hosts.flatMap((file) => changeOf(machine, file, text)),
      ...(needsPath ? changeOf(machine, file, withConfigPath(file, machine.text(file))) : []),
    ],
    steps: needsPath ? ['systemctl restart containerd'] : [],
  }
}

/** Both at once containerd does not start with; which of them to keep is not ours to say. */
function refuseMirrors(config: ReturnType<typeof readConfig>): void {
  for (const part of criParts(config)) {
    const mirrors = at(part, 'registry', 'mirrors')
    if (mirrors === undefined || mirrors.members.size === 0) continue
    const why = 'registry.mirrors stands in the way: containerd starts with it or with config_path, not with both'
    throw usage(`${whereOf(mirrors)}: ${why}`, 'take it out, and write again')
  }
}

/** Below the table if there is one, and at the end of the file with one otherwise; everything else stays as it is. */
function withConfigPath(file: string, before: string | undefined): string {
  const line = `config_path = "${CERTS}"`
  if (before === undefined) return `version = 2\n\n[plugins."io.containerd.grpc.v1.cri".registry]\n  ${line}\n`
  const version = Number(at(readToml(before, file), 'version')?.value)
  const plugin = version >= 3 ? 'io.containerd.cri.v1.images' : 'io.containerd.grpc.v1.cri'
  const lines = before.replace(/\n*$/, '').split('\n')
  const header = new RegExp(`^\\s*\\[plugins\\.["']${plugin.replaceAll('.', '\\.')}["']\\.registry\\]\\s*(?:#.*)?$`)
  const found = lines.findIndex((text) => header.test(text))
  if (found < 0) return `${lines.join('\n')}\n\n[plugins."${plugin}".registry]\n  ${line}\n`
  const end = lines.findIndex((text, i) => i > found && /^\s*\[/.test(text))
  const set = lines.findIndex((text, i) => i > found && (end < 0 || i < end) && /^\s*config_path\s*=/.test(text))
  const next = set < 0 ? lines.toSpliced(found + 1, 0, `  ${line}`) : lines.toSpliced(set, 1, `  ${line}`)
  return `${next.join('\n')}\n`
}

function planVerifier(machine: Machine, { verifier }: Wish): Planned {
  const words = verifier.map(inQuotes).join(' ')
  const text = `#!/bin/sh
# Written by "${BY} verifier". containerd 2 calls it before it pulls an image.
exec ${words} "$@" 2>&1
`
  return { changes: changeOf(machine, `${VERIFIERS}/tagseal`, text, 0o755), steps: [] }
}

function objectIn(machine: Machine, path: string): Readonly<Record<string, unknown>> {
  const text = machine.text(path)
  if (text === undefined || text.trim() === '') return {}
  const value = parseJson(text, path)
  if (isObject(value)) return value
  throw new Broken(path, 1, 'it is no object')
}

function listIn(object: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = object[name]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function printed(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
