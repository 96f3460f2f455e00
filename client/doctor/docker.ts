/**
 * docker: `registry-mirrors` alone falls back to Docker Hub, and knows no other registry. What closes it is that the
 * daemon reaches nobody but the gateway: by a proxy that is nobody (ADR 0033), or, where images are kept in containerd,
 * by `certs.d`.
 */
import type { Finding } from './finding.ts'
import { hostAndPort, isOpenToOthers, isOwnHost, namesGateway } from './gateway.ts'
import type { Gateway } from './gateway.ts'
import { checkHostsFolder } from './hosts-file.ts'
import type { Machine } from './machine.ts'
import { at, Broken, isTrue, readJson, textsIn, whereOf } from './spot.ts'
import type { Spot } from './spot.ts'
import { readUnits } from './units.ts'
import type { Line, Units } from './units.ts'

export const DAEMON = '/etc/docker/daemon.json'
export const DROP_IN = '/etc/systemd/system/docker.service.d/zz-tagseal.conf'
const CERTS = '/etc/docker/certs.d'
/** Nobody listens there: the port is "discard", and only root could take it. */
export const NOBODY = 'http://127.0.0.1:9'
const PROGRAMS = ['/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd', '/etc/docker']

type Told = Omit<Finding, 'engine'>

export function checkDocker(machine: Machine, gateway: Gateway): readonly Finding[] | undefined {
  if (!PROGRAMS.some(machine.has)) return undefined
  return check(machine, gateway).map((told) => ({ engine: 'docker', ...told }))
}

function check(machine: Machine, gateway: Gateway): readonly Told[] {
  try {
    const units = readUnits(machine, 'docker.service')
    const file = units.flags('config-file').at(-1)?.text ?? DAEMON
    const text = machine.text(file)
    const daemon = text === undefined ? undefined : readJson(text, file)
    return [
      ...checkReach(machine, gateway, { file, daemon, units }),
      ...checkMirrors(gateway, [...linesIn(daemon, 'registry-mirrors'), ...units.flags('registry-mirror')]),
      ...checkInsecure([...linesIn(daemon, 'insecure-registries'), ...units.flags('insecure-registry')], gateway),
      ...linesIn(daemon, 'allow-nondistributable-artifacts').map(foreignLayers),
    ]
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    const mend = 'mend the file; the daemon does not start with it'
    return [{ level: 'unknown', code: 'CONFIG_BROKEN', where: whereOf(error), message: error.message, mend }]
  }
}

function linesIn(daemon: Spot | undefined, name: string): readonly Line[] {
  return textsIn(at(daemon, name)).map(({ text, spot }) => ({ text, where: whereOf(spot) }))
}

type Daemon = { readonly file: string; readonly daemon: Spot | undefined; readonly units: Units }

/** Whom the daemon can reach at all. */
function checkReach(machine: Machine, gateway: Gateway, { file, daemon, units }: Daemon): readonly Told[] {
  const { environment } = units
  const own = (name: string) => {
    const spot = at(daemon, 'proxies', name)
    const inFile = typeof spot?.value === 'string' && spot.value !== ''
    return inFile ? { text: spot.value, where: whereOf(spot) } : units.flags(name).at(-1)
  }
  const plain = own('http-proxy') ?? environment.get('HTTP_PROXY')
  const secure = own('https-proxy') ?? environment.get('HTTPS_PROXY')
  const except = own('no-proxy') ?? environment.get('NO_PROXY')
  const closed = [plain, secure].every((line) => line !== undefined && isNobody(line.text, gateway))
  const isStoreOfContainerd = isTrue(at(daemon, 'features', 'containerd-snapshotter'))
  const byHosts = isStoreOfContainerd ? checkHostsFolder(machine, gateway, CERTS) : undefined
  if (closed) {
    const isOwnClosed = byHosts !== undefined && byHosts.length === 0
    return [...checkExceptions(except, gateway), ...(isOwnClosed ? [] : [loopbackTold(plain?.where ?? file)])]
  }
  if (byHosts !== undefined) return byHosts
  const other = [plain, secure].find((line) => line !== undefined && !isNobody(line.text, gateway))
  if (plain !== undefined && secure !== undefined && other !== undefined) {
    const message = `whether ${other.text} lets anybody through but the gateway is not known here`
    return [{ level: 'unknown', code: 'PROXY_UNKNOWN', where: other.where, message, mend: MEND }]
  }
  const [mirror] = linesIn(daemon, 'registry-mirrors')
  const where = mirror?.where ?? (plain ?? secure)?.where ?? `${file}:1`
  const message =
    mirror === undefined
      ? 'the daemon asks registries themselves'
      : 'what a mirror refuses is asked of Docker Hub, and other registries are asked themselves'
  return [{ level: 'hole', code: mirror === undefined ? 'DIRECT' : 'MIRRORS_FALL_BACK', where, message, mend: MEND }]
}

