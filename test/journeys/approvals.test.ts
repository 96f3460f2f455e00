/** What several people have to sign, each with a key of their own, from a home of their own. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { Updater } from 'tuf-js'
import { codeOf, documentOf } from '../support/cli.ts'
import type { Ran } from '../support/cli.ts'
import { startProxy } from '../support/proxy.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { ok, openSharedTown, pendingIn, serverUnder, serverWithTokens } from '../support/shared-town.ts'
import type { SharedTown } from '../support/shared-town.ts'

const skip = (await whyNoRegistry()) ?? false

async function digestFor({ consumer, repository }: SharedTown, tag: string): Promise<string | undefined> {
  const ran = await consumer.run(['verify', `${repository}:${tag}`])
  return ran.code === 0 ? ran.stdout.trim().split('@')[1] : codeOf(ran)
}

await t.test('a tag is signed by two of three', { skip }, async (t) => {
  const town = await openSharedTown(t)
  const { repository, alice, bob, carol, a, b } = town
  const signing = await alice.run(['sign', `${repository}:1.0@${a.digest}`, '--json'])
  const id = pendingIn(signing)
  await t.test('the first signature leaves it pending, which is no success', async (t) => {
    t.match(
      [signing.code, documentOf(signing)],
      [
        1,
        {
          signed: [],
          pending: [
            {
              repository,
              roles: [{ role: 'targets', need: 2, have: 1, missing: [bob.key, carol.key] }],
              command: `tagseal approve ${repository} ${id}`,
              tags: [{ tag: '1.0', digest: a.digest, role: 'targets' }],
            },
          ],
          error: { code: 'APPROVAL_PENDING' },
        },
      ],
      signing.stderr,
    )
    t.equal(await digestFor(town, '1.0'), 'TAG_NOT_SIGNED')
  })
  await t.test('told to the same again, it is the same, with words and no line on stdout', async (t) => {
    const again = await alice.run(['sign', `${repository}:1.0@${a.digest}`])
    t.same([again.code, codeOf(again), again.stdout], [1, 'APPROVAL_PENDING', ''])
    t.match(again.stderr, `hint: whoever holds one of those keys: tagseal approve ${repository} ${id}`)
    const allowed = await alice.run(['sign', `${repository}:1.0@${a.digest}`, '--allow-pending', '--json'])
    t.match([allowed.code, documentOf(allowed)], [0, { signed: [], pending: [{ proposal: id }] }])
    t.notOk('error' in (documentOf(allowed) as object))
  })
  await t.test('those who can sign next find it, and the one who has does not', async (t) => {
    const [forAlice, forBob, all] = await Promise.all([
      alice.run(['approve', repository]),
      bob.run(['approve', repository]),
      alice.run(['approve', repository, '--list']),
    ])
    t.same([forAlice.code, forAlice.stdout], [0, ''])
    t.match(forAlice.stderr, /^1 more waits for keys that are elsewhere: tagseal approve \S+ --list$/m)
    t.match(forBob.stdout, new RegExp(`^${id} +targets +1 signed`))
    t.match(all.stdout, id)
    t.match((await town.consumer.run(['status', repository])).stderr, /^1 proposal waits for signatures/m)
  })
  await t.test('what it changes is shown, and nothing is signed by looking', async (t) => {
    const shown = await bob.run(['approve', repository, id.slice(0, 8)])
    t.equal(shown.code, 0, shown.stderr)
    t.match(shown.stdout, `  + 1.0  ${a.digest} (`)
    t.match(shown.stdout, /^targets: version 1 -> 2, good until .* \(36\d days\)$/m)
    t.match(shown.stdout, 'targets has 1 of 2 signatures; missing: ')
    t.match(shown.stderr, `hint: to sign it: tagseal approve ${repository} ${id} --yes`)
    const document = documentOf(await bob.run(['approve', repository, id, '--json']))
    t.match(document, {
      signed: false,
      published: false,
      changes: [{ role: 'targets', tags: [{ tag: '1.0', before: null, after: a.digest }], delegations: [] }],
    })
    t.equal(await digestFor(town, '1.0'), 'TAG_NOT_SIGNED')
  })
  await t.test('calls that make no sense are told from calls that do', async (t) => {
    for (const args of [
      [id.slice(0, 12), '--yes'],
      ['--yes'],
      ['--renew'],
      ['zz'],
      ['0000'],
      [id, '--withdraw', '--yes'],
      [id, '--list'],
      [id, '--renew'],
      [id, id],
    ]) {
      const ran = await bob.run(['approve', repository, ...args])
      t.same([ran.code, codeOf(ran)], [2, 'USAGE'], args.join(' '))
    }
    const gone = await bob.run(['approve', repository, '0'.repeat(32)])
    t.same([gone.code, codeOf(gone)], [1, 'NOT_THERE'])
  })
  await t.test('the second one publishes it', async (t) => {
    const ran = await bob.run(['approve', repository, id, '--yes', '--json'])
    t.match([ran.code, documentOf(ran)], [0, { proposal: id, signed: true, published: true }], ran.stderr)
    t.equal(await digestFor(town, '1.0'), a.digest)
    const left = await carol.run(['approve', repository, '--list'])
    t.same([left.code, left.stdout], [0, ''])
  })
  await t.test('and it is signed like that already for whoever signs it once more', async (t) => {
    const ran = await alice.run(['sign', `${repository}:1.0@${a.digest}`, '--json'])
    t.match([ran.code, documentOf(ran)], [0, { signed: [{ published: false }] }], ran.stderr)
  })
  await t.test('two pipelines that sign the same complete each other', async (t) => {
    const [first, second] = await Promise.all(
      [alice, carol].map(({ run }) => run(['sign', `${repository}:1.0@${b.digest}`, '--json'])),
    )
    t.same(new Set([first?.code, second?.code]), new Set([0, 1]), `${first?.stdout} ${second?.stdout}`)
    t.equal(await digestFor(town, '1.0'), b.digest)
  })
  await t.test('a tag is moved and taken out the same way', async (t) => {
    const revoking = await carol.run(['revoke', `${repository}:1.0`, '--json'])
    t.match([revoking.code, documentOf(revoking)], [1, { revoked: [{ roles: [], keeping: [] }] }])
    const shown = await bob.run(['approve', repository, pendingIn(revoking)])
    t.match(shown.stdout, `  - 1.0  was ${b.digest}`)
    await ok(bob.run(['approve', repository, pendingIn(revoking), '--yes']))
    t.equal(await digestFor(town, '1.0'), 'TAG_NOT_SIGNED')
  })
})

await t.test('proposals beside each other', { skip }, async (t) => {
  const town = await openSharedTown(t)
  const { repository, alice, bob, carol, a, b } = town
  const propose = async (who: typeof alice, tag: string, digest = a.digest) =>
    pendingIn(await who.run(['sign', `${repository}:${tag}@${digest}`, '--json']))
  const [one, two, three] = [await propose(alice, 'one'), await propose(carol, 'two'), await propose(alice, 'three')]
  await ok(bob.run(['approve', repository, one, '--yes']))

  await t.test('the one that comes second is stale, and says so by name', async (t) => {
    const ran = await bob.run(['approve', repository, two, '--yes'])
    t.same([ran.code, codeOf(ran)], [1, 'PROPOSAL_STALE'])
    t.match(ran.stderr, `hint: tagseal approve ${repository} ${two} --renew`)
    t.match((await bob.run(['approve', repository, '--list'])).stdout, new RegExp(`^${two} +targets +stale`, 'm'))
  })
  await t.test('it is made again on top of what is there now, with new signatures', async (t) => {
    const shown = await bob.run(['approve', repository, two, '--renew'])
    t.match([shown.code, shown.stdout], [0, `  + two  ${a.digest}`], shown.stderr)
    const ran = await bob.run(['approve', repository, two, '--renew', '--yes', '--json'])
    t.equal(ran.code, 0, ran.stderr)
    const { renewed } = documentOf(ran) as { renewed: string }
    await ok(carol.run(['approve', repository, renewed, '--yes']))
    t.same([await digestFor(town, 'one'), await digestFor(town, 'two')], [a.digest, a.digest])
    t.notMatch((await bob.run(['approve', repository, '--list'])).stdout, two)
  })
  await t.test('but not where somebody gave the tag another meaning since', async (t) => {
    const again = await propose(alice, 'three', b.digest)
    await ok(bob.run(['approve', repository, again, '--yes']))
    const ran = await bob.run(['approve', repository, three, '--renew', '--yes'])
    t.same([ran.code, codeOf(ran)], [1, 'TAG_CHANGED'])
  })
  await t.test('a stale one is of no use to thieves of time: it is withdrawn, and gone', async (t) => {
    const ran = await bob.run(['approve', repository, three, '--withdraw'])
    t.same([ran.code, ran.stdout], [0, `withdrew ${three}\n`])
    t.equal(codeOf(await bob.run(['approve', repository, three])), 'NOT_THERE')
  })
  await t.test('an image that the registry lost is not approved, unless somebody says so', async (t) => {
    const id = await propose(alice, 'lost')
    await fetch(`${town.registry.url}/v2/team/app/manifests/${a.digest}`, { method: 'DELETE' })
    const ran = await bob.run(['approve', repository, id, '--yes'])
    t.same([ran.code, codeOf(ran)], [1, 'UNKNOWN_MANIFEST'])
    await ok(bob.run(['approve', repository, id, '--yes', '--without-registry']))
    t.equal(await digestFor(town, 'lost'), a.digest)
  })
})

await t.test('a role of two people below targets', { skip }, async (t) => {
  const town = await openSharedTown(t, serverUnder(t))
  const { repository, alice, bob, carol, a } = town
  const keys = [bob, carol].flatMap(({ publicFile }) => ['--key', publicFile])
  const add = ['delegation', 'add', repository, 'releases', ...keys, '--threshold', '2', '--path', 'r-*']
  const adding = await alice.run([...add, '--json'])
  await t.test('is delegated once two of three have signed that', async (t) => {
    t.match([adding.code, codeOf(adding)], [1, 'APPROVAL_PENDING'])
    const shown = await bob.run(['approve', repository, pendingIn(adding)])
    t.match(shown.stdout, /^ {2}\+ role releases: r-\* by 2 of 2 keys \(/m)
    await ok(bob.run(['approve', repository, pendingIn(adding), '--yes']))
    t.match(documentOf(await bob.run(['delegation', 'list', repository, '--json'])), {
      delegations: [{ role: 'releases', threshold: 2, paths: ['r-*'] }],
    })
  })
  await t.test('signs its tags by both', async (t) => {
    const ran = await bob.run(['sign', `${repository}:r-1@${a.digest}`, '--role', 'releases', '--json'])
    t.match(documentOf(ran), { pending: [{ roles: [{ role: 'releases', need: 2, have: 1, missing: [carol.key] }] }] })
    const looking = await ok(alice.run(['approve', repository, pendingIn(ran)]))
    t.match(looking.stderr, /^hint: no key here counts for it; whoever has one that does: tagseal approve /m)
    const stranger = await alice.run(['approve', repository, pendingIn(ran), '--yes'])
    t.same([stranger.code, codeOf(stranger)], [1, 'NO_SIGNING_KEY'])
    const wrong = await carol.run(['approve', repository, pendingIn(ran), '--yes', '--key', '0'.repeat(64)])
    t.same([wrong.code, codeOf(wrong)], [2, 'KEY_NOT_IN_ROLE'])
    await ok(carol.run(['approve', repository, pendingIn(ran), '--yes', '--key', carol.key]))
    t.equal(await digestFor(town, 'r-1'), a.digest)
  })
  await t.test('what one can sign alone waits for nobody', async (t) => {
    const solo = ['delegation', 'add', repository, 'solo', '--key', bob.publicFile, '--path', 's-*', '--json']
    await ok(carol.run(['approve', repository, pendingIn(await alice.run(solo)), '--yes']))
    const ran = await bob.run(['sign', `${repository}:s-1@${a.digest}`, '--json'])
    t.match([ran.code, documentOf(ran)], [0, { signed: [{ role: 'solo', published: true }] }], ran.stderr)
  })
  await t.test('nor does what one can take out alone', async (t) => {
    const signing = await alice.run(['sign', `${repository}:s-1@${a.digest}`, '--role', 'targets', '--json'])
    await ok(carol.run(['approve', repository, pendingIn(signing), '--yes']))
    const ran = await bob.run(['revoke', `${repository}:s-1`, '--json'])
    t.match(
      [ran.code, documentOf(ran)],
      [1, { revoked: [{ roles: ['solo'], keeping: [] }], pending: [{ roles: [{ role: 'targets' }] }] }],
    )
    await ok(alice.run(['approve', repository, pendingIn(ran), '--yes']))
    t.equal(await digestFor(town, 's-1'), 'TAG_NOT_SIGNED')
  })
  await t.test('a role gets other keys only with the others, too', async (t) => {
    const rotate = ['rotate', repository, 'releases', '--no-passphrase']
    const ran = await alice.run([...rotate, '--lost', bob.key, '--json'])
    t.match(
      [ran.code, documentOf(ran)],
      [
        1,
        {
          rotated: false,
          pending: [
            {
              roles: [
                { role: 'targets', have: 1 },
                { role: 'releases', have: 1 },
              ],
            },
          ],
        },
      ],
    )
    await ok(alice.run(['approve', repository, pendingIn(ran), '--withdraw']))
    const few = await alice.run([...rotate, '--key', 'mine'])
    t.same([few.code, codeOf(few)], [2, 'USAGE'], 'fewer keys than the role needs are no keys for it')
  })
  await t.test('is taken away the same way', async (t) => {
    const ran = await carol.run(['delegation', 'remove', repository, 'releases', '--json'])
    t.match([ran.code, documentOf(ran)], [1, { removed: null }])
    const shown = await alice.run(['approve', repository, pendingIn(ran)])
    t.match(shown.stdout, '  - role releases, which targets delegated: r-* by 2 of 2 keys')
    await ok(alice.run(['approve', repository, pendingIn(ran), '--yes']))
    t.not(await digestFor(town, 'r-1'), a.digest)
  })
})

await t.test('whatever breaks on the way', { skip }, async (t) => {
  const town = await openSharedTown(t)
  const { repository, alice, bob, carol, a, b } = town
  const proxy = await startProxy(town.server.url)
  t.teardown(proxy.close)
  const once = (matches: (url: string, method: string) => boolean) => {
    let left = 1
    return ({ url = '', method = '' }) => matches(url, method) && left-- > 0
  }
  const through = ['--server', proxy.url]

  await t.test('an answer to a proposal that is lost leaves one proposal', async (t) => {
    proxy.drop = once((url, method) => method === 'POST' && url.endsWith('/proposals'))
    const ran = await alice.run(['sign', `${repository}:1.0@${a.digest}`, '--json', ...through])
    t.equal(codeOf(ran), 'APPROVAL_PENDING', ran.stderr)
    const { pending } = documentOf(await bob.run(['approve', repository, '--list', '--json'])) as { pending: object[] }
    t.equal(pending.length, 1)
  })
  await t.test('answers to a signature and to the publish that are lost are asked for again', async (t) => {
    const { pending } = documentOf(await bob.run(['approve', repository, '--json'])) as {
      pending: { proposal: string }[]
    }
    const proposal = pending[0]?.proposal ?? ''
    const [signing, publishing] = [
      once((url, method) => method === 'POST' && url.endsWith('/signatures')),
      once((url, method) => method === 'POST' && url.endsWith('/_trust/tuf/')),
    ]
    proxy.drop = (request) => signing(request) || publishing(request)
    const ran = await bob.run(['approve', repository, proposal, '--yes', '--json', ...through])
    t.match([ran.code, documentOf(ran)], [0, { published: true }], ran.stderr)
    t.equal(await digestFor(town, '1.0'), a.digest)
  })
  await t.test('one who dies after the last signature has the next one publish it, with no key at all', async (t) => {
    proxy.drop = () => false
    const id = pendingIn(await alice.run(['sign', `${repository}:2.0@${a.digest}`, '--json']))
    proxy.before = ({ url = '' }) => {
      if (url.endsWith('/_trust/tuf/')) throw new Error('it dies here')
    }
    const dying = await bob.run(['approve', repository, id, '--yes', ...through])
    t.equal(dying.code, 3, dying.stderr)
    t.equal(await digestFor(town, '2.0'), 'TAG_NOT_SIGNED')
    const shown = await town.consumer.run(['approve', repository, id])
    t.match(shown.stdout, 'it has every signature that it needs')
    const ran = await town.consumer.run(['approve', repository, id, '--yes', '--json'])
    t.match([ran.code, documentOf(ran)], [0, { signed: false, published: true }], ran.stderr)
    t.equal(await digestFor(town, '2.0'), a.digest)
  })
  await t.test('two who approve at once publish once', async (t) => {
    proxy.before = () => {}
    const id = pendingIn(await alice.run(['sign', `${repository}:3.0@${b.digest}`, '--json']))
    const both = await Promise.all([bob, carol].map(({ run }) => run(['approve', repository, id, '--yes'])))
    const done = ({ code }: Ran) => code === 0
    t.ok(both.some(done), both.map(({ stderr }) => stderr).join('\n'))
    for (const ran of both) if (!done(ran)) t.match(codeOf(ran), /^(?:NOT_THERE|PROPOSAL_STALE)$/, ran.stderr)
    t.equal(await digestFor(town, '3.0'), b.digest)
    const { entries } = documentOf(await town.consumer.run(['history', `${repository}:3.0`, '--json'])) as {
      entries: { keyids: string[] }[]
    }
    t.equal(entries.length, 1)
    t.equal(entries[0]?.keyids.length, 2)
  })
})

await t.test('a proposal that nobody completes in a week', { skip }, async (t) => {
  const clock = { now: Date.now() }
  const town = await openSharedTown(t, serverUnder(t, clock))
  const { repository, alice, bob, a } = town
  const sign = () => alice.run(['sign', `${repository}:1.0@${a.digest}`, '--json'])
  const first = pendingIn(await sign())
  clock.now += 7 * 86_400_000
  await t.test('is gone, by name and from the list', async (t) => {
    t.equal(codeOf(await bob.run(['approve', repository, first, '--yes'])), 'NOT_THERE')
    t.equal((await bob.run(['approve', repository, '--list'])).stdout, '')
    t.equal(await digestFor(town, '1.0'), 'TAG_NOT_SIGNED')
  })
  await t.test('and begins anew', async (t) => {
    const second = pendingIn(await sign())
    await ok(bob.run(['approve', repository, second, '--yes']))
    t.equal(await digestFor(town, '1.0'), a.digest)
  })
})

await t.test('a signer who leaves with a proposal half signed', { skip }, async (t) => {
  const town = await openSharedTown(t, serverUnder(t))
  const { repository, alice, bob, carol, a } = town
  const left = pendingIn(await carol.run(['sign', `${repository}:1.0@${a.digest}`, '--json']))
  const file = join(alice.home, 'without-carol.json')
  await ok(alice.run(['root', 'propose', repository, '--remove-targets', carol.key, '--out', file]))
  await ok(alice.run(['root', 'sign', file, '--yes']))
  await ok(alice.run(['root', 'publish', file]))

  await t.test('has left nothing that counts', async (t) => {
    t.equal(codeOf(await bob.run(['approve', repository, left, '--yes'])), 'THRESHOLD')
    t.equal(codeOf(await carol.run(['sign', `${repository}:2.0@${a.digest}`])), 'NO_SIGNING_KEY')
  })
  await t.test('and does not keep those who stay from signing the same', async (t) => {
    const ran = await alice.run(['sign', `${repository}:1.0@${a.digest}`, '--json'])
    t.match(documentOf(ran), { pending: [{ proposal: left, roles: [{ have: 1, missing: [bob.key] }] }] })
    await ok(bob.run(['approve', repository, left, '--yes']))
    t.equal(await digestFor(town, '1.0'), a.digest)
  })
})

await t.test('with tokens', { skip }, async (t) => {
  const { serve, tokenOf } = await serverWithTokens(t)
  const town = await openSharedTown(t, serve, tokenOf)
  const { repository, alice, bob, a } = town
  const id = pendingIn(await alice.run(['sign', `${repository}:1.0@${a.digest}`, '--json']))
  await t.test('another than the one that began it does not take it back', async (t) => {
    const ran = await bob.run(['approve', repository, id, '--withdraw'])
    t.same([ran.code, codeOf(ran)], [1, 'PROPOSAL_OF_OTHERS'], ran.stderr)
    t.match(ran.stderr, 'was begun with the token alice')
    await ok(bob.run(['approve', repository, id, '--yes']))
  })
  await t.test('a reader is told nothing of what waits', async (t) => {
    await ok(alice.run(['sign', `${repository}:2.0@${a.digest}`, '--allow-pending']))
    const status = await town.consumer.run(['status', repository, '--json'])
    t.match([status.code, documentOf(status)], [0, { proposals: null }], status.stderr)
    t.equal(codeOf(await town.consumer.run(['approve', repository])), 'UNAUTHORIZED')
  })
})

await t.test('a repository of more than a thousand tags', { skip }, async (t) => {
  const town = await openSharedTown(t, serverUnder(t))
  const { repository, alice, bob, carol, a, b } = town
  const images = Array.from({ length: 1001 }, (_, i) => `${repository}:1.${i}@${a.digest}`)
  await ok(alice.run(['sign', ...images.slice(0, 1000), '--allow-pending']))
  const [id = ''] = (await bob.run(['approve', repository])).stdout.split(' ')
  await ok(bob.run(['approve', repository, id, '--yes', '--without-registry']))

  await t.test('spreads them over bins by two signatures on each of 66 files', async (t) => {
    const ran = await carol.run(['sign', images[1000] ?? '', '--json', '--allow-pending'])
    t.match(documentOf(ran), { pending: [{ roles: [{ role: 'targets', need: 2, have: 1 }] }] })
    t.equal((documentOf(ran) as { pending: { roles: object[] }[] }).pending[0]?.roles.length, 1, 'told as one')
    const shown = await alice.run(['approve', repository, pendingIn(ran)])
    t.match(shown.stdout, /^ {2}\+ role bins: every tag by 2 of 3 keys \(/m)
    t.match(shown.stdout, /^ {2}~ bins spreads its tags over 64 hash bins bin-\*, by 2 of 3 keys \(/m)
    t.match(shown.stdout, /^ {2}\+ 1\.1000 {2}sha256:/m)
    t.match(shown.stdout, /^1000 tags of targets stand elsewhere from now on, and mean the same$/m)
    t.ok(shown.stdout.split('\n').length < 100, 'and not each of them')
    await ok(alice.run(['approve', repository, pendingIn(ran), '--yes']))
    t.same([await digestFor(town, '1.0'), await digestFor(town, '1.1000')], [a.digest, a.digest])
  })
  await t.test('signs another one in its bin, and a stock client finds all of them', async (t) => {
    const ran = await bob.run(['sign', `${repository}:2.0@${b.digest}`, '--json', '--allow-pending'])
    t.match(documentOf(ran), { pending: [{ roles: [{ role: /^bin-[0-9a-f]{2}$/ }] }] })
    await ok(carol.run(['approve', repository, pendingIn(ran), '--yes']))
    const metadataBaseUrl = `${town.server.url}/v2/${repository}/_trust/tuf`
    const metadataDir = t.testdir()
    const root = await fetch(`${metadataBaseUrl}/1.root.json`)
    await writeFile(join(metadataDir, 'root.json'), Buffer.from(await root.arrayBuffer()))
    const stock = new Updater({ metadataDir, metadataBaseUrl })
    await stock.refresh()
    for (const [tag, { digest }] of [
      ['2.0', b],
      ['1.7', a],
      ['1.1000', a],
    ] as const) {
      t.equal(`sha256:${(await stock.getTargetInfo(tag))?.hashes['sha256']}`, digest, tag)
    }
    t.equal(await stock.getTargetInfo('3.0'), undefined)
  })
  await t.test('a stale one finds the bin by itself when it is made again', async (t) => {
    const tags = ['3.0', '3.1'].map((tag) => `${repository}:${tag}@${a.digest}`)
    const [one, two] = [
      pendingIn(await alice.run(['sign', ...tags.slice(0, 1), '--json'])),
      pendingIn(await alice.run(['sign', ...tags, '--json'])),
    ]
    await ok(bob.run(['approve', repository, one, '--yes']))
    const ran = await bob.run(['approve', repository, two, '--renew', '--yes', '--json'])
    t.equal(ran.code, 0, ran.stderr)
    const { renewed } = documentOf(ran) as { renewed: string }
    await ok(carol.run(['approve', repository, renewed, '--yes']))
    t.same([await digestFor(town, '3.0'), await digestFor(town, '3.1')], [a.digest, a.digest])
  })
})
