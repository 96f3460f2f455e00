/** Root, targets and a delegated role are signed by keys that are in no file of ours, and a stock TUF client agrees. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Updater } from 'tuf-js'
import { codeOf, documentOf, tagseal } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { serverHere } from '../support/in-process.ts'
import { whyNoNotary } from '../support/notary.ts'
import { runProgram } from '../support/program.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { privateFolder } from '../support/secrets.ts'
import { exampleSigner, startAgent, startToken, whyNoTokens } from '../support/signers.ts'
import { openTown, pinFrom } from '../support/town.ts'

/** Five keys of a signer, and what its users have in their environment. */
type Keys = {
  readonly env: Readonly<Record<string, string>>
  readonly root: string
  readonly targets: string
  readonly next: string
  readonly team: string
}

const skip = (await whyNoRegistry()) ?? false
const noNotary = (await whyNoNotary()) ?? false

const SIGNERS: Record<string, { readonly keys: (t: Test) => Promise<Keys>; readonly skip: string | false }> = {
  'an ssh-agent': { keys: agentKeys, skip },
  'a PKCS#11 token': { keys: tokenKeys, skip: skip || (whyNoTokens() ?? false) },
  'the openssl example': { keys: programKeys, skip },
}

for (const [name, { keys, skip: why }] of Object.entries(SIGNERS)) {
  await t.test(`${name} signs root, targets and a delegation`, { skip: why }, async (t) => {
    const { env, root, targets, next, team } = await keys(t)
    const town = await openTown({}, tagseal, serverHere)
    t.teardown(town.close)
    const { repository } = town
    const [owner, consumer] = [await town.person(), await town.person()]
    const images = new Map<string, string>()
    for (const tag of ['1.0', '2.0', 'team-1']) {
      images.set(tag, (await town.push(tag, buildImage({ layers: [{ tag }] }))).digest)
    }
    const run = async (t: Test, ...args: string[]) => {
      const ran = await owner.run(args, { env })
      t.equal(ran.code, 0, `${args.slice(0, 2).join(' ')}: ${ran.stderr}`)
      return ran
    }

    await t.test('named on the command line, where a key id would stand', async (t) => {
      const made = await run(t, 'init', repository, '--root-key', root, '--targets-key', targets)
      t.equal((await consumer.run(pinFrom(made))).code, 0)
      await run(t, 'sign', `${repository}:1.0`, '--key', targets)
      const without = await owner.run(['sign', `${repository}:2.0`], { env })
      t.same([without.code, codeOf(without)], [1, 'NO_SIGNING_KEY'], 'a key that is not kept is used where it is named')
    })
    await t.test('kept as a reference, and found without being named', async (t) => {
      await run(t, 'key', 'import', root, '--name', 'root')
      await run(t, 'key', 'import', targets, '--name', 'targets')
      await run(t, 'sign', `${repository}:2.0`)
      await run(t, 'rotate', repository, 'targets', '--key', next)
      await run(t, 'key', 'import', next)
      await run(t, 'rotate', repository, 'root', '--key', 'root')
    })
    await t.test('for a delegated role', async (t) => {
      await run(t, 'delegation', 'add', repository, 'team', '--key', team, '--path', 'team-*')
      await run(t, 'sign', `${repository}:team-1`, '--role', 'team', '--key', team)
    })

    await t.test('no private key came to be on this machine', async (t) => {
      const files = readdirSync(join(owner.home, 'keys'))
      t.equal(files.length, 3)
      t.ok(files.every((file) => /^[0-9a-f]{64}\.ref$/.test(file)))
      const listed = documentOf(await owner.run(['key', 'list', '--json'])) as { keys: { signer: string }[] }
      const kind = root.slice(0, root.indexOf(':'))
      t.same(
        listed.keys.map(({ signer }) => signer.slice(0, signer.indexOf(':'))),
        [kind, kind, kind],
      )
    })
    await t.test('consumers follow', async (t) => {
      for (const [tag, digest] of images) {
        const verified = await consumer.run(['verify', `${repository}:${tag}`])
        t.same([verified.code, verified.stdout], [0, `${repository}@${digest}\n`], verified.stderr)
      }
    })
    await t.test('tuf-js accepts all of it', async (t) => {
      const updater = await stockClient(t, town.server.url, repository)
      for (const [tag, digest] of images) {
        const found = await updater.getTargetInfo(tag)
        t.equal(`sha256:${found?.hashes['sha256']}`, digest, tag)
      }
    })
  })
}

