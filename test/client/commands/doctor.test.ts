import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import { buildImage } from '../../support/images.ts'
import { runInside } from '../../support/run-inside.ts'
import { makeCertificate, whyNoOpenssl } from '../../support/tls.ts'

const skip = (await whyNoOpenssl()) ?? false
const GATEWAY = 'https://gateway.example.com'

async function rootWith(t: Test, files: Readonly<Record<string, string>> = {}): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tagseal-root-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}

const doctor = async (root: string, ...args: string[]) =>
  await runInside(['doctor', '--root', root, '--gateway', GATEWAY, ...args])

await t.test('what is written is shown first, and nothing is written without a yes', async (t) => {
  const root = await rootWith(t, { 'etc/docker/daemon.json': '{\n  "log-level": "warn"\n}\n' })
  const shown = await doctor(root, '--write', 'docker')
  t.equal(shown.exit, 1)
  t.match(shown.stdout, `--- /etc/docker/daemon.json\n+++ /etc/docker/daemon.json\n`)
  t.match(shown.stdout, `+  "registry-mirrors": [`)
  t.match(shown.stderr, /hint: nothing is written yet; add --yes/)
  t.same(await readdir(join(root, 'etc/docker')), ['daemon.json'])
  t.match(await readFile(join(root, 'etc/docker/daemon.json'), 'utf8'), /^\{\n {2}"log-level": "warn"\n\}\n$/)
})

await t.test(
  'what was there is kept beside it, with the rest of its lines, and the second time nothing changes',
  async (t) => {
    const before = '{\n  "log-level": "warn",\n  "registry-mirrors": ["https://mirror.example.com"]\n}\n'
    const root = await rootWith(t, { 'etc/docker/daemon.json': before })
    const wrote = await doctor(root, '--write', 'docker', '--yes')
    t.equal(wrote.exit, 0, wrote.stderr)
    const folder = join(root, 'etc/docker')
    const [file = '', copy = ''] = (await readdir(folder)).toSorted()
    t.match(copy, /^daemon\.json\.\d{8}T\d{6}Z\.bak$/)
    t.equal(await readFile(join(folder, copy), 'utf8'), before)
    t.same(JSON.parse(await readFile(join(folder, file), 'utf8')), {
      'log-level': 'warn',
      'registry-mirrors': [GATEWAY],
    })
    const again = await doctor(root, '--write', 'docker', '--yes')
    t.match(again, { exit: 0, stdout: 'nothing to change\n' })
    t.equal((await readdir(folder)).length, 2)
    t.equal((await doctor(root, '--config-only')).exit, 0)
  },
)

const CONFIGS: Record<string, { before: string; expected: RegExp }> = {
  'without the table': {
    before: '# ours\nversion = 3\nroot = "/data"\n',
    expected:
      /^# ours\nversion = 3\nroot = "\/data"\n\n\[plugins\."io\.containerd\.cri\.v1\.images"\.registry\]\n {2}config_path = "\/etc\/containerd\/certs\.d"\n$/,
  },
  'of a version that only later ones write': {
    before: 'version = 4\n',
    expected: /^version = 4\n\n\[plugins\."io\.containerd\.cri\.v1\.images"\.registry\]\n/,
  },
  'with the table and another one behind it': {
    before:
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry] # here\n  config_path = ""\n[debug]\nlevel = "info"\n',
    expected: /registry\] # here\n {2}config_path = "\/etc\/containerd\/certs\.d"\n\[debug\]\nlevel = "info"\n$/,
  },
}
for (const [name, { before, expected }] of Object.entries(CONFIGS)) {
  await t.test(`a config.toml ${name} gets one line, and every folder that is there its hosts.toml`, async (t) => {
    const hosts = 'etc/containerd/certs.d/quay.io/hosts.toml'
    const root = await rootWith(t, { 'etc/containerd/config.toml': before, [hosts]: 'server = "https://quay.io"\n' })
    t.equal((await doctor(root, '--config-only')).exit, 1)
    const wrote = await doctor(root, '--write', 'containerd', '--yes')
    t.equal(wrote.exit, 0, wrote.stderr)
    t.match(await readFile(join(root, 'etc/containerd/config.toml'), 'utf8'), expected)
    t.match(await readFile(join(root, hosts), 'utf8'), `[host."${GATEWAY}"]`)
    t.equal((await doctor(root, '--config-only')).exit, 0)
    t.match(await doctor(root, '--write', 'containerd', '--yes'), { exit: 0, stdout: 'nothing to change\n' })
  })
}

