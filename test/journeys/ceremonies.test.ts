/** Root ceremonies of holders in different places, who share nothing but a file that is carried between them. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { done, makeKey, openCeremony, pinIn, stockClient } from '../support/ceremony.ts'
import type { Ceremony, Holder } from '../support/ceremony.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { exampleSigner, startAgent, startToken, whyNoTokens } from '../support/signers.ts'

const skip = (await whyNoRegistry()) ?? false
const NAMES = ['alice', 'bob', 'carol', 'dora', 'erin'] as const

await t.test('a ceremony of three of five', { skip }, async (t) => {
  const ceremony = await openCeremony(t)
  const { repository } = ceremony
  const holders = NAMES.map((name) => ceremony.holder(name))
  const [alice, bob, carol, dora, erin] = holders as [Holder, Holder, Holder, Holder, Holder]
  const [pipeline, consumer] = [ceremony.holder('pipeline'), ceremony.holder('consumer')]
  const tag = `${repository}:1.0`
  const digest = await ceremony.push('1.0')
  let pin: readonly string[] = []
  let pinNow: readonly string[] = []

  await t.test('founds the repository: each signs at home, and only the file travels', async (t) => {
    const joins: string[] = []
    for (const holder of holders) {
      const key = await makeKey(holder)
      joins.push('--add-root', `${holder.name}=${ceremony.carry(holder, key, alice)}`)
    }
    const ci = ceremony.carry(pipeline, await makeKey(pipeline, 'ci'), alice)
    const out = alice.path('first.json')
    const wish = [...joins, '--root-threshold', '3', '--add-targets', `ci=${ci}`, '--out', out]
    const proposed = done(t, await alice.online(['root', 'propose', repository, ...wish]))
    t.match(proposed.stdout, /^root 1 of .* founds it$/m)
    t.match(proposed.stdout, /^root: 3 of 5 keys must sign$/m)
    t.match(proposed.stdout, /^root: in {5}[0-9a-f]{64} ed25519 erin$/m)

    await relay(t, ceremony, 'first.json', [alice, carol, erin, pipeline])
    ceremony.carry(pipeline, 'first.json', bob)
    const status = done(t, await bob.run(['root', 'status', bob.path('first.json'), '--json']))
    t.match(JSON.parse(status.stdout), { complete: true })
    const published = done(t, await bob.online(['root', 'publish', bob.path('first.json')]))
    pin = pinIn(published)
    t.match(published.stdout, /^tagseal trust add .* --threshold 3 --server /m)
    done(t, await consumer.online(pin))
    done(t, await pipeline.online(pin))
    done(t, await pipeline.online(['sign', tag]))
    t.equal(done(t, await consumer.online(['verify', tag])).stdout, `${repository}@${digest}\n`)
  })

  await t.test('replaces a root key and the key of the pipeline, whose tags stay signed', async (t) => {
    const [frank, newPipeline] = [ceremony.holder('frank'), ceremony.holder('new-pipeline')]
    const key = ceremony.carry(frank, await makeKey(frank), bob)
    const ci = ceremony.carry(newPipeline, await makeKey(newPipeline, 'ci-2'), bob)
    const out = bob.path('second.json')
    const root = ['--add-root', `frank=${key}`, '--remove-root', 'alice']
    const targets = ['--add-targets', `ci-2=${ci}`, '--remove-targets', 'ci', '--replace-timestamp']
    const proposed = done(t, await bob.online(['root', 'propose', repository, ...root, ...targets, '--out', out]))
    t.match(proposed.stdout, /^root: out {4}[0-9a-f]{64} ed25519 alice$/m)
    t.match(proposed.stdout, /^targets 3 goes with it: 1 tag as in version 2; it expires /m)
    t.match(proposed.stdout, /^timestamp: in /m)

    const copies: string[] = []
    for (const holder of [dora, frank, alice, carol, newPipeline]) {
      const file = ceremony.carry(bob, 'second.json', holder)
      done(t, await holder.run(['root', 'sign', file, '--yes']))
      copies.push(ceremony.carry(holder, 'second.json', erin, `from-${holder.name}.json`))
    }
    await t.test('copies merge in any order', async (t) => {
      const outcomes = new Set<string>()
      for (const order of [copies, copies.toReversed(), [...copies.slice(2), ...copies.slice(0, 2)]]) {
        outcomes.add(done(t, await erin.run(['root', 'status', ...order, '--json'])).stdout.replace(/"called".*/g, ''))
      }
      t.equal(outcomes.size, 1)
      t.match(JSON.parse(done(t, await erin.run(['root', 'status', ...copies, '--json'])).stdout), { complete: true })
    })
    await t.test('one copy alone is not enough, and it is said who is missing', async (t) => {
      const [first = ''] = copies
      done(t, await erin.online(pin))
      const early = await erin.online(['root', 'publish', first])
      t.match(early, { exit: 1, code: 'SIGNATURES_MISSING' })
      t.match(early.stderr, /root 2 needs 3 signatures and has 1; not yet: .*alice \([0-9a-f]{12}\).*bob/)
    })
    const published = done(t, await erin.online(['root', 'publish', ...copies]))
    pinNow = pinIn(published)
    t.match(published.stderr, /root 2 of .* is published/)
    t.equal(done(t, await consumer.online(['verify', tag])).stdout, `${repository}@${digest}\n`)

    await t.test('published again, it is done already', async (t) => {
      t.match(done(t, await erin.online(['root', 'publish', ...copies])).stderr, /was published already/)
    })
    await t.test('the old pipeline signs no more, and the new one does', async (t) => {
      await ceremony.push('2.0')
      t.match(await pipeline.online(['sign', `${repository}:2.0`]), { exit: 1, code: 'NO_SIGNING_KEY' })
      done(t, await newPipeline.online(pin))
      done(t, await newPipeline.online(['sign', `${repository}:2.0`]))
    })
    await t.test('whoever replaces a key of another by its name is told that both are here then', async (t) => {
      const shown = done(t, await bob.online(['status', repository]))
      t.match(shown.stdout, /^root .* 3 of 5: .*dora \([0-9a-f]{12}\)/m)
      const lost = [
        'rotate',
        repository,
        'root',
        '--lost',
        'dora',
        '--no-passphrase',
        '--propose',
        bob.path('lost.json'),
      ]
      const proposal = done(t, await bob.online(lost))
      t.match(proposal.stdout, /^root: out {4}[0-9a-f]{64} ed25519 dora$/m)
      t.match(proposal.stderr, /^warning: this machine would hold 2 of the 5 root keys, of which 3 must sign: /m)
      const nobody = await bob.online([
        'rotate',
        repository,
        'root',
        '--lost',
        'alice',
        '--propose',
        bob.path('no.json'),
      ])
      t.match(nobody, { exit: 2, code: 'KEY_NOT_IN_ROLE' })
    })
    await t.test('somebody who pins the new keys for the first time trusts it too', async (t) => {
      const late = ceremony.holder('late')
      done(t, await late.online(pinIn(published)))
      done(t, await late.online(['verify', tag]))
    })
  })

  await t.test('two keys cannot have one name', async (t) => {
    const key = await makeKey(bob, 'another')
    const came = await bob.online(['root', 'propose', repository, '--add-root', `carol=${key}`])
    t.match(came, { exit: 2, code: 'USAGE', stderr: /two keys would be called carol/ })
  })

  await t.test('a review says how far this machine itself vouches for the root that is followed', async (t) => {
    const out = erin.path('third.json')
    const proposed = done(t, await erin.online(['root', 'propose', repository, '--renew', '--out', out]))
    t.match(proposed.stdout, /^root 2, which it follows, expires \d{4}-\d\d-\d\dT[\d:]+Z$/m)
    const [pinned, early, stranger] = ['pinned', 'early', 'stranger'].map(ceremony.holder) as [Holder, Holder, Holder]
    done(t, await pinned.run(pinNow))
    const first = await fetch(`${ceremony.url}/v2/${repository}/_trust/tuf/1.root.json`)
    writeFileSync(early.path('root.json'), Buffer.from(await first.arrayBuffer()))
    done(t, await early.run(['trust', 'add', repository, '--root', early.path('root.json')]))
    const HOLDERS: Readonly<Record<string, { holder: Holder; says: RegExp; vouches: boolean; online?: true }>> = {
      'it saw that root': {
        holder: erin,
        says: /^this machine vouches for root 2, .* it trusts it already$/m,
        vouches: true,
      },
      'it pins the keys of that root': {
        holder: pinned,
        says: /^this machine vouches for root 2, .* its pin speaks for it$/m,
        vouches: true,
      },
      'it pins an older root': {
        holder: early,
        says: /^warning: this machine has never seen root 2, .* compare the fingerprint with a holder/m,
        vouches: false,
      },
      'it pins an older root, and the server is asked': {
        holder: early,
        says: /^this machine vouches for root 1 \(its pin speaks for it\), and holders of root keys for each one up to root 2$/m,
        vouches: false,
        online: true,
      },
      'it pins nothing': {
        holder: stranger,
        says: /^warning: this machine does NOT vouch for root 2, .* compare the fingerprint with a holder/m,
        vouches: false,
      },
    }
    for (const [name, { holder, says, vouches, online }] of Object.entries(HOLDERS)) {
      await t.test(name, async (t) => {
        const review = ['root', 'review', ceremony.carry(erin, 'third.json', holder, 'copy.json')]
        const ask = online ? holder.online : holder.run
        const told = done(t, await ask(online ? review : [...review, '--offline']))
        t.match(told.stdout + told.stderr, says)
        t.match(told.stdout, /^root 3 expires \S+ \(in 7\d\d days\)$/m)
        const { machine } = JSON.parse(done(t, await ask([...review, '--offline', '--json'])).stdout) as {
          machine: object
        }
        t.match(machine, { vouches })
      })
    }
  })

  await t.test('tuf-js follows all of it', async (t) => {
    const updater = await stockClient(t, ceremony)
    t.equal(`sha256:${(await updater.getTargetInfo('1.0'))?.hashes['sha256']}`, digest)
  })
})

