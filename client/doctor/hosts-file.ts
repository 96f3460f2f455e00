/** `hosts.toml` of containerd, which docker 29 reads as well: who is asked for the images of a registry, in which order. */
import type { Finding } from './finding.ts'
import { isOpenToOthers, namesGateway } from './gateway.ts'
import type { Gateway } from './gateway.ts'
import type { Machine } from './machine.ts'
import { at, Broken, isTrue, readToml, textsIn, whereOf } from './spot.ts'
import type { Spot } from './spot.ts'

type Told = Omit<Finding, 'engine'>
const DEFAULT = '_default'

/** What lets images past the gateway in a folder like `/etc/containerd/certs.d`. */
export function checkHostsFolder(machine: Machine, gateway: Gateway, folder: string): readonly Told[] {
  const names = machine.list(folder)
  const missing: Told = {
    level: 'hole',
    code: 'NO_DEFAULT_HOSTS',
    where: `${folder}/${DEFAULT}/hosts.toml`,
    message: 'it is not there: a registry without a folder of its own is asked itself',
    mend: `write ${folder}/${DEFAULT}/hosts.toml`,
  }
  const files = names.flatMap((name) => checkHostsFile(machine, gateway, `${folder}/${name}`))
  return names.includes(DEFAULT) ? files : [missing, ...files]
}

function checkHostsFile(machine: Machine, gateway: Gateway, folder: string): readonly Told[] {
  const file = `${folder}/hosts.toml`
  try {
    const text = machine.text(file)
    if (text !== undefined && text !== '') return checkHosts(readToml(text, file), gateway)
    const message = 'a folder without hosts.toml, or with an empty one: the registry itself is asked'
    return [{ level: 'hole', code: 'NO_HOSTS_FILE', where: file, message, mend: mendOf(gateway) }]
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    const message = `containerd passes over a file that it cannot read, and asks the registry itself: ${error.message}`
    return [{ level: 'hole', code: 'HOSTS_BROKEN', where: whereOf(error), message, mend: mendOf(gateway) }]
  }
}

function checkHosts(file: Spot, gateway: Gateway): readonly Told[] {
  const server = at(file, 'server')
  const hosts = [...(at(file, 'host')?.members ?? [])]
  const found: Told[] = []
  const hole = (code: string, spot: Spot, message: string) =>
    found.push({ level: 'hole', code, where: whereOf(spot), message, mend: mendOf(gateway) })
  if (server === undefined) {
    hole('REGISTRY_TRIED_LAST', file, 'it names no server: the registry itself is asked when the hosts refuse')
  } else {
    checkAddress(String(server.value), server, 'SERVER_ELSEWHERE', gateway, hole)
    if (hosts.length === 0) {
      hole('SERVER_ALONE', server, 'containerd 1 cannot read a file that names no host, and asks the registry itself')
    }
  }
  for (const [name, host] of hosts) {
    const can = textsIn(at(host, 'capabilities')).map(({ text }) => text)
    const resolves = at(host, 'capabilities') === undefined || can.includes('resolve')
    if (resolves) checkAddress(name, host, 'HOST_ELSEWHERE', gateway, hole)
  }
  for (const part of [file, ...hosts.map(([, host]) => host)]) {
    const skip = at(part, 'skip_verify')
    if (isTrue(skip) && skip !== undefined && !gateway.isLoopback) {
      hole('CERTIFICATE_UNCHECKED', skip, 'anybody on the way can answer in the place of the gateway')
    }
  }
  return found
}

function checkAddress(
  text: string,
  spot: Spot,
  code: string,
  gateway: Gateway,
  hole: (code: string, spot: Spot, message: string) => void,
): void {
  if (!namesGateway(gateway, text)) hole(code, spot, `${text} is not the gateway, and is asked what a tag means`)
  else if (isOpenToOthers(gateway, text)) hole('PLAIN_HTTP', spot, 'anybody on the way can answer in its place')
}

/** One line for messages. */
function mendOf({ url }: Gateway): string {
  return `server = "${url.origin}" and [host."${url.origin}"] with capabilities = ["pull", "resolve"], and no other host that resolves`
}

export function hostsFileFor({ url }: Gateway, by: string): string {
  return `# Written by "${by}". What is asked for a tag is the gateway, and nobody else.
# Both are needed: without "server" the registry is tried last; without a host, containerd 1 passes over this file.
server = "${url.origin}"

[host."${url.origin}"]
  capabilities = ["pull", "resolve"]
`
}
