/** Every line that lets images past the gateway, each planted alone into a configuration that is closed. */
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { checkMachine } from '../../../client/doctor/doctor.ts'
import type { EngineName, Finding } from '../../../client/doctor/finding.ts'
import { gatewayAt } from '../../../client/doctor/gateway.ts'
import { openMachine } from '../../../client/doctor/machine.ts'
import { runInside } from '../../support/run-inside.ts'
import { openssl } from '../../support/secrets.ts'

const GATEWAY = gatewayAt('https://gateway.example.com')
const HOSTS = '/etc/containerd/certs.d/_default/hosts.toml'
const CONFIG = '/etc/containerd/config.toml'
const DAEMON = '/etc/docker/daemon.json'
const DROP_IN = '/etc/systemd/system/docker.service.d/zz-tagseal.conf'
const POLICY = '/etc/containers/policy.json'
const REGISTRIES = '/etc/containers/registries.conf.d/999-tagseal.conf'
const VERIFIER = '/opt/containerd/image-verifier/bin/tagseal'

const PUBLIC_KEY = openssl(['ec', '-pubout'], openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout']))

const folder = await mkdtemp(join(tmpdir(), 'tagseal-doctor-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const closed = join(folder, 'closed')
for (const engine of ['docker', 'containerd', 'podman']) {
  const args = ['doctor', '--write', engine, '--root', closed, '--gateway', GATEWAY.url.origin, '--yes']
  const registries = ['--registry', 'docker.io', '--registry', 'registry.example.com']
  const ran = await runInside([...args, ...(engine === 'podman' ? registries : [])])
  if (ran.exit !== 0) throw new Error(ran.stderr)
}

/** `from` is replaced by `to`; without `from` the file is written anew, or taken away. */
type Edit = { readonly file: string; readonly from?: string | RegExp; readonly to?: string; readonly mode?: number }
let copies = 0

async function machineWith(edits: readonly Edit[]) {
  copies += 1
  const root = join(folder, String(copies))
  await cp(closed, root, { recursive: true })
  for (const { file, from, to, mode } of edits) {
    const place = join(root, file)
    await mkdir(dirname(place), { recursive: true })
    if (to === undefined) await rm(place, { recursive: true })
    else if (from === undefined) await writeFile(place, to)
    else {
      const before = await readFile(place, 'utf8')
      const after = before.replace(from, to)
      if (after === before) throw new Error(`${file} has no ${String(from)}`)
      await writeFile(place, after)
    }
    if (mode !== undefined) await chmod(place, mode)
  }
  return openMachine(root)
}

async function all(engine: EngineName, edits: readonly Edit[]): Promise<readonly Finding[]> {
  const machine = await machineWith(edits)
  return checkMachine(machine, GATEWAY).find((one) => one.engine === engine)?.findings ?? []
}

/** Without what is told of every docker that a proxy closes. */
async function found(engine: EngineName, edits: readonly Edit[]): Promise<readonly Finding[]> {
  return (await all(engine, edits)).filter(({ code }) => code !== 'LOOPBACK')
}

await t.test('none in what doctor writes itself', async (t) => {
  for (const engine of ['docker', 'containerd', 'podman'] as const) t.same(await found(engine, []), [], engine)
  t.same(
    checkMachine(openMachine(join(folder, 'nothing')), GATEWAY).map(({ findings }) => findings),
    [undefined, undefined, undefined],
    'and none of an engine that is not there',
  )
})

await t.test('podman that checks signatures of the gateway itself, by what doctor writes', async (t) => {
  const root = join(folder, 'own-check')
  const file = join(folder, 'bridge.pub')
  await writeFile(file, PUBLIC_KEY)
  const args = ['doctor', '--write', 'podman', '--root', root, '--gateway', GATEWAY.url.origin, '--bridge-key', file]
  const ran = await runInside([...args, '--registry', 'docker.io', '--registry', 'registry.example.com', '--yes'])
  t.equal(ran.exit, 0, ran.stderr)
  const podman = () => checkMachine(openMachine(root), GATEWAY).find(({ engine }) => engine === 'podman')?.findings
  t.same(podman(), [], 'is closed')
  t.equal(await readFile(join(root, 'etc/containers/tagseal-bridge.pub'), 'utf8'), PUBLIC_KEY)
  const { transports } = JSON.parse(await readFile(join(root, POLICY), 'utf8')) as {
    transports: { docker: Readonly<Record<string, unknown>> }
  }
  const signed = { type: 'sigstoreSigned', keyPath: '/etc/containers/tagseal-bridge.pub' }
  const through = (signedPrefix: string) => {
    const prefix = `gateway.example.com/${signedPrefix}`
    return [{ ...signed, signedIdentity: { type: 'remapIdentity', prefix, signedPrefix } }]
  }
  t.same(transports.docker, {
    'docker.io': [signed],
    'gateway.example.com/docker.io': through('docker.io'),
    'registry.example.com': [signed],
    'gateway.example.com/registry.example.com': through('registry.example.com'),
  })
  await rm(join(root, REGISTRIES))
  t.match(
    podman(),
    [{ code: 'SCOPE_DIRECT' }, { code: 'SCOPE_DIRECT' }],
    'and open past it: copies of signatures count',
  )
})

type Case = {
  readonly engine: EngineName
  readonly edits: readonly Edit[]
  readonly code: string
  readonly where: string
}

const entry = (more: string) => `[[registry]]\nprefix = "docker.io/library"\n${more}\n`
const extra = '/etc/containers/registries.conf.d/zzz.conf'
const ownHosts = (text: string): Edit => ({ file: '/etc/containerd/certs.d/docker.io/hosts.toml', to: text })
const whole = `server = "https://gateway.example.com"\n[host."https://gateway.example.com"]\ncapabilities = ["pull", "resolve"]\n`
const cri = (line: string): Edit => ({
  file: CONFIG,
  to: `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n${line}\n`,
})

const HOLES: Record<string, Case> = {
  'hosts with the registry itself at the end': {
    engine: 'containerd',
    edits: [{ file: HOSTS, from: /^server.*\n/m, to: '' }],
    code: 'REGISTRY_TRIED_LAST',
    where: `${HOSTS}:1`,
  },
  'a server that is the registry': {
    engine: 'containerd',
    edits: [ownHosts(whole.replace('gateway', 'registry-1'))],
    code: 'SERVER_ELSEWHERE',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml:1',
  },
  'a server alone, which containerd 1 passes over': {
    engine: 'containerd',
    edits: [ownHosts(whole.split('\n', 1).join(''))],
    code: 'SERVER_ALONE',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml:1',
  },
  'another host that says what a tag means': {
    engine: 'containerd',
    edits: [ownHosts(`${whole}[host."https://mirror.example.com"]\ncapabilities = ["pull", "resolve"]\n`)],
    code: 'HOST_ELSEWHERE',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml:4',
  },
  'another host whose capabilities nobody wrote down': {
    engine: 'containerd',
    edits: [ownHosts(`${whole}[host."https://mirror.example.com"]\n`)],
    code: 'HOST_ELSEWHERE',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml:4',
  },
  'a hosts file that cannot be read': {
    engine: 'containerd',
    edits: [ownHosts(`${whole}[host\n`)],
    code: 'HOSTS_BROKEN',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml:5',
  },
  'an empty hosts file': {
    engine: 'containerd',
    edits: [ownHosts('')],
    code: 'NO_HOSTS_FILE',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml',
  },
  'no hosts file for the registries without a folder': {
    engine: 'containerd',
    edits: [
      { file: '/etc/containerd/certs.d/docker.io/hosts.toml', to: whole },
      { file: HOSTS },
      { file: dirname(HOSTS) + '/x', to: '' },
    ],
    code: 'NO_HOSTS_FILE',
    where: HOSTS,
  },
  'a certificate of the gateway that nobody checks': {
    engine: 'containerd',
    edits: [{ file: HOSTS, from: /$/, to: '  skip_verify = true\n' }],
    code: 'CERTIFICATE_UNCHECKED',
    where: `${HOSTS}:7`,
  },
  'a gateway that is asked without TLS': {
    engine: 'containerd',
    edits: [ownHosts(whole.replaceAll('https://gateway.example.com', 'http://gateway.example.com'))],
    code: 'PLAIN_HTTP',
    where: '/etc/containerd/certs.d/docker.io/hosts.toml:1',
  },
  'no config_path': {
    engine: 'containerd',
    edits: [{ file: CONFIG, from: /config_path.*/, to: '' }],
    code: 'NO_CONFIG_PATH',
    where: `${CONFIG}:3`,
  },
  'a config_path that is empty': {
    engine: 'containerd',
    edits: [cri('config_path = ""')],
    code: 'NO_CONFIG_PATH',
    where: `${CONFIG}:2`,
  },
  'mirrors in the main file': {
    engine: 'containerd',
    edits: [
      cri(
        '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = ["https://gateway.example.com"]',
      ),
    ],
    code: 'MIRRORS_FALL_BACK',
    where: `${CONFIG}:3`,
  },
  'mirrors in a file that is imported': {
    engine: 'containerd',
    edits: [
      { file: CONFIG, from: /^/, to: 'imports = ["/etc/containerd/conf.d/*.toml"]\n' },
      {
        file: '/etc/containerd/conf.d/a.toml',
        to: 'version = 2\nplugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io".endpoint = ["https://gateway.example.com"]\n',
      },
    ],
    code: 'MIRRORS_FALL_BACK',
    where: '/etc/containerd/conf.d/a.toml:2',
  },
  'a mirror alone, which falls back to Docker Hub': {
    engine: 'docker',
    edits: [{ file: DROP_IN }],
    code: 'MIRRORS_FALL_BACK',
    where: `${DAEMON}:3`,
  },
  'no configuration at all': {
    engine: 'docker',
    edits: [{ file: DROP_IN }, { file: DAEMON }],
    code: 'DIRECT',
    where: `${DAEMON}:1`,
  },
  'a mirror that is not the gateway': {
    engine: 'docker',
    edits: [{ file: DAEMON, from: 'https://gateway.example.com', to: 'https://mirror.example.com' }],
    code: 'MIRROR_ELSEWHERE',
    where: `${DAEMON}:3`,
  },
  'a mirror that is asked without TLS': {
    engine: 'docker',
    edits: [{ file: DAEMON, from: 'https://gateway', to: 'http://gateway' }],
    code: 'PLAIN_HTTP',
    where: `${DAEMON}:3`,
  },
  'a registry that is reached without the proxy': {
    engine: 'docker',
    edits: [{ file: DROP_IN, from: 'NO_PROXY=', to: 'NO_PROXY=.docker.io,' }],
    code: 'NO_PROXY',
    where: `${DROP_IN}:4`,
  },
  'every port of the host of the gateway, reached without the proxy': {
    engine: 'docker',
    edits: [{ file: DROP_IN, from: 'NO_PROXY=gateway.example.com:443', to: 'NO_PROXY=gateway.example.com' }],
    code: 'NO_PROXY',
    where: `${DROP_IN}:4`,
  },
  'another port of the host of the gateway, reached without the proxy': {
    engine: 'docker',
    edits: [{ file: DROP_IN, from: 'gateway.example.com:443', to: 'gateway.example.com:5000' }],
    code: 'NO_PROXY',
    where: `${DROP_IN}:4`,
  },
  'a file of the unit that takes the proxy back': {
    engine: 'docker',
    edits: [{ file: '/etc/systemd/system/docker.service.d/zzz.conf', to: '[Service]\nEnvironment=HTTPS_PROXY=\n' }],
    code: 'MIRRORS_FALL_BACK',
    where: `${DAEMON}:3`,
  },
  'an exception from the proxy in daemon.json': {
    engine: 'docker',
    edits: [{ file: DAEMON, from: '{', to: '{"proxies": {"no-proxy":\n"*"},' }],
    code: 'NO_PROXY',
    where: `${DAEMON}:1`,
  },
  'a registry whose certificate nobody checks': {
    engine: 'docker',
    edits: [{ file: DAEMON, from: '{', to: '{\n"insecure-registries": ["127.0.0.0/8",\n"gateway.example.com"],' }],
    code: 'INSECURE_REGISTRY',
    where: `${DAEMON}:3`,
  },
  'an option on the command line of the daemon': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nExecStart=/usr/bin/dockerd --insecure-registry 10.0.0.0/8\n',
      },
    ],
    code: 'INSECURE_REGISTRY',
    where: '/lib/systemd/system/docker.service:2',
  },
  'a certs.d of docker 29 that leaves the registry last': {
    engine: 'docker',
    edits: [
      { file: DROP_IN },
      { file: DAEMON, to: '{"features": {"containerd-snapshotter": true}}' },
      { file: '/etc/docker/certs.d/_default/hosts.toml', to: whole.replace(/^server.*\n/, '') },
    ],
    code: 'REGISTRY_TRIED_LAST',
    where: '/etc/docker/certs.d/_default/hosts.toml:1',
  },
  'a mirror, after which the registry is tried': {
    engine: 'podman',
    edits: [
      {
        file: extra,
        to: entry(
          'location = "docker.io/library"\n[[registry.mirror]]\nlocation = "gateway.example.com/docker.io/library"',
        ),
      },
    ],
    code: 'MIRRORS_FALL_BACK',
    where: `${extra}:3`,
  },
  'a mirror that is not the gateway before one that is': {
    engine: 'podman',
    edits: [
      {
        file: extra,
        to: entry(
          'location = "gateway.example.com/docker.io/library"\n[[registry.mirror]]\nlocation = "mirror.example.com"\npull-from-mirror = "tag-only"',
        ),
      },
    ],
    code: 'MIRROR_ELSEWHERE',
    where: `${extra}:5`,
  },
  'a location elsewhere for a part of a registry': {
    engine: 'podman',
    edits: [{ file: extra, to: entry('location = "registry-1.docker.io/library"') }],
    code: 'LOCATION_ELSEWHERE',
    where: `${extra}:3`,
  },
  'a prefix without a location': {
    engine: 'podman',
    edits: [{ file: extra, to: entry('') }],
    code: 'LOCATION_ELSEWHERE',
    where: `${extra}:1`,
  },
  'a later file that takes the location back': {
    engine: 'podman',
    edits: [{ file: extra, to: '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n' }],
    code: 'LOCATION_ELSEWHERE',
    where: `${extra}:3`,
  },
  'a gateway whose certificate nobody checks': {
    engine: 'podman',
    edits: [{ file: extra, to: entry('location = "gateway.example.com/docker.io/library"\ninsecure = true') }],
    code: 'INSECURE_GATEWAY',
    where: `${extra}:4`,
  },
  'a policy that accepts what no rule is about': {
    engine: 'podman',
    edits: [{ file: POLICY, from: '"reject"', to: '"insecureAcceptAnything"' }],
    code: 'DEFAULT_ACCEPTS',
    where: `${POLICY}:2`,
  },
  'a policy for every registry beside a default that rejects': {
    engine: 'podman',
    edits: [{ file: POLICY, from: '"docker": {', to: '"docker": {"": [{"type": "insecureAcceptAnything"}],' }],
    code: 'DEFAULT_ACCEPTS',
    where: `${POLICY}:15`,
  },
  'signatures that do not say what a tag means now': {
    engine: 'podman',
    edits: [
      { file: POLICY, from: '"docker": {', to: '"docker": {"quay.io": [{"type": "sigstoreSigned", "keyPath": "/k"}],' },
    ],
    code: 'SCOPE_DIRECT',
    where: `${POLICY}:15`,
  },
  'a registry that may be pulled and leads nowhere': {
    engine: 'podman',
    edits: [{ file: REGISTRIES, from: 'prefix = "docker.io"', to: 'prefix = "docker.org"' }],
    code: 'SCOPE_DIRECT',
    where: `${POLICY}:16`,
  },
  'short names that are looked for in a registry itself': {
    engine: 'podman',
    edits: [
      { file: POLICY, from: '"docker": {', to: '"docker": {"quay.io": [{"type": "insecureAcceptAnything"}],' },
      { file: extra, to: 'unqualified-search-registries = [\n"quay.io"]\n' },
    ],
    code: 'SEARCH_DIRECT',
    where: `${extra}:2`,
  },
  'the old format': {
    engine: 'podman',
    edits: [{ file: '/etc/containers/registries.conf', to: '[registries.search]\nregistries = ["docker.io"]\n' }],
    code: 'OLD_FORMAT',
    where: '/etc/containers/registries.conf:1',
  },
  'a policy of a user': {
    engine: 'podman',
    edits: [
      { file: '/home/eve/.config/containers/policy.json', to: '{"default": [{"type": "insecureAcceptAnything"}]}' },
    ],
    code: 'DEFAULT_ACCEPTS',
    where: '/home/eve/.config/containers/policy.json:1',
  },
  'registries of a user': {
    engine: 'podman',
    edits: [{ file: '/root/.config/containers/registries.conf', to: '# nothing\n' }],
    code: 'SCOPE_DIRECT',
    where: `${POLICY}:16`,
  },
  'a policy of a namespace of CRI-O': {
    engine: 'podman',
    edits: [
      { file: '/etc/crio/crio.conf', to: '[crio.image]\n' },
      { file: '/etc/crio/policies/dev.json', to: '{"default": [{"type": "insecureAcceptAnything"}]}' },
    ],
    code: 'DEFAULT_ACCEPTS',
    where: '/etc/crio/policies/dev.json:1',
  },
  'another policy that CRI-O is told to use': {
    engine: 'podman',
    edits: [
      { file: '/etc/crio/crio.conf.d/9.conf', to: '[crio.image]\nsignature_policy = "/etc/crio/p.json"\n' },
      { file: '/etc/crio/p.json', to: '{"default": []}' },
    ],
    code: 'DEFAULT_ACCEPTS',
    where: '/etc/crio/p.json:1',
  },
  'a registry that CRI-O need not check the certificate of': {
    engine: 'podman',
    edits: [{ file: '/etc/crio/crio.conf', to: '[crio.image]\ninsecure_registries = ["gateway.example.com"]\n' }],
    code: 'INSECURE_GATEWAY',
    where: '/etc/crio/crio.conf:2',
  },
  'a folder for one registry only': {
    engine: 'containerd',
    edits: [{ file: '/etc/containerd/certs.d/docker.io/hosts.toml', to: whole }, { file: dirname(HOSTS) }],
    code: 'NO_DEFAULT_HOSTS',
    where: HOSTS,
  },
  'mirrors in a file that an imported one imports': {
    engine: 'containerd',
    edits: [
      { file: CONFIG, from: /^/, to: 'imports = ["/etc/containerd/a.toml"]\n' },
      { file: '/etc/containerd/a.toml', to: 'version = 2\nimports = ["b.toml"]\n' },
      {
        file: '/etc/containerd/b.toml',
        to: 'version = 2\nplugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io".endpoint = ["https://a.io"]\n',
      },
    ],
    code: 'MIRRORS_FALL_BACK',
    where: '/etc/containerd/b.toml:2',
  },
  'another file that the unit of containerd names': {
    engine: 'containerd',
    edits: [
      {
        file: '/etc/systemd/system/containerd.service.d/9.conf',
        to: '[Service]\nExecStart=\nExecStart=/usr/bin/containerd \\\n  --config /srv/containerd.toml\n',
      },
      { file: '/srv/containerd.toml', to: 'version = 2\n' },
    ],
    code: 'NO_CONFIG_PATH',
    where: '/srv/containerd.toml:1',
  },
  'another file that the unit of the daemon names': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nExecStart=/usr/bin/dockerd --config-file=/srv/daemon.json\n',
      },
      { file: '/srv/daemon.json', to: '{\n"registry-mirrors": ["https://mirror.example.com"]}\n' },
    ],
    code: 'MIRROR_ELSEWHERE',
    where: '/srv/daemon.json:2',
  },
  'an option behind a line that goes on': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nExecStart=/usr/bin/dockerd \\\n  -H fd:// \\\n  --insecure-registry 10.0.0.0/8\n',
      },
    ],
    code: 'INSECURE_REGISTRY',
    where: '/lib/systemd/system/docker.service:2',
  },
  'an option that comes out of a file of variables': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nEnvironmentFile=-/etc/sysconfig/docker\nExecStart=/usr/bin/dockerd $OPTIONS\n',
      },
      {
        file: '/etc/sysconfig/docker',
        to: "OPTIONS='--log-level=warn --registry-mirror=https://mirror.example.com'\n",
      },
    ],
    code: 'MIRROR_ELSEWHERE',
    where: '/lib/systemd/system/docker.service:3',
  },
  'a proxy on the command line of the daemon, that goes before the one of the unit': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nExecStart=/usr/bin/dockerd --no-proxy=*\n',
      },
    ],
    code: 'NO_PROXY',
    where: '/lib/systemd/system/docker.service:2',
  },
  'variables that are taken away again': {
    engine: 'docker',
    edits: [
      {
        file: '/etc/systemd/system/docker.service.d/zzz.conf',
        to: '[Service]\nUnsetEnvironment=HTTP_PROXY HTTPS_PROXY\n',
      },
    ],
    code: 'MIRRORS_FALL_BACK',
    where: `${DAEMON}:3`,
  },
  'a file of variables, which goes before the variables of every unit': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nEnvironmentFile=-/etc/sysconfig/docker\nExecStart=/usr/bin/dockerd\n',
      },
      { file: '/etc/sysconfig/docker', to: '# the proxy of the house\nNO_PROXY=registry.example.com\n' },
    ],
    code: 'NO_PROXY',
    where: '/etc/sysconfig/docker:2',
  },
  'files of variables that are named by a pattern': {
    engine: 'docker',
    edits: [
      {
        file: '/lib/systemd/system/docker.service',
        to: '[Service]\nEnvironmentFile=-/etc/docker/*.env\nExecStart=/usr/bin/dockerd\n',
      },
      { file: '/etc/docker/house.env', to: 'NO_PROXY=*\n' },
    ],
    code: 'NO_PROXY',
    where: '/etc/docker/house.env:1',
  },
  'an empty file of the same name in a folder that goes before': {
    engine: 'docker',
    edits: [{ file: '/etc/systemd/system.control/docker.service.d/zz-tagseal.conf', to: '' }],
    code: 'MIRRORS_FALL_BACK',
    where: `${DAEMON}:3`,
  },
  'a file for all units that takes the proxy back': {
    engine: 'docker',
    edits: [{ file: '/etc/systemd/system/service.d/zzz.conf', to: '[Service]\nEnvironment=HTTPS_PROXY=\n' }],
    code: 'MIRRORS_FALL_BACK',
    where: `${DAEMON}:3`,
  },
  'a policy of a user whose home is elsewhere': {
    engine: 'podman',
    edits: [
      { file: '/etc/passwd', to: 'root:x:0:0::/root:/bin/sh\nci:x:990:990::/srv/ci:/bin/sh\n' },
      { file: '/srv/ci/.config/containers/policy.json', to: '{"default": [{"type": "insecureAcceptAnything"}]}' },
    ],
    code: 'DEFAULT_ACCEPTS',
    where: '/srv/ci/.config/containers/policy.json:1',
  },
  'another policy on the command line of CRI-O': {
    engine: 'podman',
    edits: [
      { file: '/etc/crio/crio.conf', to: '[crio.image]\n' },
      {
        file: '/usr/lib/systemd/system/crio.service',
        to: '[Service]\nExecStart=/usr/bin/crio --signature-policy /etc/crio/p.json\n',
      },
      { file: '/etc/crio/p.json', to: '{"default": []}' },
    ],
    code: 'DEFAULT_ACCEPTS',
    where: '/etc/crio/p.json:1',
  },
  'a gateway that CRI-O is told on its command line not to check': {
    engine: 'podman',
    edits: [
      {
        file: '/usr/lib/systemd/system/crio.service',
        to: '[Service]\nExecStart=/usr/bin/crio --insecure-registry gateway.example.com\n',
      },
    ],
    code: 'INSECURE_GATEWAY',
    where: '/usr/lib/systemd/system/crio.service:2',
  },
  'other registries by a variable of CRI-O': {
    engine: 'podman',
    edits: [
      {
        file: '/usr/lib/systemd/system/crio.service.d/a.conf',
        to: '[Service]\nEnvironment="CONTAINERS_REGISTRIES_CONF=/srv/registries.conf"\n',
      },
    ],
    code: 'REGISTRIES_ELSEWHERE',
    where: '/usr/lib/systemd/system/crio.service.d/a.conf:2',
  },
  'other registries by a variable of everybody': {
    engine: 'podman',
    edits: [{ file: '/etc/environment', to: 'LANG=C\nCONTAINERS_REGISTRIES_CONF=/srv/registries.conf\n' }],
    code: 'REGISTRIES_ELSEWHERE',
    where: '/etc/environment:2',
  },
  'other registries by a variable of every shell': {
    engine: 'podman',
    edits: [{ file: '/etc/profile.d/x.sh', to: 'export REGISTRIES_CONFIG_PATH="/srv/registries.conf"\n' }],
    code: 'REGISTRIES_ELSEWHERE',
    where: '/etc/profile.d/x.sh:1',
  },
  'other registries by a variable that containers.conf gives podman': {
    engine: 'podman',
    edits: [
      {
        file: '/etc/containers/containers.conf.d/x.conf',
        to: '[engine]\nenv = [\n"CONTAINERS_REGISTRIES_CONF=/srv/registries.conf"]\n',
      },
    ],
    code: 'REGISTRIES_ELSEWHERE',
    where: '/etc/containers/containers.conf.d/x.conf:3',
  },
}
for (const [name, { engine, edits, code, where }] of Object.entries(HOLES)) {
  await t.test(`${engine}: ${name}`, async (t) => {
    const findings = await found(engine, edits)
    const told = findings.map((one) => `${one.level} ${one.code} ${one.where}`)
    t.equal(told.filter((each) => each === `hole ${code} ${where}`).length, 1, told.join('\n'))
  })
}