await t.test('lines of others that stay open are named', async (t) => {
  const other = 'etc/containers/registries.conf.d/000-ours.conf'
  const line = '[[registry]]\nprefix = "docker.io/library"\nlocation = "docker.io/library"\n'
  const root = await rootWith(t, { [other]: line })
  const wrote = await doctor(root, '--write', 'podman', '--registry', 'docker.io', '--yes')
  t.equal(wrote.exit, 1)
  t.match(wrote.stderr, /warning: still open: \/etc\/containers\/registries\.conf\.d\/000-ours\.conf:3: /)
})

await t.test('the verifier of containerd 2 is a program that can be run', async (t) => {
  const root = await rootWith(t)
  const paths = ['--policy', "/etc/it's.yaml", '--agent', '/run/a.sock', '--program', '/usr/bin/tagseal']
  t.equal((await doctor(root, '--write', 'verifier', ...paths, '--yes')).exit, 0)
  const file = join(root, 'opt/containerd/image-verifier/bin/tagseal')
  t.equal((await stat(file)).mode & 0o777, 0o755)
  t.match(
    await readFile(file, 'utf8'),
    /^exec '\/usr\/bin\/tagseal' 'verifier' '--policy' '\/etc\/it'\\''s\.yaml' '--agent' '\/run\/a\.sock' "\$@" 2>&1\n$/m,
  )
})

await t.test(
  'the verifier of another machine gets what was given for it, and nothing of this environment',
  async (t) => {
    const root = await rootWith(t)
    const env = { TAGSEAL_HOME: '/here/home', TAGSEAL_CA: '/here/ca.pem' }
    const args = ['doctor', '--root', root, '--write', 'verifier', '--policy', '/p', '--program', '/usr/bin/tagseal']
    const written = async (...more: readonly string[]) => await runInside([...args, ...more], { env })
    t.match((await written()).stdout, "exec '/usr/bin/tagseal' 'verifier' '--policy' '/p' \"$@\"")
    const { stdout } = await written('--home', '/here/home', '--ca', '/etc/ca.pem')
    t.match(stdout, "exec '/usr/bin/tagseal' '--home' '/here/home' '--ca' '/etc/ca.pem' 'verifier' '--policy' '/p' ")
  },
)

await t.test('the verifier of this machine is written with what its environment says', async (t) => {
  const args = ['doctor', '--write', 'verifier', '--policy', '/p']
  const { stdout } = await runInside(args, { env: { TAGSEAL_HOME: '/here/home', TAGSEAL_CA: '/here/ca.pem' } })
  t.match(stdout, "'--home' '/here/home' '--ca' '/here/ca.pem' 'verifier' '--policy' '/p' ")
})

await t.test('the verifier of this machine is named in full, from wherever it is written', async (t) => {
  const args = ['--write', 'verifier', '--policy', 'policy.yaml', '--agent', 'run/agent.sock']
  const { stdout, stderr } = await runInside(['doctor', ...args])
  t.match(stdout, `'verifier' '--policy' '${resolve('policy.yaml')}' '--agent' '${resolve('run/agent.sock')}'`, stderr)
  t.match(stdout, `exec '${process.execPath}' '/`)
  const more = await runInside(['doctor', ...args, '--home', 'home', '--ca', 'ca.pem'])
  t.match(more.stdout, `'--home' '${resolve('home')}' '--ca' '${resolve('ca.pem')}' 'verifier' '--policy'`, more.stderr)
})

