import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { run } from '../../client/run.ts'
import type { Surroundings } from '../../client/run.ts'
import { REPOSITORY_FIELD } from '../../tuf/model/repository.ts'
import { madeAuthority } from '../support/authority.ts'
import { codeOf } from '../support/cli.ts'
import { Simulator, targetOf } from '../support/simulator.ts'

const IMAGE = 'registry.example.com/team/app:1'

async function ran(argv: readonly string[], more: Partial<Surroundings> = {}) {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await run(argv, {
    env: {},
    homeDirectory: undefined,
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    clock: Date.now,
    monotonic: () => performance.now(),
    signal: new AbortController().signal,
    version: '0',
    ...more,
  })
  const [stdout, stderr] = [out.join(''), err.join('')]
  return { exit: code, stdout, stderr, code: codeOf({ code, stdout, stderr }) }
}

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tagseal-run-'))
  t.teardown(async () => await rm(path, { recursive: true }))
  return path
}

const VARIABLES: Record<string, { env: Record<string, string>; warns?: string }> = {
  'one misspelt': {
    env: { TAGSEAL_TOKEN_FIL: '/secret' },
    warns: 'TAGSEAL_TOKEN_FIL in the environment means nothing; was TAGSEAL_TOKEN_FILE meant?',
  },
  'a short one misspelt': { env: { TAGSEAL_HOM: '/x' }, warns: 'was TAGSEAL_HOME meant?' },
  ours: { env: { TAGSEAL_TOKEN: 'x', TAGSEAL_PKCS11_MODULE: '/x', TAGSEAL_POLICY: '/x', TAGSEAL_AGENT: '/x' } },
  "the server's": { env: { TAGSEAL_SERVER_CA: 'x', TAGSEAL_SERVER_OPEN: '1' } },
  "those of Kubernetes' services": {
    env: {
      TAGSEAL_PORT: 'tcp://10.0.0.1:80',
      TAGSEAL_SERVICE_HOST: '10.0.0.1',
      TAGSEAL_SERVER_PORT: 'tcp://10.0.0.1:80',
    },
  },
  "somebody's own": { env: { TAGSEAL_TAG: '1.4', TAGSEAL_NAME: 'app', TAGSEAL_REPO: 'app' } },
}
for (const [name, { env, warns }] of Object.entries(VARIABLES)) {
  await t.test(`${warns === undefined ? 'no warning' : 'a warning'} of variables: ${name}`, async (t) => {
    const home = await folder(t)
    const { exit, stderr } = await ran(['--home', home, 'trust', 'list'], { env })
    t.equal(exit, 0, stderr)
    if (warns === undefined) t.notMatch(stderr, 'warning:')
    else t.match(stderr, warns)
    t.notMatch(stderr, '/secret', 'and never says what is in it')
  })
}

await t.test('a user without a home directory is told what to do', async (t) => {
  t.match(await ran(['trust', 'list']), { exit: 2, code: 'USAGE', stderr: /hint: .*--home DIR/ })
  t.match(await ran(['trust', 'list'], { env: { TAGSEAL_HOME: await folder(t) } }), { exit: 0 })
})

await t.test('what is no token is refused before it is sent anywhere', async (t) => {
  const home = await folder(t)
  const file = join(home, 'token')
  const argv = ['history', IMAGE, '--server', 'http://127.0.0.1:1', '--home', home]
  for (const token of ['', 'two\nlines', 'two words', 'tökén']) {
    await writeFile(file, token)
    t.match(await ran([...argv, '--token-file', file]), { exit: 2, code: 'FILE_MALFORMED' }, `a file with "${token}"`)
    if (token === '') continue
    const got = await ran(argv, { env: { TAGSEAL_TOKEN: token } })
    t.match(got, { exit: 2, code: 'FILE_MALFORMED' }, `a variable with "${token}"`)
    t.notOk(got.stderr.includes(token), 'and not shown')
  }
})

await t.test('a file without certificates is no file of authorities', async (t) => {
  const home = await folder(t)
  const file = join(home, 'ca.pem')
  for (const content of ['', 'nonsense']) {
    await writeFile(file, content)
    const argv = ['history', IMAGE, '--server', 'https://127.0.0.1:1', '--home', home, '--ca', file]
    t.match(await ran(argv), { exit: 2, code: 'FILE_MALFORMED' })
  }
})

