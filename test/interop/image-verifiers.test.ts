/**
 * `tagseal verifier` in the place of the programs that containerd's own test of its verifiers calls
 * (TestBinDirVerifyImage in pkg/imageverifier/bindir/bindir_test.go): each of its cases, by its name, and what ours does
 * there. Where containerd lets everything in whatever a verifier would say, `tagseal doctor` has to call it a hole.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { checkMachine } from '../../client/doctor/doctor.ts'
import { gatewayAt } from '../../client/doctor/gateway.ts'
import { openMachine } from '../../client/doctor/machine.ts'
import { openGatewayLab } from '../support/gateway-lab.ts'
import { imageSaying } from '../support/engine-journeys.ts'
import { addVerifier, askInside, askVerifiers, makeBinDir } from '../support/image-verifier.ts'
import type { ContainerdAsk, Judged } from '../support/image-verifier.ts'

const REPOSITORY = 'registry.example.com/team/app'
const SIGNED = imageSaying('signed').manifest
const OTHER = imageSaying('not signed').manifest
const DESCRIPTOR_TYPE = 'application/vnd.oci.descriptor.v1+json'

const lab = await openGatewayLab({ name: REPOSITORY })
t.teardown(lab.close)
lab.sign({ '1.0': SIGNED })
const policy = join(lab.folder, 'policy.yaml')
const folder = await mkdtemp(join(tmpdir(), 'tagseal-verifiers-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
let made = 0

/** containerd waits for ten seconds, and this machine may do fifty other things. */
const PATIENCE = { timeoutMs: 60_000 }
const PATIENT = ['--timeout', '50']
const YES: ContainerdAsk = { name: `${REPOSITORY}:1.0`, digest: SIGNED.digest, size: SIGNED.size, ...PATIENCE }
const NO: ContainerdAsk = { ...YES, digest: OTHER.digest, size: OTHER.size }
const env = { HOME: folder, TAGSEAL_HOME: join(folder, 'home') }

/** Ours among others: those before it in order of names say yes, and the ones after it as well. */
async function binDir(others: readonly string[] = [], options: readonly string[] = ['--policy', policy, ...PATIENT]) {
  made += 1
  const dir = await makeBinDir(join(folder, String(made)), options)
  for (const name of others) await addVerifier(dir, name, `echo 'Reason of ${name}'`)
  return dir
}

/** What doctor finds on a machine whose containerd asks these verifiers, and pulls from registries themselves. */
async function holes(dir: string, most: number): Promise<readonly string[]> {
  made += 1
  const root = join(folder, `machine-${made}`)
  const config = `version = 3
[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "/verifiers"
max_verifiers = ${most}
`
  for (const [path, text] of [
    ['etc/containerd/config.toml', config],
    ['usr/bin/containerd', ''],
  ] as const) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  for (const name of await readdir(dir).catch(() => [])) {
    await mkdir(join(root, 'verifiers'), { recursive: true })
    await writeFile(join(root, 'verifiers', name), await readFile(join(dir, name)), { mode: 0o755 })
  }
  const found = checkMachine(openMachine(root), gatewayAt('https://gateway.example.com'))
  const holes = found.flatMap(({ findings = [] }) => findings.filter(({ level }) => level === 'hole'))
  return holes.map(({ code }) => code)
}

const LETS_IN: Record<string, { others: readonly string[]; most: number; dir?: 'missing' | 'empty'; code: string }> = {
  'missing directory: everything is let in, and doctor says so': {
    others: [],
    most: 10,
    dir: 'missing',
    code: 'NO_VERIFIER',
  },
  'empty directory: everything is let in, and doctor says so': {
    others: [],
    most: 10,
    dir: 'empty',
    code: 'NO_VERIFIER',
  },
  'max verifiers = 0: nobody is asked, and doctor says so': { others: [], most: 0, code: 'VERIFIER_SKIPPED' },
  'max verifiers = 1: only the one before ours is asked, and doctor says so': {
    others: ['first'],
    most: 1,
    code: 'VERIFIER_SKIPPED',
  },
  'max verifiers = 2: only the two before ours are asked, and doctor says so': {
    others: ['first', 'second'],
    most: 2,
    code: 'VERIFIER_SKIPPED',
  },
}
for (const [name, { others, most, dir, code }] of Object.entries(LETS_IN)) {
  await t.test(name, async (t) => {
    const bin = dir === undefined ? await binDir(others) : join(folder, dir)
    if (dir === 'empty') await mkdir(bin)
    t.match(await askVerifiers(bin, { ...NO, most }, env), { ok: true, code: others.length === 0 ? undefined : 0 })
    t.same(await holes(bin, most), ['NO_DEFAULT_HOSTS', code])
    t.same(await holes(await binDir(others), -1), [], 'and nothing of one that is asked')
  })
}

const long = (size: number) => ({ large_payload: '0'.repeat(size) })