const MEND = `tagseal doctor --write docker: HTTP_PROXY and HTTPS_PROXY as ${NOBODY}, with NO_PROXY for the gateway alone`

/** Go's own rule, which nothing that can be written changes. */
function loopbackTold(where: string): Told {
  const message = 'registries on this machine itself (127.0.0.1, ::1, localhost) are asked past every proxy'
  const mend = 'have no registry run here, or, with the containerd store of docker 29, lead every name by certs.d'
  return { level: 'warning', code: 'LOOPBACK', where, message, mend }
}

function isNobody(text: string, gateway: Gateway): boolean {
  return text.replace(/\/$/, '') === NOBODY || namesGateway(gateway, text)
}

/** Loopback is told of apart. Of the gateway's host the gateway's port alone may be an exception. */
function checkExceptions(except: Line | undefined, gateway: Gateway): readonly Told[] {
  const hosts = (except?.text ?? '').split(',').map((host) => host.trim())
  return hosts.flatMap((host) => {
    const isFine = host === '' || isOwnHost(host) || host === '::1' || host === '127.0.0.0/8'
    if (except === undefined || isFine || (namesGateway(gateway, host) && /:[0-9]+$/.test(host))) return []
    const isWide = host === gateway.url.hostname
    const who = isWide ? `every port of ${host}` : host
    const message = `${who} is reached without the proxy, and so past the gateway`
    const mend = isWide ? `write ${hostAndPort(gateway)}` : `leave ${host} out`
    return [{ level: 'hole', code: 'NO_PROXY', where: except.where, message, mend } as const]
  })
}

function checkMirrors(gateway: Gateway, mirrors: readonly Line[]): readonly Told[] {
  return mirrors.flatMap(({ text, where }): readonly Told[] => {
    const mend = `"${gateway.url.origin}" alone`
    if (namesGateway(gateway, text)) {
      if (!isOpenToOthers(gateway, text)) return []
      const message = 'anybody on the way can answer in the place of the gateway'
      return [{ level: 'hole', code: 'PLAIN_HTTP', where, message, mend }]
    }
    const message = `${text} is not the gateway, and is asked what a tag means`
    return [{ level: 'hole', code: 'MIRROR_ELSEWHERE', where, message, mend }]
  })
}

function checkInsecure(registries: readonly Line[], gateway: Gateway): readonly Told[] {
  return registries.flatMap(({ text, where }) => {
    if (isOwnHost(text) || text === '127.0.0.0/8' || text === '::1/128') return []
    const message = namesGateway(gateway, text)
      ? 'anybody on the way can answer in the place of the gateway'
      : `anybody on the way can answer for ${text}`
    return [{ level: 'hole', code: 'INSECURE_REGISTRY', where, message, mend: `leave ${text} out` } as const]
  })
}

function foreignLayers({ text, where }: Line): Told {
  const message = `images pushed to ${text} may have layers that are fetched elsewhere; the gateway refuses them`
  return { level: 'warning', code: 'FOREIGN_LAYERS', where, message, mend: `leave ${text} out` }
}