await t.test('what is wrong with a file of authorities is followed by what mends it', async (t) => {
  const home = await folder(t)
  const pem = await madeAuthority()
  const at = (name: string) => join(home, name)
  await writeFile(at('ca.der'), Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'))
  await writeFile(at('all.pem'), pem.repeat(200))
  const CASES: Record<string, { args: readonly string[]; code: string; hint: RegExp }> = {
    'DER, that a run names': {
      args: ['history', IMAGE, '--ca', at('ca.der')],
      code: 'FILE_MALFORMED',
      hint: /hint: .*openssl x509 -inform DER -in \S+ca\.der -out \S+ca\.der\.pem/,
    },
    'DER, that a pin is to keep': {
      args: ['trust', 'add', 'a.io/**', '--tofu', '--ca', at('ca.der')],
      code: 'FILE_MALFORMED',
      hint: /hint: .*openssl x509 -inform DER/,
    },
    "the world's list": {
      args: ['trust', 'add', 'a.io/**', '--tofu', '--ca', at('all.pem')],
      code: 'FILE_MALFORMED',
      hint: /hint: give the certificate of the authority of this server alone/,
    },
    'two files': {
      args: ['history', IMAGE, '--ca', at('a.pem'), '--ca', at('b.pem')],
      code: 'USAGE',
      hint: /hint: put both certificates into one file/,
    },
  }
  for (const [name, { args, code, hint }] of Object.entries(CASES)) {
    const answer = await ran([...args, '--server', 'https://127.0.0.1:1', '--home', home])
    t.match(answer, { exit: 2, code }, name)
    t.match(answer.stderr, hint, name)
  }
})

await t.test('a history with a date that is none is a bad answer', async (t) => {
  const entry = { tag: '1', role: 'targets', version: 1, keyids: [], digest: `sha256:${'0'.repeat(64)}` }
  let at: unknown
  const server = createServer((_request, response) => response.end(JSON.stringify({ entries: [{ ...entry, at }] })))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const argv = ['history', IMAGE, '--server', url, '--home', await folder(t)]
  for (at of [Number.MAX_SAFE_INTEGER, 'yesterday', null]) t.match(await ran(argv), { exit: 3, code: 'BAD_ANSWER' })
  at = '2026-06-01T12:00:00.000Z'
  t.match(await ran(argv), { exit: 0, stdout: /^2026-06-01T12:00:00\.000Z / })
})

await t.test(
  'an engine is told to do without TLS for this machine and hosts that were named, and sees no token',
  async (t) => {
    const home = await folder(t)
    const simulator = new Simulator({ unknown: new Map([[REPOSITORY_FIELD, 'registry.example.com/team/app']]) })
    simulator.sign({ '1': targetOf('manifest') })
    const server = createServer((request, response) => {
      const file = simulator.files.get(request.url?.split('/').at(-1) ?? '')
      response.writeHead(file === undefined ? 404 : 200).end(file)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    await writeFile(join(home, 'root.json'), simulator.anchor())
    const digest = `sha256:${createHash('sha256').update('manifest').digest('hex')}`
    const script = `#!/bin/sh\necho "$@" "token=$TAGSEAL_TOKEN" >> "${home}/asked"\necho x@${digest}\n`
    await writeFile(join(home, 'podman'), script, { mode: 0o755 })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const more = {
      env: { PATH: `${home}:/usr/bin:/bin`, TAGSEAL_HOME: home, TAGSEAL_SERVER: url, TAGSEAL_TOKEN: 'secret' },
      clock: () => simulator.now,
    }
    t.match(await ran(['trust', 'add', IMAGE.slice(0, -2), '--root', join(home, 'root.json')], more), { exit: 0 })
    const CASES: Record<string, string> = {
      '--plain-http': 'pull ',
      '--plain-http=registry.example.com': 'pull --tls-verify=false ',
      '--quiet': 'pull ',
    }
    for (const [option, start] of Object.entries(CASES)) {
      await rm(join(home, 'asked'), { force: true })
      t.match(await ran(['pull', IMAGE, '--engine', 'podman', option], more), { exit: 0 })
      const asked = await readFile(join(home, 'asked'), 'utf8')
      t.ok(asked.startsWith(`${start}registry.example.com/team/app@${digest} token=\n`), `${option}: ${asked}`)
    }
  },
)