const whyNoPatch = spawnSync('patch', ['--version']).status === 0 ? false : 'patch is not installed'
const CHANGED: Record<string, { before?: string }> = {
  'a file that is new': {},
  'a file with more in it': { before: '{\n  "a": 1,\n  "b": 2,\n  "c": 3,\n  "debug": true\n}\n' },
  'a file whose last line has no end': { before: '{"debug": true}' },
  'an empty file': { before: '' },
  'a file whose end alone changes': { before: '{\n  "registry-mirrors": [\n    "https://gateway.example.com"\n  ]\n}' },
}
for (const [name, { before }] of Object.entries(CHANGED)) {
  await t.test(`patch makes of what is shown what would be written: ${name}`, { skip: whyNoPatch }, async (t) => {
    const files: Record<string, string> = before === undefined ? {} : { 'etc/docker/daemon.json': before }
    const [shown, written] = [await rootWith(t, files), await rootWith(t, files)]
    const { stdout } = await doctor(shown, '--write', 'docker')
    const patched = spawnSync('patch', ['-p1', '--directory', shown], { input: stdout, encoding: 'utf8' })
    t.equal(patched.status, 0, patched.stdout)
    t.notMatch(patched.stdout, /fuzz|offset/)
    t.equal((await doctor(written, '--write', 'docker', '--yes')).exit, 0)
    for (const path of ['etc/docker/daemon.json', 'etc/systemd/system/docker.service.d/zz-tagseal.conf'])
      t.equal(await readFile(join(shown, path), 'utf8'), await readFile(join(written, path), 'utf8'))
  })
}

await t.test('a gateway that speaks no TLS is asked so by names through it as well', async (t) => {
  const root = await rootWith(t)
  const args = ['--root', root, '--gateway', 'http://127.0.0.1:5080', '--write', 'podman', '--registry', 'docker.io']
  t.equal((await runInside(['doctor', ...args, '--yes'])).exit, 0)
  const written = await readFile(join(root, 'etc/containers/registries.conf.d/999-tagseal.conf'), 'utf8')
  t.match(written, 'prefix = "127.0.0.1:5080"\nlocation = "127.0.0.1:5080"\ninsecure = true\n')
  t.match(written, 'location = "127.0.0.1:5080/docker.io"\ninsecure = true\n')
})

const WRONG: Record<
  string,
  { args: readonly string[]; files?: Readonly<Record<string, string>>; exit: number; code: string; says?: string }