for (const [name, { keys, skip: why }] of Object.entries(SIGNERS)) {
  await t.test(`${name} signs what notary reads`, { skip: why || noNotary }, async (t) => {
    const { env, next, ...made } = await keys(t)
    const [root, targets] = name === 'an ssh-agent' ? [made.root, next] : [made.root, made.targets]
    const town = await openTown({}, tagseal, serverHere)
    t.teardown(town.close)
    const { repository } = town
    const [owner, consumer] = [await town.person(), await town.person()]
    const { digest } = await town.push('1.0', buildImage())
    const keysOf = ['--root-key', root, '--targets-key', targets]
    const init = await owner.run(['init', repository, '--dialect', 'notary', ...keysOf], { env })
    t.equal(init.code, 0, init.stderr)
    const signed = await owner.run(['sign', `${repository}:1.0`, '--key', targets], { env })
    t.equal(signed.code, 0, signed.stderr)
    t.equal((await consumer.run(pinFrom(init))).code, 0)
    t.equal((await consumer.run(['verify', `${repository}:1.0`])).stdout, `${repository}@${digest}\n`)
    const listed = await runProgram('notary', ['-s', town.server.url, '-d', t.testdir(), 'list', repository])
    t.match(listed.stdout, new RegExp(`^1\\.0 +${digest.slice('sha256:'.length)} `, 'm'), listed.stderr)
  })
}

/** ed25519 and ecdsa P-256, by comment and by fingerprint. */
async function agentKeys(t: Test): Promise<Keys> {
  const agent = await startAgent(t)
  return {
    env: agent.env,
    root: `ssh:${agent.add('ecdsa', 'root key')}`,
    targets: `ssh:${(agent.add('ed25519', 'release@example.com'), 'release@example.com')}`,
    next: `ssh:${agent.add('ecdsa', 'the next one')}`,
    team: `ssh:${agent.add('ed25519', 'team')}`,
  }
}

async function tokenKeys(t: Test): Promise<Keys> {
  const { env } = startToken(t)
  const home = privateFolder(t)
  const make = async (object: string, algorithm: string) => {
    const uri = `pkcs11:token=release;object=${object}`
    const args = ['key', 'generate', '--pkcs11', uri, '--algorithm', algorithm]
    const made = await tagseal(args, { env: { ...env, TAGSEAL_HOME: home, HOME: home } })
    if (made.code !== 0) throw new Error(made.stderr)
    return uri
  }
  return {
    env,
    root: await make('root', 'ecdsa-p256'),
    targets: await make('targets', 'ed25519'),
    next: await make('next', 'rsa-pss'),
    team: await make('team', 'ecdsa-p256'),
  }
}

async function programKeys(t: Test): Promise<Keys> {
  return {
    env: {},
    root: exampleSigner(t, 'ecdsa-p256'),
    targets: exampleSigner(t, 'ecdsa-p384'),
    next: exampleSigner(t, 'rsa-pss'),
    team: exampleSigner(t, 'ed25519'),
  }
}

/** A tuf-js client that was given the repository's first root. */
async function stockClient(t: Test, server: string, repository: string): Promise<Updater> {
  const metadataBaseUrl = `${server}/v2/${repository}/_trust/tuf`
  const metadataDir = join(t.testdir(), 'metadata')
  mkdirSync(metadataDir)
  const first = await fetch(`${metadataBaseUrl}/1.root.json`)
  writeFileSync(join(metadataDir, 'root.json'), Buffer.from(await first.arrayBuffer()))
  const updater = new Updater({ metadataDir, metadataBaseUrl })
  await updater.refresh()
  return updater
}
