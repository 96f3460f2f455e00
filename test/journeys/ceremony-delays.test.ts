/** Ceremonies that take their time: others publish meanwhile, answers are lost, machines stop. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { done, makeKey, openCeremony, pinIn } from '../support/ceremony.ts'
import type { Holder } from '../support/ceremony.ts'
import { tagseal } from '../support/cli.ts'
import { startProxy } from '../support/proxy.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { exampleSigner, shellSigner } from '../support/signers.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test('what happens while people sign', { skip }, async (t) => {
  const { ceremony, alice, bob, pipeline } = await twoOfTwo(t)
  const { repository, carry } = ceremony
  const propose = async (name: string, ...wish: string[]) => {
    done(t, await alice.online(['root', 'propose', repository, ...wish, '--out', alice.path(name)]))
    return alice.path(name)
  }
  const sign = async (name: string, ...holders: readonly Holder[]) => {
    for (const holder of holders) {
      if (holder !== alice) carry(alice, name, holder)
      done(t, await holder.run(['root', 'sign', holder.path(name), '--yes']))
      if (holder !== alice) carry(holder, name, alice)
    }
  }

  await t.test(
    'a tag is signed: what goes with the root is made anew, and the root keeps its signatures',
    async (t) => {
      const next = ceremony.holder('next-pipeline')
      const ci = carry(next, await makeKey(next, 'ci-2'), alice)
      const file = await propose('rekey.json', '--add-targets', `ci-2=${ci}`, '--remove-targets', 'ci')
      await sign('rekey.json', alice, bob, next)
      await ceremony.push('2.0')
      done(t, await pipeline.online(['sign', `${repository}:2.0`]))
      const review = done(t, await alice.online(['root', 'review', file]))
      t.match(review.stderr, /warning: targets was published since: tagseal root propose/)
      const late = await alice.online(['root', 'publish', file])
      t.match(late, { exit: 1, code: 'FILES_STALE', stderr: /hint: tagseal root propose .* --refresh FILE/ })

      done(t, await alice.online(['root', 'propose', repository, '--refresh', file]))
      const status = JSON.parse(done(t, await alice.run(['root', 'status', file, '--json'])).stdout) as Status
      t.same(
        status.signatures.map(({ role, signed }) => [role, signed.length]),
        [
          ['root', 2],
          ['root', 2],
          ['targets', 0],
        ],
      )
      await sign('rekey.json', next)
      done(t, await alice.online(['root', 'publish', file]))
      for (const tag of ['1.0', '2.0']) done(t, await alice.online(['verify', `${repository}:${tag}`]))
    },
  )
  await t.test('another root is published: the way forward is told', async (t) => {
    const [slow, fast] = [await propose('slow.json', '--renew'), await propose('fast.json', '--replace-timestamp')]
    await sign('slow.json', alice, bob)
    await sign('fast.json', alice, bob)
    done(t, await alice.online(['root', 'publish', fast]))
    for (const command of ['publish', 'review', 'sign']) {
      const args = ['root', command, slow, ...(command === 'sign' ? ['--yes'] : [])]
      const came = await alice.online(args)
      t.match(
        came,
        { exit: 1, code: 'PROPOSAL_STALE', stderr: /hint: propose it anew .*tagseal root propose/ },
        command,
      )
    }
    const offline = await alice.run(['root', 'review', slow, '--offline'])
    t.match(offline, { exit: 1, code: 'PROPOSAL_STALE' }, 'a machine that saw the other root needs no server to tell')
    await t.test('and so is that the first one is done', async (t) => {
      const again = await propose('third.json', '--renew')
      await sign('third.json', alice, bob)
      done(t, await alice.online(['root', 'publish', again]))
      t.match(done(t, await alice.online(['root', 'publish', fast])).stderr, /was published already/)
    })
  })
  await t.test('the acknowledgement is lost: publishing again finds it done', async (t) => {
    const file = await propose('lost.json', '--renew')
    await sign('lost.json', alice, bob)
    const proxy = await startProxy(ceremony.url)
    t.teardown(proxy.close)
    let dropped = 0
    proxy.drop = ({ method }) => method === 'POST' && dropped++ === 0
    const came = await alice.run(['root', 'publish', file, '--server', proxy.url])
    t.match(came, { exit: 0, stderr: /root \d+ of .* is published/ }, 'it looks again by itself')
    t.equal(dropped, 1)
  })
  await t.test('it takes so long that the root has expired', async (t) => {
    const file = await propose('late.json', '--renew')
    await sign('late.json', alice, bob)
    ceremony.clock.now += 731 * 86_400_000
    t.match((await alice.run(['root', 'review', file, '--offline'])).stderr, /has expired already/)
    t.match(await alice.online(['root', 'publish', file]), { exit: 1, code: 'EXPIRED' })
  })
})

await t.test('a proposal that comes from another server under the same keys', { skip }, async (t) => {
  const [here, there] = [await openCeremony(t), await openCeremony(t)]
  const { repository } = here
  const alice = here.holder('alice')
  const key = await makeKey(alice)
  const atServer = async (url: string, ...args: string[]) => done(t, await alice.run([...args, '--server', url]))
  for (const [url, name] of [
    [there.url, 'there'],
    [here.url, 'here'],
  ] as const) {
    const file = alice.path(`${name}.json`)
    here.clock.now += 1000 // or both would found it by the very same root
    await atServer(url, 'root', 'propose', repository, '--add-root', key, '--add-targets', key, '--out', file)
    await atServer(url, 'root', 'sign', file, '--yes', '--offline')
    const elsewhere = { TAGSEAL_HOME: alice.path(name) }
    done(t, await alice.run(['root', 'publish', file, '--server', url], elsewhere))
    const pin = ['trust', 'add', repository, '--tofu', '--server', url]
    done(t, await alice.run(pin, elsewhere))
    const next = ['root', 'propose', repository, '--renew', '--out', alice.path(`next-${name}.json`)]
    done(t, await alice.run(next, elsewhere))
  }
  const home = { TAGSEAL_HOME: alice.path('here') }
  t.match(await alice.run(['root', 'review', alice.path('next-here.json')], home), { exit: 0 })
  for (const more of [[], ['--offline']]) {
    const came = await alice.run(['root', 'review', alice.path('next-there.json'), ...more], home)
    t.match(came, { exit: 1, code: 'OTHER_CHAIN', stderr: /this machine has another root 1 / }, more.join())
  }
  const stranger = await alice.run(['root', 'review', alice.path('next-there.json'), '--server', here.url])
  t.match(stranger, { exit: 1, code: 'OTHER_CHAIN', stderr: /the server has another root 1 / })
})

await t.test('a rotation that this machine cannot sign alone', { skip }, async (t) => {
  const { ceremony, alice, bob, pipeline } = await twoOfTwo(t)
  const { repository, carry } = ceremony
  const rotate = async (...args: string[]) => await alice.online(['rotate', repository, ...args])
  await t.test('is refused, and told how the others can sign it', async (t) => {
    const came = await rotate('targets', '--no-passphrase')
    t.match(came, { exit: 1, code: 'NO_SIGNING_KEY', stderr: /hint: .*tagseal rotate REPO ROLE --propose FILE/ })
  })
  await t.test('is proposed instead, with the key that it made', async (t) => {
    const file = alice.path('rotation.json')
    const proposed = done(t, await rotate('targets', '--no-passphrase', '--compromised', '--propose', file))
    t.match(proposed.stdout, /^targets: in /m)
    t.match(await rotate('targets', '--propose', file), { exit: 1, code: 'FILE_EXISTS' })
    done(t, await alice.run(['root', 'sign', file, '--yes']))
    const copy = carry(alice, 'rotation.json', bob)
    done(t, await bob.run(['root', 'sign', copy, '--yes']))
    done(t, await alice.online(['root', 'publish', carry(bob, 'rotation.json', alice, 'back.json')]))
    await ceremony.push('2.0')
    t.match(await pipeline.online(['sign', `${repository}:2.0`]), { exit: 1, code: 'NO_SIGNING_KEY' })
    done(t, await alice.online(['sign', `${repository}:2.0`]))
    done(t, await alice.online(['verify', `${repository}:1.0`]))
  })
  await t.test('but not what the root does not list, or what cannot be in a proposal', async (t) => {
    for (const args of [['team'], ['targets', '--compromised', '--keep', '1.0'], ['root', '--legacy', '1']]) {
      t.match(await rotate(...args, '--propose', alice.path('no.json')), { exit: 2, code: 'USAGE' }, args.join(' '))
    }
  })
})

await t.test('a founding whose acknowledgement is lost, and one that comes second', { skip }, async (t) => {
  const ceremony = await openCeremony(t)
  const { repository } = ceremony
  const [alice, bob] = [ceremony.holder('alice'), ceremony.holder('bob')]
  for (const holder of [alice, bob]) {
    const key = await makeKey(holder)
    const wish = ['--add-root', key, '--add-targets', key, '--out', holder.path('first.json')]
    done(t, await holder.online(['root', 'propose', repository, ...wish]))
    done(t, await holder.run(['root', 'sign', holder.path('first.json'), '--yes']))
  }
  const proxy = await startProxy(ceremony.url)
  t.teardown(proxy.close)
  proxy.drop = ({ method }) => method === 'POST'
  t.match(await alice.run(['root', 'publish', alice.path('first.json'), '--server', proxy.url]), { exit: 3 })
  const again = done(t, await alice.online(['root', 'publish', alice.path('first.json')]))
  t.match(again.stderr, /was published already/)
  done(t, await alice.online(['status', repository]))
  const second = await bob.online(['root', 'publish', bob.path('first.json')])
  t.match(second, { exit: 1, code: 'PROPOSAL_STALE' })
})

await t.test('a machine that stops in the middle', { skip }, async (t) => {
  const ceremony = await openCeremony(t)
  const bob = ceremony.holder('bob')
  const key = exampleSigner(t, 'ed25519')
  const founding = ['--add-root', key, '--add-targets', key, '--out', bob.path('exec.json')]
  done(t, await bob.online(['root', 'propose', ceremony.repository, ...founding]))
  const before = readFileSync(bob.path('exec.json'))
  // A signer that ends the program it was started by, after the key was found and before it has signed.
  const killer = shellSigner(t, `[ "$1" = describe ] && exec ${key.slice(5).split('?')[0]} "$@"; kill -9 $PPID`)
  const args = ['root', 'sign', bob.path('exec.json'), '--key', `${killer}?${key.split('?')[1]}`, '--yes', '--offline']
  const killed = await tagseal(args, { env: { TAGSEAL_HOME: bob.home, HOME: bob.home } })
  t.equal(killed.code, null, killed.stderr)
  t.ok(readFileSync(bob.path('exec.json')).equals(before), 'the file is as it was')
  t.same(
    readdirSync(dirname(bob.path('exec.json'))).filter((name) => name.startsWith('.')),
    [],
    'and nothing lies beside it',
  )
  done(t, await bob.run(['root', 'sign', bob.path('exec.json'), '--key', key, '--yes']))
  const signed = readFileSync(bob.path('exec.json'))
  done(t, await bob.run(['root', 'sign', bob.path('exec.json'), '--key', key, '--yes']))
  t.ok(readFileSync(bob.path('exec.json')).equals(signed), 'signed again, it is the same')
})

type Status = { readonly signatures: readonly { readonly role: string; readonly signed: readonly object[] }[] }

/** A repository that Alice and Bob hold together, with a pipeline that signed one tag. */
async function twoOfTwo(t: Test) {
  const ceremony = await openCeremony(t)
  const { repository, carry } = ceremony
  const [alice, bob, pipeline] = ['alice', 'bob', 'pipeline'].map(ceremony.holder) as [Holder, Holder, Holder]
  const [a, b] = [await makeKey(alice), carry(bob, await makeKey(bob), alice)]
  const ci = carry(pipeline, await makeKey(pipeline, 'ci'), alice)
  const roots = ['--add-root', `alice=${a}`, '--add-root', `bob=${b}`, '--root-threshold', '2']
  const file = alice.path('first.json')
  const wish = [...roots, '--add-targets', `ci=${ci}`, '--out', file]
  done(t, await alice.online(['root', 'propose', repository, ...wish]))
  for (const holder of [alice, bob, pipeline]) {
    if (holder !== alice) carry(alice, 'first.json', holder)
    done(t, await holder.run(['root', 'sign', holder.path('first.json'), '--yes']))
    if (holder !== alice) carry(holder, 'first.json', alice)
  }
  const pin = pinIn(done(t, await alice.online(['root', 'publish', file])))
  await ceremony.push('1.0')
  done(t, await pipeline.online(pin))
  done(t, await pipeline.online(['sign', `${repository}:1.0`]))
  return { ceremony, alice, bob, pipeline }
}