> = {
  'an engine that is none': { args: ['--write', 'rkt'], exit: 2, code: 'USAGE' },
  'an engine misspelt': { args: ['--write', 'dockr'], exit: 2, code: 'USAGE', says: 'hint: did you mean docker?' },
  'an engine to try misspelt': { args: ['--try', 'podmann'], exit: 2, code: 'USAGE', says: 'did you mean podman?' },
  'a gateway that is no address': { args: ['--gateway', 'gateway.example.com'], exit: 2, code: 'USAGE' },
  'an engine to try that is none': { args: ['--try', 'rkt'], exit: 2, code: 'USAGE' },
  'podman without registries': { args: ['--write', 'podman'], exit: 2, code: 'USAGE' },
  'two registries with ports for podman': {
    args: ['--write', 'podman', '--registry', 'a.io:1', '--registry', 'b.io:2'],
    exit: 2,
    code: 'USAGE',
  },
  'a bridge key for another engine': {
    args: ['--write', 'docker', '--bridge-key', 'bridge.pub'],
    exit: 2,
    code: 'USAGE',
  },
  'a bridge key that is not there': {
    args: ['--write', 'podman', '--registry', 'docker.io', '--bridge-key', '/nonexistent/bridge.pub'],
    exit: 2,
    code: 'FILE_UNREADABLE',
  },
  'a bridge key that is none': {
    args: ['--write', 'podman', '--registry', 'docker.io', '--bridge-key', fileURLToPath(import.meta.url)],
    exit: 2,
    code: 'USAGE',
  },
  'a registry with a scheme': {
    args: ['--write', 'podman', '--registry', 'https://docker.io'],
    exit: 2,
    code: 'USAGE',
  },
  'a registry that is a repository': {
    args: ['--write', 'podman', '--registry', 'docker.io/library'],
    exit: 2,
    code: 'USAGE',
  },
  'registries for another engine': {
    args: ['--write', 'docker', '--registry', 'docker.io'],
    exit: 2,
    code: 'USAGE',
  },
  'registries without something to write': { args: ['--registry', 'docker.io'], exit: 2, code: 'USAGE' },
  'a yes without something to write': { args: ['--yes'], exit: 2, code: 'USAGE' },
  'a canary beside something to write': { args: ['--write', 'docker', '--canary', 'a:1'], exit: 2, code: 'USAGE' },
  'an agent for another engine': { args: ['--write', 'docker', '--agent', '/run/a.sock'], exit: 2, code: 'USAGE' },
  'a verifier without a policy': {
    args: ['--write', 'verifier', '--program', '/usr/bin/tagseal'],
    exit: 2,
    code: 'USAGE',
  },
  'a verifier of another machine without its program': {
    args: ['--write', 'verifier', '--policy', '/etc/tagseal/policy.yaml'],
    exit: 2,
    code: 'USAGE',
  },
  'a verifier of another machine whose policy is beside us': {
    args: ['--write', 'verifier', '--policy', 'policy.yaml', '--program', '/usr/bin/tagseal'],
    exit: 2,
    code: 'USAGE',
  },
  'a machine that is not there': { args: ['--root', '/nonexistent/machine', '--config-only'], exit: 2, code: 'USAGE' },
  'a machine that is a file': {
    args: ['--root', fileURLToPath(import.meta.url), '--write', 'docker'],
    exit: 2,
    code: 'USAGE',
  },
  'a configuration that cannot be read': {
    args: ['--write', 'docker'],
    files: { 'etc/docker/daemon.json': '{' },
    exit: 2,
    code: 'FILE_MALFORMED',
  },
  'mirrors that exclude what would be written': {
    args: ['--write', 'containerd'],
    files: {
      'etc/containerd/config.toml': 'plugins."io.containerd.grpc.v1.cri".registry.mirrors.a.endpoint = ["b"]\n',
    },
    exit: 2,
    code: 'USAGE',
  },
}
for (const [name, { args, files, exit, code, says }] of Object.entries(WRONG)) {
  await t.test(`refuses ${name}`, async (t) => {
    const root = await rootWith(t, files)
    const gateway = args.includes('--gateway') ? [] : ['--gateway', GATEWAY]
    const ran = await runInside(['doctor', '--root', root, ...gateway, ...args])
    t.equal(ran.stdout, '')
    t.equal(ran.exit, exit)
    t.match(ran.stderr, `(${code})`)
    if (says !== undefined) t.match(ran.stderr, says)
  })
}

