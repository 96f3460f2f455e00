import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { parseImage } from '../../client/registry/reference.ts'
import { askAgent } from '../../client/verifier/ask.ts'
import { codeOf, tagseal } from '../support/cli.ts'
import { startGateway } from '../support/gateway.ts'
import { askInside, askVerifiers, makeBinDir } from '../support/image-verifier.ts'
import type { ContainerdAsk, Judgement } from '../support/image-verifier.ts'
import { buildImage } from '../support/images.ts'
import type { Stored } from '../support/images.ts'
import { COMPILED, TAGSEAL } from '../support/programs.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown, pinFrom } from '../support/town.ts'
import type { Person, Town } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

type Lab = {
  readonly town: Town
  readonly owner: Person
  /** What `1.0` meant first, what it means now, and what nobody signed. */
  readonly old: Stored
  readonly image: Stored
  readonly moved: Stored
  readonly policy: (more?: string) => string
  readonly file: string
  readonly folder: string
  /** containerd with one verifier that was given these options. */
  readonly containerd: (options: readonly string[], name?: string) => Promise<Asking>
  /** The same in this process. */
  readonly inside: (options: readonly string[], name?: string) => Asking
  readonly env: (name: string) => Readonly<Record<string, string>>
}
type Asking = (ask: Ask) => Promise<Judgement>
type Ask = Partial<ContainerdAsk> & { readonly tag?: string; readonly image?: Stored }

async function openLab(t: Test): Promise<Lab> {
  const town = await openTown()
  t.teardown(town.close)
  const owner = await town.person()
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  const key = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const old = await town.push('1.0', buildImage({ layers: [{ a: 'old' }] }))
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  const image = await town.push('1.0', buildImage({ layers: [{ a: 'new' }] }))
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  const moved = await town.push('1.0', buildImage({ layers: [{ a: 'evil' }] }))
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-verifier-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const policy = (more = '') => `version: 1
rules:
  - pattern: ${town.registry.host}/open/**
    unsigned: true
  - pattern: ${town.registry.host}/**
    pin: { keys: [${key}] }
    server: ${town.server.url}
    maxAge: 1s
${more}`
  const file = join(folder, 'policy.yaml')
  await writeFile(file, policy())
  const env = (name: string) => ({ HOME: folder, TAGSEAL_HOME: join(folder, `home-${name}`) })
  const full = ({ tag = '1.0', image: asked = image, ...more }: Ask) => {
    return { name: `${town.repository}:${tag}`, digest: asked.digest, size: asked.size, ...more }
  }
  return {
    town,
    owner,
    old,
    image,
    moved,
    policy,
    file,
    folder,
    env,
    async containerd(options, name = 'verifier') {
      const bin = await makeBinDir(join(folder, name), options)
      return async (ask) => await askVerifiers(bin, full(ask), env(name))
    },
    inside(options, name = 'inside') {
      return async (ask) => await askInside(options, full(ask), env(name))
    },
  }
}

/** `tagseal verifier --serve`, once it listens. */
async function startAgent(t: Test, { folder, file }: Lab) {
  const path = join(folder, 'agent.sock')
  const args = [TAGSEAL, 'verifier', '--serve', path, '--policy', file]
  const env = { ...COMPILED, PATH: process.env['PATH'], HOME: folder, TAGSEAL_HOME: join(folder, 'home-agent') }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const errors: string[] = []
  child.stderr.on('data', (part: Buffer) => errors.push(part.toString('utf8')))
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill(signal)
    await closed
  }
  t.teardown(() => end('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) if (line === `listening on ${path}`) break
  if (child.exitCode !== null) throw new Error(errors.join(''))
  const log = () =>
    errors
      .join('')
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : []))
  return { path, end, log, child }
}