/** `words` is what whoever pulls gets to see. */
type Case = {
  readonly ask: ContainerdAsk
  readonly others?: readonly string[]
  readonly expect: Partial<Judged> | { readonly [name in keyof Judged]?: unknown }
}
const ASKED: Record<string, Case> = {
  'proper input/output management: a signed image is let in, and the reason is one line': {
    ask: { ...YES, annotations: { a: 'b' } },
    expect: {
      ok: true,
      words: /^tagseal => \S+:1\.0 is signed as sha256:\w{64} by \w+ \(root \d+, snapshot \d+\)$/,
      debug: '',
    },
  },
  'large output is truncated: of a name that is too long no more is said than anybody reads': {
    ask: { ...YES, name: `${REPOSITORY}:${'x'.repeat(100_000)}` },
    expect: { ok: false, code: 2, words: /^verifier tagseal rejected image \(exit code 2\): .{1,1100}$/, debug: '' },
  },
  'max verifiers = 3, all accept: the reasons of all stand side by side': {
    ask: { ...YES, most: 3 },
    others: ['first', 'zlast'],
    expect: { ok: true, words: /^first => Reason of first, tagseal => .* is signed as .*, zlast => Reason of zlast$/ },
  },
  'max verifiers = 3, with reject: our no is final': {
    ask: { ...NO, most: 3 },
    others: ['first', 'second'],
    expect: { ok: false, words: /^verifier tagseal rejected image \(exit code 1\): refused: .* \(DIGEST_DIFFERS\)/ },
  },
  'max verifiers = -1, all accept: however many there are': {
    ask: YES,
    others: ['a', 'b', 'c', 'zlast'],
    expect: { ok: true, words: /^a => .*, b => .*, c => .*, tagseal => .* is signed as .*, zlast => / },
  },
  'max verifiers = -1, with reject: nobody after us is asked': {
    ask: NO,
    others: ['a', 'zlast'],
    expect: { ok: false, words: /^verifier tagseal rejected image \(exit code 1\): refused: .* \(DIGEST_DIFFERS\)/ },
  },
  "descriptor larger than linux pipe buffer: it is read, though others don't read stdin": {
    ask: { ...YES, annotations: long(2 * 64 * 1024) },
    others: ['first'],
    expect: { ok: true, words: /tagseal => .* is signed as / },
  },
  'descriptor larger than anybody writes: a no, while containerd still writes': {
    ask: { ...YES, annotations: long(4 * 1024 * 1024) },
    expect: {
      ok: false,
      code: 2,
      words: /exit code 2\): refused: stdin: there is too much of it \(QUESTION_MALFORMED\)/,
    },
  },
  'nothing is written to stdin, and it is never closed': {
    ask: { ...YES, stdin: undefined },
    expect: { ok: false, code: 3, words: /nothing was found out within 2 s: .* \(TOO_SLOW\)/ },
  },
  'stdin is closed at once': {
    ask: { ...YES, stdin: '' },
    expect: { ok: false, code: 2, words: /\(QUESTION_MALFORMED\)/ },
  },
  'bytes on stdin that are no text': {
    ask: { ...YES, stdin: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]) },
    expect: { ok: false, code: 2, words: /\(QUESTION_MALFORMED\)/ },
  },
  'a name that would write lines of its own': {
    ask: { ...YES, name: `${REPOSITORY}:\u001b[2J\n1.0` },
    expect: { ok: false, code: 2, words: /^\P{Cc}*\(REFERENCE_INVALID\)\P{Cc}*$/u },
  },
}
const hasNothing = (ask: ContainerdAsk) => 'stdin' in ask && ask.stdin === undefined
for (const [name, { ask, others, expect }] of Object.entries(ASKED)) {
  await t.test(name, async (t) => {
    const bin = await binDir(others, ['--policy', policy, '--timeout', hasNothing(ask) ? '2' : '50'])
    t.match(await askVerifiers(bin, ask, env), expect)
  })
}

await t.test('max verifiers = -1, with timeout: we are done before, and say so', async (t) => {
  const silent = await openSilence(t)
  const slow = await binDir(['first'], ['--policy', silent.policy, '--timeout', '1'])
  const got = await askVerifiers(slow, { ...YES, timeoutMs: 30_000 }, silent.env)
  t.match(got, {
    ok: false,
    code: 3,
    words: /exit code 3\): refused: nothing was found out within 1 s: .* \(TOO_SLOW\)/,
  })
})