await t.test('the canary', async (t) => {
  const lab = await openGatewayLab()
  t.teardown(lab.close)
  const image = buildImage()
  lab.registry.serve(image)
  lab.sign({ '1.0': image.manifest })
  const root = await rootWith(t)
  const written = ['--root', root, '--gateway', lab.url]
  t.equal((await runInside(['doctor', ...written, '--write', 'docker', '--yes'])).exit, 0)
  const asked = async (canary: string, gateway = lab.url) =>
    await runInside(['doctor', '--root', root, '--gateway', gateway, '--canary', canary])

  await t.test('is refused by the gateway, and what was not tried is named', async (t) => {
    const ran = await asked(`${NAME}:unsigned`)
    t.equal(ran.exit, 0, ran.stdout)
    t.match(
      ran.stdout,
      /^canary: the gateway at http:\S+: refused, as it has to be: tagseal: [^;]* has no signed tag unsigned$/m,
    )
    t.match(ran.stdout, /^canary: docker: not tried: no engine of this machine is tried; --try ENGINE does$/m)
    t.match(ran.stdout, /^containerd: not found$/m)
    const { stdout } = await runInside(['doctor', ...written, '--canary', `${NAME}:unsigned`, '--json'])
    t.match(JSON.parse(stdout), {
      enforced: true,
      engines: [{ engine: 'docker', findings: [{ level: 'warning', code: 'LOOPBACK' }] }],
      trials: [{ outcome: 'refused' }],
    })
  })
  await t.test('that passes is a hole', async (t) =>
    t.match(await asked(`${NAME}:1.0`), {
      exit: 1,
      stdout: /: admitted: .* is given out; if it is signed, name another one with --canary$/m,
    }),
  )
  await t.test('is asked for as engines ask: by every type that there is', async (t) => {
    const only = createServer((request, response) => {
      const isAsked = request.headers.accept?.includes('application/vnd.oci.image.index.v1+json') === true
      response.writeHead(isAsked ? 200 : 404).end('{}')
    })
    only.listen(0, '127.0.0.1')
    await once(only, 'listening')
    t.teardown(() => only.close())
    const url = `http://127.0.0.1:${(only.address() as AddressInfo).port}`
    t.match(await asked(`${NAME}:1.0`, url), { exit: 1, stdout: /: admitted: / })
  })
  await t.test('behind a certificate of an own authority is asked for with that authority', { skip }, async (t) => {
    const { cert, key, ca } = await makeCertificate(t.testdir())
    const secure = createTlsServer({ cert: await readFile(cert), key: await readFile(key) }, (_request, response) =>
      response.end('{}'),
    )
    secure.listen(0, '127.0.0.1')
    await once(secure, 'listening')
    t.teardown(() => secure.close())
    const url = `https://127.0.0.1:${(secure.address() as AddressInfo).port}`
    const unknown = await asked(`${NAME}:1.0`, url)
    t.equal(unknown.exit, 3)
    t.match(unknown.stdout, /: unknown: .* showed a certificate .*\n {2}hint: .*--ca FILE/)
    const canary = ['--canary', `${NAME}:1.0`, '--ca', ca]
    t.match(await runInside(['doctor', '--root', root, '--gateway', url, ...canary]), { stdout: /: admitted: / })
  })
  await t.test('of a gateway that does not answer is unknown, and nobody is sent to a trust server', async (t) => {
    const { stdout } = await asked(`${NAME}:1.0`, 'http://127.0.0.1:9')
    t.match(stdout, /: unknown: .*\n {2}hint: .*--gateway URL/)
  })
  await t.test('by a registry that is no gateway of ours proves nothing', async (t) => {
    const other = createServer((_request, response) => response.writeHead(403).end('{"errors":[{"message":"no"}]}'))
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    t.teardown(() => other.close())
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    t.equal((await runInside(['doctor', '--root', root, '--gateway', url, '--write', 'docker', '--yes'])).exit, 0)
    t.match(await asked(`${NAME}:1.0`, url), { exit: 3, stdout: /: unknown: / })
  })
  await t.test('cannot be tried where no gateway answers', async (t) => {
    t.equal(
      (await runInside(['doctor', '--root', root, '--gateway', 'http://127.0.0.1:1', '--write', 'docker', '--yes']))
        .exit,
      0,
    )
    t.match(await asked(`${NAME}:1.0`, 'http://127.0.0.1:1'), { exit: 3 })
  })
})

await t.test('a machine without an engine enforces nothing', async (t) => {
  t.match(await doctor(await rootWith(t), '--config-only'), {
    exit: 3,
    stdout: /docker: not found\ncontainerd: not found\npodman: not found/,
  })
})