await t.test('containerd asks, from cold', { skip }, async (t) => {
  const lab = await openLab(t)
  const ask = lab.inside(['--policy', lab.file])
  const { repository, registry } = lab.town
  const { image, old, moved } = lab

  const ADMITTED: Record<string, Ask> = {
    'the digest that a tag is signed as': {},
    'a digest that is in the name, and that a tag means': { name: `${repository}@${image.digest}` },
    'tag and digest in the name': { name: `${repository}:1.0@${image.digest}` },
    'what a rule of the policy lets in unsigned': { name: `${registry.host}/open/x:1`, image: moved },
  }
  for (const [name, asked] of Object.entries(ADMITTED)) {
    await t.test(`admits ${name}`, async (t) => {
      const got = await ask(asked)
      t.match(got, { ok: true, code: 0, failed: undefined }, got.debug)
      t.not(got.reason, '')
    })
  }

  const long = 'x'.repeat(300 * 1024)
  const flags = (...words: string[]) => ['-stdin-media-type', 'application/vnd.oci.descriptor.v1+json', ...words]
  const named = ['-name', `${repository}:1.0`]
  const digest = ['-digest', image.digest]
  const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: image.digest, size: image.size }
  const REFUSED: Record<string, Ask & { readonly code: number; readonly says?: string }> = {
    'a tag that moved in the registry': { image: moved, code: 1, says: 'DIGEST_DIFFERS' },
    'a tag that is rolled back to what it was signed as before': { image: old, code: 1, says: 'DIGEST_DIFFERS' },
    'a tag that nobody signed': { tag: 'none', code: 1, says: 'TAG_NOT_SIGNED' },
    'a digest that no tag means now': {
      name: `${repository}@${old.digest}`,
      image: old,
      code: 1,
      says: 'DIGEST_NOT_SIGNED',
    },
    'another digest than the one in the name': {
      name: `${repository}:1.0@${image.digest}`,
      image: moved,
      code: 1,
      says: 'OTHER_DIGEST',
    },
    'the right digest with another length': { size: image.size + 1, code: 1, says: 'SIZE_MISMATCH' },
    'a registry that no rule speaks of': { name: 'example.org/a:1', code: 1, says: 'NO_RULE' },
    'a name that is none': { name: 'A//b', code: 2, says: 'REFERENCE_INVALID' },
    'nothing on stdin': { stdin: '', code: 2, says: 'QUESTION_MALFORMED' },
    'junk on stdin': { stdin: '{"digest"', code: 2, says: 'QUESTION_MALFORMED' },
    'more on stdin than any descriptor is': { stdin: long, code: 2, says: 'QUESTION_MALFORMED' },
    'a descriptor of another digest': {
      stdin: JSON.stringify({ ...descriptor, digest: moved.digest }),
      code: 2,
      says: 'QUESTION_MALFORMED',
    },
    'a descriptor that says its digest twice': {
      stdin: JSON.stringify(descriptor).replace('{', `{"digest":"${moved.digest}",`),
      code: 2,
      says: 'QUESTION_MALFORMED',
    },
    'a descriptor without a size': {
      stdin: JSON.stringify({ ...descriptor, size: undefined }),
      code: 2,
      says: 'QUESTION_MALFORMED',
    },
    'a digest that cannot be checked': {
      args: flags(...named, '-digest', image.digest.toUpperCase()),
      code: 2,
      says: 'QUESTION_MALFORMED',
    },
    'another type of what is on stdin': {
      args: ['-stdin-media-type', 'text/plain', ...named, ...digest],
      code: 2,
      says: 'QUESTION_MALFORMED',
    },
    'no arguments at all': { args: [], code: 2, says: 'QUESTION_MALFORMED' },
    'no name': { args: flags(...digest), code: 2, says: 'QUESTION_MALFORMED' },
    'a flag that is unknown': { args: flags(...named, ...digest, '-later', '1'), code: 2 },
    'a flag that is given twice': { args: flags(...named, ...named, ...digest), code: 2 },
  }
  for (const [name, { code, says, ...asked }] of Object.entries(REFUSED)) {
    await t.test(`refuses ${name}`, async (t) => {
      const got = await ask(asked)
      t.match(got, { ok: false, code, failed: undefined }, got.debug)
      if (says !== undefined) t.match(got.reason, `(${says})`)
      t.notMatch(got.reason + got.debug, /\n\s+at /)
    })
  }

  const MACHINES: Record<string, { options: readonly string[]; code: number; says: string }> = {
    'without a policy and without pins': { options: [], code: 1, says: 'NOT_PINNED' },
    'whose policy is not there': { options: ['--policy', join(lab.folder, 'gone')], code: 3, says: 'POLICY_UNUSABLE' },
    'whose policy is broken': { options: ['--policy', TAGSEAL], code: 2, says: 'POLICY_MALFORMED' },
  }
  for (const [name, { options, code, says }] of Object.entries(MACHINES)) {
    await t.test(`refuses on a machine ${name}`, async (t) => {
      const asks = lab.inside(options, `bare${code}`)
      const got = await asks({})
      t.match(got, { ok: false, code })
      t.match(got.reason, `(${says})`)
    })
  }

  await t.test(
    'what was signed once is admitted by digest where the policy says so, and never by its tag',
    async (t) => {
      const file = join(lab.folder, 'once.yaml')
      await writeFile(file, lab.policy('    signedOnce: true\n'))
      const asks = lab.inside(['--policy', file], 'once')
      t.match(await asks({ name: `${repository}@${old.digest}`, image: old }), { ok: true })
      t.match(await asks({ image: old }), { ok: false, code: 1 })
      t.match(await asks({ name: `${repository}@${moved.digest}`, image: moved }), { ok: false, code: 1 })
    },
  )

  await t.test('fifty at once, of which one refreshes', async (t) => {
    const asks = lab.inside(['--policy', lab.file, '--timeout', '60'], 'fifty')
    const got = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => await asks({ image: i % 2 === 0 ? image : moved })),
    )
    t.same(
      got.map(({ code }) => code),
      got.map((_, i) => i % 2),
      got.map(({ reason }) => reason).join('\n'),
    )
  })

  await t.test('six programs at once', async (t) => {
    const asks = await lab.containerd(['--policy', lab.file, '--timeout', '60'])
    const got = await Promise.all(
      Array.from({ length: 6 }, async (_, i) => await asks({ image: i % 2 === 0 ? image : moved, timeoutMs: 60_000 })),
    )
    t.same(
      got.map(({ code }) => code),
      got.map((_, i) => i % 2),
      got.map(({ reason }) => reason).join('\n'),
    )
    t.match(await asks({ stdin: 'junk', timeoutMs: 60_000 }), { ok: false, code: 2, reason: /QUESTION_MALFORMED/ })
    t.match(await asks({ args: ['-later'], timeoutMs: 60_000 }), { ok: false, code: 2 })
  })

  await t.test('a trust server that says nothing is a no in time', async (t) => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    t.teardown(() => silent.close())
    const file = join(lab.folder, 'silent.yaml')
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    await writeFile(file, lab.policy().replaceAll(lab.town.server.url, url))
    const asks = await lab.containerd(['--policy', file, '--timeout', '1'], 'silent')
    const got = await asks({})
    t.match(got, { ok: false, code: 3, failed: undefined })
    t.match(got.reason, '(TOO_SLOW)')
    const { digest, size } = lab.image
    const asked = { name: `${lab.town.repository}:1.0`, digest, size }
    const late = await askInside(['--policy', file], asked, lab.env('late'), () => 7_950)
    t.match(late, { ok: false, code: 3, reason: /TOO_SLOW/ }, 'what Node took to start is counted')
    t.match(late.reason, 'within 8 s: 8.0 s until this program ran, 0.1 s for answers', 'and named')
    t.ok(late.ms < 5000, `${late.ms} ms`)
    const gone = join(lab.folder, 'gone')
    for (const [args, reason] of [
      [['--policy', gone], /POLICY_UNUSABLE/],
      [['--policy', file, '--ca', gone], /FILE_UNREADABLE/],
    ] as const) {
      const lost = await askInside(args, asked, lab.env('late'), () => 60_000)
      t.match(lost, { ok: false, reason }, 'a file that is missing is no matter of time')
    }
  })
})