/** A machine whose containerd is asked by a verifier, and pulls from registries themselves. */
const ASKED: readonly Edit[] = [
  { file: HOSTS, to: '' },
  { file: CONFIG, to: 'version = 3\n[plugins."io.containerd.cri.v1.images"]\n' },
  { file: VERIFIER, to: '#!/bin/sh\nexec tagseal verifier "$@"\n', mode: 0o755 },
]
const holesOf = (findings: readonly Finding[]) => findings.filter(({ level }) => level === 'hole')
const image = (line: string): Edit => ({ file: CONFIG, from: /$/, to: `${line}\n` })

await t.test('containerd: a verifier that is asked is enough', async (t) => {
  t.same(holesOf(await found('containerd', ASKED)), [])
  t.same(
    holesOf(
      await found('containerd', [
        ...ASKED.slice(1),
        image('use_local_image_pull = true\nregistry.config_path = "/etc/containerd/certs.d"'),
      ]),
    ),
    [],
    'and so is the gateway',
  )
})

const NOT_ASKED: Record<string, { edits: readonly Edit[]; code: string; where: string }> = {
  'an empty folder': {
    edits: [
      { file: VERIFIER },
      image('[plugins."io.containerd.image-verifier.v1.bindir"]\nbin_dir = "/opt/containerd/image-verifier/bin"'),
    ],
    code: 'NO_VERIFIER',
    where: `${CONFIG}:4`,
  },
  'a folder that is not there': {
    edits: [image('[plugins."io.containerd.image-verifier.v1.bindir"]\nbin_dir = "/opt/other"')],
    code: 'NO_VERIFIER',
    where: `${CONFIG}:4`,
  },
  'more programs than are asked': {
    edits: [
      image('[plugins."io.containerd.image-verifier.v1.bindir"]\nmax_verifiers = 1'),
      { file: '/opt/containerd/image-verifier/bin/0-first', to: '', mode: 0o755 },
    ],
    code: 'VERIFIER_SKIPPED',
    where: `${CONFIG}:4`,
  },
  'only the program of somebody else': {
    edits: [{ file: VERIFIER }, { file: '/opt/containerd/image-verifier/bin/other', to: '#!/bin/sh\n', mode: 0o755 }],
    code: 'VERIFIER_OTHER',
    where: '/opt/containerd/image-verifier/bin',
  },
  'a configuration of containerd 1': {
    edits: [{ file: CONFIG, from: '3', to: '2' }],
    code: 'VERIFIER_UNKNOWN_HERE',
    where: `${CONFIG}:1`,
  },
  'the part that asks is switched off': {
    edits: [{ file: CONFIG, from: /^/, to: 'disabled_plugins = ["io.containerd.image-verifier.v1.bindir"]\n' }],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:1`,
  },
  'the transfer service is switched off': {
    edits: [{ file: CONFIG, from: /^/, to: 'disabled_plugins = [\n"io.containerd.transfer.v1.local"]\n' }],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:2`,
  },
  use_local_image_pull: {
    edits: [image('use_local_image_pull = true')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  discard_unpacked_layers: {
    edits: [image('discard_unpacked_layers = true')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  max_concurrent_downloads: {
    edits: [image('max_concurrent_downloads = 5')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  image_pull_with_sync_fs: {
    edits: [image('image_pull_with_sync_fs = true')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  disable_snapshot_annotations: {
    edits: [image('disable_snapshot_annotations = false')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  'registry.mirrors': {
    edits: [image('registry.mirrors."docker.io".endpoint = ["https://a.io"]')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  'registry.configs': {
    edits: [image('registry.configs."a.io".tls.insecure_skip_verify = true')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
  'registry.auths': {
    edits: [image('registry.auths."https://a.io".username = "a"')],
    code: 'VERIFIER_NOT_ASKED',
    where: `${CONFIG}:3`,
  },
}
for (const [name, { edits, code, where }] of Object.entries(NOT_ASKED)) {
  await t.test(`containerd: a verifier that is not asked: ${name}`, async (t) => {
    const holes = holesOf(await found('containerd', [...ASKED, ...edits])).map((one) => `${one.code} ${one.where}`)
    t.ok(holes.includes(`${code} ${where}`), holes.join('\n'))
  })
}

const UNKNOWN: Record<string, { engine: EngineName; edits: readonly Edit[]; code: string }> = {
  'a broken daemon.json': { engine: 'docker', edits: [{ file: DAEMON, to: '{"a": 1,}' }], code: 'CONFIG_BROKEN' },
  'a daemon.json that says a thing twice': {
    engine: 'docker',
    edits: [{ file: DAEMON, to: '{"a": 1, "a": 2}' }],
    code: 'CONFIG_BROKEN',
  },
  'a proxy that may let others through': {
    engine: 'docker',
    edits: [{ file: DROP_IN, from: /127\.0\.0\.1:9/g, to: 'proxy.example.com:3128' }],
    code: 'PROXY_UNKNOWN',
  },
  'a broken config.toml': {
    engine: 'containerd',
    edits: [{ file: CONFIG, to: 'version = \n' }],
    code: 'CONFIG_BROKEN',
  },
  'a second entry for the same prefix in one file, of which the first counts': {
    engine: 'podman',
    edits: [
      {
        file: REGISTRIES,
        from: '[[registry]]',
        to: '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n\n[[registry]]',
      },
    ],
    code: 'CONFIG_BROKEN',
  },
  'a location in two spellings, of which chance takes one': {
    engine: 'podman',
    edits: [{ file: REGISTRIES, from: 'location =', to: 'Location = "docker.io"\nlocation =' }],
    code: 'CONFIG_BROKEN',
  },
  'a member of daemon.json in two spellings': {
    engine: 'docker',
    edits: [{ file: DAEMON, from: '{', to: '{"Registry-Mirrors": [],' }],
    code: 'CONFIG_BROKEN',
  },
  'a broken registries.conf': {
    engine: 'podman',
    edits: [{ file: extra, to: '[[registry]\n' }],
    code: 'CONFIG_BROKEN',
  },
  'a broken policy.json': { engine: 'podman', edits: [{ file: POLICY, to: 'default: []\n' }], code: 'CONFIG_BROKEN' },
}
for (const [name, { engine, edits, code }] of Object.entries(UNKNOWN)) {
  await t.test(`${engine}: could not find out: ${name}`, async (t) => {
    t.match(await found(engine, edits), [{ level: 'unknown', code }])
  })
}

const FINE: Record<string, { engine: EngineName; edits: readonly Edit[] }> = {
  'a short name that is an alias: what it stands for goes where that goes': {
    engine: 'podman',
    edits: [{ file: extra, to: '[aliases]\n"nginx" = "quay.io/evil/nginx"\n' }],
  },
  'a host that only gives out content': {
    engine: 'containerd',
    edits: [ownHosts(`${whole}[host."https://registry-1.docker.io"]\ncapabilities = ["pull"]\n`)],
  },
  'a registry that is blocked': {
    engine: 'podman',
    edits: [{ file: extra, to: entry('blocked = true\nlocation = "x.io"') }],
  },
  'a mirror for what may not be pulled': {
    engine: 'podman',
    edits: [{ file: extra, to: '[[registry]]\nprefix = "quay.io"\n[[registry.mirror]]\nlocation = "m.io"\n' }],
  },
  'a mirror that is the gateway, before the gateway': {
    engine: 'podman',
    edits: [
      {
        file: extra,
        to: entry(
          'location = "gateway.example.com/docker.io/library"\n[[registry.mirror]]\nlocation = "gateway.example.com"',
        ),
      },
    ],
  },
  'an unqualified name in a registry that leads to the gateway': {
    engine: 'podman',
    edits: [{ file: extra, to: 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "permissive"\n' }],
  },
  'loopback without the proxy': {
    engine: 'docker',
    edits: [{ file: DROP_IN, from: 'NO_PROXY=', to: 'NO_PROXY=localhost,127.0.0.1,' }],
  },
}
for (const [name, { engine, edits }] of Object.entries(FINE)) {
  await t.test(`${engine}: no hole: ${name}`, async (t) => t.same(await found(engine, edits), []))
}

await t.test('a proxy closes no registry on the machine itself, and that is told', async (t) => {
  t.match(await all('docker', []), [{ level: 'warning', code: 'LOOPBACK', where: `${DROP_IN}:4` }])
  const store = { file: DAEMON, from: '{', to: '{"features": {"containerd-snapshotter": true},' }
  t.match(await all('docker', [store]), [{ code: 'LOOPBACK' }], 'also with the store of containerd alone')
  const hosts = { file: '/etc/docker/certs.d/_default/hosts.toml', to: await readFile(join(closed, HOSTS), 'utf8') }
  t.same(await all('docker', [store, hosts]), [], 'and not where its hosts lead every name to the gateway')
})

await t.test('warnings are no holes', async (t) => {
  const foreign = { file: DAEMON, from: '{', to: '{"allow-nondistributable-artifacts": ["a.io"],' }
  t.match(await found('docker', [foreign]), [{ level: 'warning', code: 'FOREIGN_LAYERS' }])
  const search = 'unqualified-search-registries = ["docker.io", "registry.example.com"]\nshort-name-mode = "disabled"\n'
  t.match(await found('podman', [{ file: extra, to: search }]), [{ level: 'warning', code: 'SHORT_NAMES' }])
})