await t.test(
  'max verifiers = -1, with timeout: killed, it leaves nothing that runs and nothing in the way',
  async (t) => {
    const silent = await openSilence(t)
    const bin = await binDir([], ['--policy', silent.policy, ...PATIENT])
    const children: ChildProcess[] = []
    const asked = askVerifiers(bin, { ...YES, started: (child) => children.push(child) }, silent.env)
    await silent.asked // it holds the lock of those that are to refresh
    const [child] = children
    process.kill(-(child?.pid ?? NaN), 'SIGKILL')
    t.match(await asked, { ok: false, failed: 'waiting on command to exit: signal: SIGKILL' })
    t.throws(() => process.kill(-(child?.pid ?? NaN), 0), { code: 'ESRCH' }, 'nobody of its group is left')
    await writeFile(silent.policy, await readFile(policy))
    const next = await askVerifiers(bin, YES, silent.env)
    t.match(next, { ok: true, code: 0 }, next.words)
  },
)

await t.test(
  'max verifiers = -1, with exec failure: a program that cannot be run, and one that is not there',
  async (t) => {
    const bin = await binDir()
    await addVerifier(bin, 'bad', '', 0o644)
    t.match(await askVerifiers(bin, YES, env), { ok: false, words: /^failed to call verifier bad: starting process: / })
    await addVerifier(bin, 'bad', 'exec /nonexistent/tagseal verifier "$@"')
    t.match(await askVerifiers(bin, YES, env), { ok: false, words: /^verifier bad rejected image \(exit code 127\): / })
  },
)

await t.test('a verifier that is told to end says no', async (t) => {
  const silent = await openSilence(t)
  const bin = await binDir([], ['--policy', silent.policy, ...PATIENT])
  const children: ChildProcess[] = []
  const asked = askVerifiers(bin, { ...YES, started: (child) => children.push(child) }, silent.env)
  await silent.asked
  children[0]?.kill('SIGTERM')
  t.match(await asked, { ok: false, reason: /\(INTERRUPTED\)/ })
})

await t.test('a reader of its reason that went away changes no verdict', async (t) => {
  const bin = await binDir()
  const started = (child: ChildProcess) => void child.stdout?.destroy()
  t.match(await askVerifiers(bin, { ...YES, started }, env), { ok: true, code: 0, reason: '' })
  t.match(await askVerifiers(bin, { ...NO, started }, env), { ok: false, code: 1, reason: '' })
})

const type = ['-stdin-media-type', DESCRIPTOR_TYPE]
const digest = ['-digest', SIGNED.digest]
const name = ['-name', YES.name]
/** Arguments that containerd does not give, or not yet, or that somebody has it give by the name of an image. */
const WORDS: Record<string, { readonly args: readonly string[]; readonly says: RegExp }> = {
  'nothing at all': { args: [], says: /-name: it is missing \(QUESTION_MALFORMED\)/ },
  'no digest': {
    args: [...name, ...type],
    says: /-digest: it is no digest that can be checked \(QUESTION_MALFORMED\)/,
  },
  'no media type': { args: [...name, ...digest], says: /-stdin-media-type: only .* is known \(QUESTION_MALFORMED\)/ },
  'an argument that only a later containerd gives': {
    args: [...name, ...digest, ...type, '-operation', 'run'],
    says: /operation.*\(USAGE\)/,
  },
  'an argument too many': { args: [...name, ...digest, ...type, 'docker.io/library/alpine'], says: /\(USAGE\)/ },
  'a name that reads as a question for help': {
    args: ['-name', '--help', ...digest, ...type],
    says: /REFERENCE_INVALID/,
  },
  'a name that reads as a question for the version': {
    args: ['-name', '--version', ...digest, ...type],
    says: /REFERENCE_INVALID/,
  },
  'a name that is a short question for the version': {
    args: ['-name', '-V', ...digest, ...type],
    says: /REFERENCE_INVALID/,
  },
  'a name that reads as a command': { args: ['-name', 'help', ...digest, ...type], says: /NO_RULE/ },
  'a name that reads as an argument': { args: ['-name', '-digest', ...digest, ...type], says: /./ },
  'an empty name': { args: ['-name', '', ...digest, ...type], says: /name.*it is empty.*\(USAGE\)/ },
}
for (const [given, { args, says }] of Object.entries(WORDS)) {
  await t.test(`a no for ${given}`, async (t) => {
    const got = await askInside(['--policy', policy], { ...YES, args }, env)
    t.match(got, { ok: false }, got.reason)
    t.match(got.reason + got.debug, says)
  })
}

/** A trust server that never answers, a policy that names it, and when it was first asked. */
async function openSilence(t: Test) {
  const open = new Set<Socket>()
  const server = createServer((socket) => open.add(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  made += 1
  const own = join(folder, `silence-${made}`)
  await mkdir(own)
  await writeFile(join(own, 'root.json'), await readFile(join(lab.folder, 'root.json')))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await writeFile(join(own, 'policy.yaml'), (await readFile(policy, 'utf8')).replaceAll(lab.lab.url, url))
  return {
    policy: join(own, 'policy.yaml'),
    env: { HOME: own, TAGSEAL_HOME: join(own, 'home') },
    asked: once(server, 'connection'),
  }
}