await t.test('containerd asks, and an agent answers', { skip }, async (t) => {
  const lab = await openLab(t)
  const agent = await startAgent(t, lab)
  // No policy of its own: a yes can come from the agent alone.
  const ask = lab.inside(['--agent', agent.path])

  await t.test('by the policy of the agent', async (t) => {
    const asks = await lab.containerd(['--agent', agent.path])
    const yes = await asks({})
    t.match(yes, { ok: true, code: 0 }, yes.debug)
    const no = await asks({ image: lab.moved })
    t.match(no, { ok: false, code: 1 })
    t.match(no.reason, '(DIGEST_DIFFERS)')
    t.match(agent.log().at(-1), { event: 'verdict', outcome: 'refused', reason: 'DIGEST_DIFFERS' })
  })

  await t.test('fifty at once', async (t) => {
    const { image, moved, town } = lab
    const asked = parseImage(`${town.repository}:1.0`)
    const got = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const { digest, size } = i % 2 === 0 ? image : moved
        return await askAgent(agent.path, { image: asked, digest, size })
      }),
    )
    t.same(
      got.map((decision) => decision?.exit),
      got.map((_, i) => i % 2),
    )
    t.ok(
      Math.max(...agent.log().map(({ ms }) => Number(ms ?? 0))) < 8000,
      'none of them waited for containerd to lose its patience',
    )
  })

  await t.test('what is signed and revoked meanwhile counts as soon as the policy wants', async (t) => {
    const next = await lab.town.push('2.0', buildImage({ layers: [{ a: 'next' }] }))
    t.match(await ask({ tag: '2.0', image: next }), { ok: false, code: 1 })
    t.equal((await lab.owner.run(['sign', `${lab.town.repository}:2.0`])).code, 0)
    await delay(1100)
    t.match(await ask({ tag: '2.0', image: next }), { ok: true })
    t.equal((await lab.owner.run(['revoke', `${lab.town.repository}:2.0`])).code, 0)
    await delay(1100)
    t.match(await ask({ tag: '2.0', image: next }), { ok: false, code: 1 })
  })

  await t.test('a policy that changes counts, and a broken one changes nothing', async (t) => {
    const adopted = async (outcome: string, text: string) => {
      await writeFile(lab.file, text)
      for (let i = 0; i < 50 && agent.log().findLast(({ event }) => event === 'policy')?.['outcome'] !== outcome; i++) {
        await delay(100)
      }
    }
    await adopted('broken', 'version: 2\n')
    t.match(await ask({}), { ok: true })
    await adopted('adopted', 'version: 1\nrules: [{ pattern: "**", refuse: true }]\n')
    t.match(await ask({}), { ok: false, code: 1, reason: /REFUSED_BY_RULE/ })
    await writeFile(lab.file, lab.policy())
  })

  await t.test('a second agent does not take its place', async (t) => {
    const ran = await tagseal(['verifier', '--serve', agent.path, '--policy', lab.file], { env: lab.env('second') })
    t.same([ran.code, codeOf(ran)], [3, 'IO'], ran.stderr)
    t.equal(
      (await tagseal(['verifier', '--serve', lab.file, '--policy', lab.file], { env: lab.env('second') })).code,
      3,
    )
  })

  await t.test('a folder that others may write to is no place for its socket', async (t) => {
    await chmod(lab.folder, 0o777)
    const got = await ask({})
    await chmod(lab.folder, 0o700)
    t.match(got, { ok: false, code: 3, reason: /AGENT_UNUSABLE/ })
  })

  await t.test('an agent that was killed leaves no way around: the verifier finds out by itself', async (t) => {
    await agent.end('SIGKILL')
    t.match(await ask({}), { ok: false, code: 1, reason: /NOT_PINNED/ })
    const alone = lab.inside(['--agent', agent.path, '--policy', lab.file], 'alone')
    t.match(await alone({}), { ok: true })
    t.match(await alone({ image: lab.moved }), { ok: false, code: 1 })
  })

  await t.test('the next one takes the place of the one that was killed, and ends when it is told to', async (t) => {
    const next = await startAgent(t, lab)
    t.match(await ask({}), { ok: true })
    await next.end('SIGTERM')
    t.match(await ask({}), { ok: false })
  })

  await t.test('a gateway is an agent as well', async (t) => {
    const path = join(lab.folder, 'gateway.sock')
    const home = join(lab.folder, 'gateway')
    await makeBinDir(home, [])
    const gateway = await startGateway({ folder: home, policy: lab.policy(), args: ['--agent-socket', path] })
    t.teardown(() => gateway.stop())
    const asks = lab.inside(['--agent', path], 'gateway-asks')
    t.match(await asks({}), { ok: true })
    t.match(await asks({ image: lab.moved }), { ok: false, code: 1 })
    t.match(gateway.log().at(-1), { event: 'verdict', asked: 'verifier', outcome: 'refused' })
  })
})