/** A root key of each kind that is in no file, and the environment of whoever has it. */
type Kept = { readonly name: string; readonly key: string; readonly env: Readonly<Record<string, string>> }

await t.test(
  'an ssh-agent, a token and a program sign a ceremony',
  { skip: skip || (whyNoTokens() ?? false) },
  async (t) => {
    const ceremony = await openCeremony(t)
    const { repository } = ceremony
    const [agent, token] = [await startAgent(t), startToken(t)]
    const maker = ceremony.holder('maker')
    const uri = 'pkcs11:token=release;object=root'
    const generate = ['key', 'generate', '--pkcs11', uri, '--algorithm', 'ecdsa-p256']
    done(t, await maker.apart(generate, token.env))
    const kept: readonly Kept[] = [
      { name: 'agent', key: `ssh:${agent.add('ed25519', 'alice@example.com')}`, env: agent.env },
      { name: 'token', key: uri, env: token.env },
      { name: 'program', key: exampleSigner(t, 'ecdsa-p384'), env: {} },
    ]
    const proposer = ceremony.holder('proposer')
    const everything = { ...agent.env, ...token.env, TAGSEAL_SERVER: ceremony.url }
    const joins = kept.flatMap(({ name, key }) => ['--add-root', `${name}=${key}`])
    const ci = await makeKey(proposer, 'ci')
    const founding = [...joins, '--root-threshold', '3', '--add-targets', ci, '--out', proposer.path('first.json')]
    done(t, await proposer.apart(['root', 'propose', repository, ...founding], everything))
    done(t, await proposer.run(['root', 'sign', proposer.path('first.json'), '--yes']))

    const signAll = async (t: Test, file: string): Promise<readonly string[]> => {
      const copies = [proposer.path(file)]
      for (const { name, key, env } of kept) {
        const holder = ceremony.holder(name)
        const copy = ceremony.carry(proposer, file, holder)
        t.match(await holder.run(['root', 'sign', copy, '--yes'], env), { exit: 1, code: 'NO_KEY_FITS' }, name)
        const signed = done(t, await holder.apart(['root', 'sign', copy, '--key', key, '--yes'], env))
        t.match(signed.stdout, new RegExp(`is signed by ${name} \\(`))
        copies.push(ceremony.carry(holder, file, proposer, `${name}-${file}`))
      }
      return copies
    }
    await t.test('that founds a repository', async (t) => {
      done(t, await proposer.online(['root', 'publish', ...(await signAll(t, 'first.json'))]))
      await ceremony.push('1.0')
      done(t, await proposer.online(['sign', `${repository}:1.0`]))
    })
    await t.test('that changes its root', async (t) => {
      const out = proposer.path('second.json')
      const wish = ['--root-threshold', '2', '--replace-snapshot', '--out', out]
      done(t, await proposer.online(['root', 'propose', repository, ...wish]))
      done(t, await proposer.online(['root', 'publish', ...(await signAll(t, 'second.json'))]))
      done(t, await proposer.online(['verify', `${repository}:1.0`]))
    })
    await t.test('that tuf-js accepts', async (t) => {
      t.ok(await (await stockClient(t, ceremony)).getTargetInfo('1.0'))
    })
  },
)

/** From desk to desk: each signs what came, and hands it on. */
async function relay(t: Test, { carry }: Ceremony, file: string, way: readonly Holder[]): Promise<void> {
  for (const [i, holder] of way.entries()) {
    const before = way[i - 1]
    if (before !== undefined) carry(before, file, holder)
    const review = done(t, await holder.run(['root', 'review', holder.path(file)]))
    t.match(review.stderr, /NOT be compared with the server/)
    t.match(
      review.stdout,
      new RegExp(`^this machine: asked to sign with ${holder.name === 'pipeline' ? 'ci' : holder.name} `, 'm'),
    )
    const { stderr } = done(t, await holder.run(['root', 'sign', holder.path(file), '--yes']))
    const notes = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('warning: '))
    t.equal(notes.length, 2, 'who has reviewed it reads it no second time, and every warning again')
  }
}
