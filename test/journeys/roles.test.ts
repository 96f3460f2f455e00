import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { serverHere, tagsealHere } from '../support/in-process.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown, pinFrom } from '../support/town.ts'
import type { Person } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

async function released(t: Test) {
  const town = await openTown({}, tagsealHere, serverHere)
  t.teardown(town.close)
  const [owner, consumer] = [await town.person(), await town.person()]
  const image = await town.push('1.0', buildImage())
  const other = await town.push('2.0', buildImage({ layers: [{ two: '' }] }))
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  t.equal(made.code, 0, made.stderr)
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  const pin = pinFrom(made)
  t.equal((await consumer.run(pin)).code, 0)
  t.equal((await consumer.run(['verify', `${town.repository}:1.0`])).code, 0)
  return { ...town, owner, consumer, image, other, pin }
}

async function teamKey(person: Person): Promise<{ id: string; file: string }> {
  const id = (await person.run(['key', 'generate', '--no-passphrase', '--name', 'team'])).stdout.trim()
  const file = join(person.home, 'team.pub.pem')
  await writeFile(file, (await person.run(['key', 'export', id])).stdout)
  return { id, file }
}

await t.test('every role is rotated and consumers follow by themselves', { skip }, async (t) => {
  const { repository, owner, consumer, image } = await released(t)
  for (const role of ['timestamp', 'snapshot', 'targets', 'root', 'targets']) {
    await t.test(role, async (t) => {
      const ran = await owner.run(['rotate', repository, role, '--no-passphrase'])
      t.equal(ran.code, 0, ran.stderr)
      const verified = await consumer.run(['verify', `${repository}:1.0`])
      t.same([verified.code, verified.stdout], [0, `${repository}@${image.digest}\n`], verified.stderr)
    })
  }
  await t.test('somebody who never saw the old root pins the new keys', async (t) => {
    const status = documentOf(await owner.run(['status', repository, '--json'])) as {
      roles: { role: string; keys: string[]; version: number }[]
    }
    const root = status.roles.find(({ role }) => role === 'root')
    t.equal(root?.version, 6)
    const pins = await owner.run(['trust', 'list', '--json'])
    t.match(documentOf(pins), { pins: [{ pattern: repository, keys: root?.keys }] }, 'the owner pins them already')
  })
  await t.test('root is renewed with the key it has', async (t) => {
    const [key = ''] =
      (documentOf(await owner.run(['trust', 'list', '--json'])) as { pins: { keys: string[] }[] }).pins[0]?.keys ?? []
    const ran = await owner.run(['rotate', repository, 'root', '--key', key, '--json'])
    t.match([ran.code, documentOf(ran)], [0, { keys: [key], replaced: [] }])
    t.equal((await consumer.run(['verify', `${repository}:1.0`])).code, 0)
  })
})

await t.test('a rotation that cannot be signed makes no key', { skip }, async (t) => {
  const { repository, owner } = await released(t)
  const keysOf = async () => (documentOf(await owner.run(['key', 'list', '--json'])) as { keys: Key[] }).keys
  type Key = { readonly id: string; readonly name: string }
  const root = (await keysOf()).find(({ name }) => name.startsWith('root'))?.id ?? ''
  t.equal((await owner.run(['key', 'remove', root, '--yes'])).code, 0)
  const before = await keysOf()
  for (const role of ['timestamp', 'targets', 'root']) {
    const ran = await owner.run(['rotate', repository, role, '--no-passphrase'])
    t.same([ran.code, codeOf(ran)], [1, 'NO_SIGNING_KEY'], role)
  }
  t.same(await keysOf(), before)
})

await t.test('a root key that was lost is replaced by two of the three', { skip }, async (t) => {
  const town = await openTown({}, tagsealHere, serverHere)
  t.teardown(town.close)
  const [owner, consumer] = [await town.person(), await town.person()]
  const { repository } = town
  const make = async () => (await owner.run(['key', 'generate', '--no-passphrase'])).stdout.trim()
  const [lost, bob, carol] = [await make(), await make(), await make()]
  const named = (keys: readonly string[], option: string) => keys.flatMap((key) => [option, key])
  const founders = [...named([lost, bob, carol], '--root-key'), '--root-threshold', '2']
  const pin = pinFrom(await owner.run(['init', repository, '--no-passphrase', ...founders]))
  const { digest } = await town.push('1.0', buildImage())
  t.equal((await owner.run(['sign', `${repository}:1.0`])).code, 0)
  t.equal((await owner.run(['key', 'remove', lost, '--yes'])).code, 0)

  const vague = await owner.run(['rotate', repository, 'root', '--no-passphrase'])
  t.same([vague.code, codeOf(vague)], [2, 'USAGE'], 'it cannot be guessed which key is lost')
  t.match(vague.stderr, /^hint: .*--key ID --key ID/m)
  const ran = await owner.run(['rotate', repository, 'root', ...named([bob, carol, await make()], '--key'), '--json'])
  t.match([ran.code, documentOf(ran)], [0, { threshold: 2, replaced: [lost] }], ran.stderr)
  t.equal((await consumer.run(pin)).code, 0)
  t.equal((await consumer.run(['verify', `${repository}:1.0`])).stdout, `${repository}@${digest}\n`)
})

await t.test('a stolen targets key is rotated away', { skip }, async (t) => {
  const { repository, owner, consumer, other } = await released(t)
  const before = documentOf(await owner.run(['key', 'list', '--json'])) as { keys: { id: string; name: string }[] }
  const stolen = before.keys.find(({ name }) => name.startsWith('targets'))?.id ?? ''
  const pem = await owner.run(['key', 'export', stolen, '--private', '--no-passphrase'])
  const mallory = await sameTown(owner)
  await writeFile(join(mallory.home, 'stolen.pem'), pem.stdout)
  t.equal((await mallory.run(['key', 'import', join(mallory.home, 'stolen.pem'), '--no-passphrase'])).code, 0)

  t.equal((await owner.run(['rotate', repository, 'targets', '--compromised', '--no-passphrase'])).code, 0)
  const ran = await mallory.run(['sign', `${repository}:2.0`])
  t.same([ran.code, codeOf(ran)], [1, 'NO_SIGNING_KEY'])
  t.equal((await consumer.run(['verify', `${repository}:1.0`])).code, 0)
  t.equal((await owner.run(['key', 'remove', stolen, '--yes'])).code, 0)
  t.equal((await owner.run(['sign', `${repository}:2.0`])).code, 0)
  t.equal((await consumer.run(['verify', `${repository}:2.0`])).stdout, `${repository}@${other.digest}\n`)

  async function sameTown({ run }: Person): Promise<Person> {
    const home = t.testdir({ mallory: {} })
    const mine = {
      home,
      run: (args: readonly string[]) => run(args, { env: { TAGSEAL_HOME: join(home, 'mallory'), HOME: home } }),
    }
    const [rule] = (documentOf(await owner.run(['trust', 'list', '--json'])) as { pins: { keys: string[] }[] }).pins
    t.equal((await mine.run(['trust', 'add', repository, '--key', rule?.keys[0] ?? ''])).code, 0)
    return mine
  }
})

await t.test('a stolen targets key that other roles list too', { skip }, async (t) => {
  const { repository, owner, consumer, image } = await released(t)
  const keys = documentOf(await owner.run(['key', 'list', '--json'])) as { keys: { id: string; name?: string }[] }
  const stolen = keys.keys.find(({ name }) => name?.startsWith('targets '))?.id ?? ''
  const team = await teamKey(owner)
  const add = (role: string, ...more: string[]) => owner.run(['delegation', 'add', repository, role, ...more])
  t.equal((await add('nightly', '--key', stolen, '--path', 'nightly-*')).code, 0)
  t.equal((await add('team', '--key', team.file, '--path', 'team-*')).code, 0)
  t.equal((await add('shared', '--key', team.file, '--key', stolen, '--path', 'shared-*')).code, 0)
  const ran = await owner.run(['rotate', repository, 'targets', '--compromised', '--no-passphrase', '--json'])
  t.equal(ran.code, 0, ran.stderr)
  const { keys: after } = documentOf(ran) as { keys: string[] }
  await t.test('leaves a role that was under it alone, although that one never published', async (t) => {
    const listed = documentOf(await owner.run(['delegation', 'list', repository, '--json']))
    t.match(listed, { delegations: [{ role: 'nightly', keys: after, version: null }, { keys: [team.id] }, {}] })
  })
  await t.test('is named where it still signs beside another', async (t) => {
    t.match(documentOf(ran), { stillSigning: ['shared'] })
    t.match(ran.stderr, `the old key still signs for shared: tagseal rotate ${repository} shared`)
  })
  t.equal((await consumer.run(['verify', `${repository}:1.0`])).stdout, `${repository}@${image.digest}\n`)
})

await t.test('a team signs its own tags and no others', { skip }, async (t) => {
  const { repository, owner, consumer, image, other, pin, person } = await released(t)
  const team = await person()
  const key = await teamKey(team)
  await team.run(pin)
  const added = await owner.run(['delegation', 'add', repository, 'releases', '--key', key.file, '--path', 'r-*'])
  t.equal(added.code, 0, added.stderr)

  await t.test('a name that would be confused with another is refused', async (t) => {
    const ran = await owner.run(['delegation', 'add', repository, 'bins/x', '--key', key.file])
    t.same([ran.code, codeOf(ran)], [2, 'USAGE'])
  })
  await t.test('the delegation is listed before anybody used it', async (t) => {
    const ran = await consumer.run(['delegation', 'list', repository, '--json'])
    t.match(documentOf(ran), { delegations: [{ role: 'releases', keys: [key.id], paths: ['r-*'], version: null }] })
  })
  await t.test('until then a tag of theirs is refused, and every other works', async (t) => {
    const ran = await consumer.run(['verify', `${repository}:r-1`])
    t.same([ran.code, codeOf(ran)], [1, 'ROLE_NOT_LISTED'])
    t.match(ran.stderr, /^hint: .*never published/m)
    t.equal((await consumer.run(['verify', `${repository}:1.0`])).code, 0)
  })
  await t.test('they sign a tag of theirs', async (t) => {
    const ran = await team.run(['sign', `${repository}:r-1`, '--digest', other.digest, '--json'])
    t.match([ran.code, documentOf(ran)], [0, { signed: [{ role: 'releases' }] }], ran.stderr)
    t.equal((await consumer.run(['verify', `${repository}:r-1`])).stdout, `${repository}@${other.digest}\n`)
  })
  await t.test('they cannot sign another', async (t) => {
    const ran = await team.run(['sign', `${repository}:1.0`, '--digest', other.digest])
    t.same([ran.code, codeOf(ran)], [1, 'NO_SIGNING_KEY'])
    const named = await team.run(['sign', `${repository}:1.0`, '--digest', other.digest, '--role', 'releases'])
    t.same([named.code, codeOf(named)], [1, 'TAG_OUT_OF_SCOPE'])
  })
  await t.test('what the owner says of their tag is found first, and they are told', async (t) => {
    t.equal((await owner.run(['sign', `${repository}:r-2`, '--digest', image.digest])).code, 0)
    const ran = await team.run(['sign', `${repository}:r-2`, '--digest', other.digest])
    t.same([ran.code, codeOf(ran)], [1, 'TAG_SHADOWED'])
  })
  await t.test('their key is replaced by the owner, and they start anew with it', async (t) => {
    const next = await teamKey(team)
    const removed = await owner.run(['delegation', 'remove', repository, 'releases'])
    t.equal(removed.code, 0, removed.stderr)
    t.same([(await consumer.run(['verify', `${repository}:r-1`])).code], [1])
    t.equal(
      (await owner.run(['delegation', 'add', repository, 'releases', '--key', next.file, '--path', 'r-*'])).code,
      0,
    )
    const old = await consumer.run(['verify', `${repository}:r-1`])
    t.same([old.code, codeOf(old)], [1, 'THRESHOLD'], 'what the old key signed counts no more')
    const ran = await team.run(['sign', `${repository}:r-3`, '--digest', other.digest, '--key', next.id])
    t.equal(ran.code, 0, ran.stderr)
    t.equal((await consumer.run(['verify', `${repository}:r-3`])).code, 0)
  })
  await t.test('a key that is added says what the role may sign by then, and with which keys', async (t) => {
    const third = await teamKey(team)
    const ran = await owner.run(['delegation', 'add', repository, 'releases', '--key', third.file, '--json'])
    t.match([ran.code, documentOf(ran)], [0, { paths: ['r-*'], threshold: 1, terminating: false }])
    t.equal((documentOf(ran) as { keys: string[] }).keys.at(-1), third.id)
    t.equal((documentOf(ran) as { keys: string[] }).keys.length, 2)
    const [kept = ''] = (documentOf(ran) as { kept: string[] }).kept
    t.not(kept, third.id)
    t.match(ran.stderr, `tagseal delegation remove ${repository} releases --key ${kept.slice(0, 12)}\n`)
  })
  await t.test('a key that it has already replaces nothing, and nothing is said to stay beside it', async (t) => {
    const listed = documentOf(await owner.run(['delegation', 'list', repository, '--json']))
    const { keys = [] } = (listed as { delegations: { keys: string[] }[] }).delegations[0] ?? {}
    t.equal(keys.length, 2)
    const ran = await owner.run(['delegation', 'add', repository, 'releases', '--path', 'r-*', '--json'])
    t.match([ran.code, documentOf(ran)], [0, { keys, kept: [], published: false }])
    t.notMatch(ran.stderr, /keeps/)
  })
  await t.test('two of two must sign', async (t) => {
    const second = await teamKey(team)
    t.equal(
      (await owner.run(['delegation', 'add', repository, 'releases', '--key', second.file, '--threshold', '2'])).code,
      0,
    )
    const ran = await team.run(['sign', `${repository}:r-4`, '--digest', other.digest])
    t.equal(ran.code, 0, ran.stderr)
    t.equal((await consumer.run(['verify', `${repository}:r-4`])).code, 0)
    const one = await team.run(['sign', `${repository}:r-5`, '--digest', other.digest, '--key', second.id])
    t.same([one.code, codeOf(one)], [1, 'APPROVAL_PENDING'], 'one of them alone waits for the other')
  })
})

await t.test('a tag is revoked', { skip }, async (t) => {
  const { repository, owner, consumer, image, pin, person } = await released(t)
  const ran = await owner.run(['revoke', `${repository}:1.0`])
  t.same([ran.code, ran.stdout], [0, `revoked ${repository}:1.0 from targets\n`])
  const verified = await consumer.run(['verify', `${repository}:1.0`])
  t.same([verified.code, codeOf(verified), verified.stdout], [1, 'TAG_NOT_SIGNED', ''])
  const history = await consumer.run(['history', `${repository}:1.0`, '--json'])
  t.match(documentOf(history), { entries: [{ digest: null }, { digest: image.digest }] })

  await t.test('a misspelt tag is not taken for revoked', async (t) => {
    const again = await owner.run(['revoke', `${repository}:1.O`])
    t.same([again.code, codeOf(again)], [1, 'TAG_NOT_SIGNED'])
  })
  await t.test('what others signed stays, and is named', async (t) => {
    const team = await person()
    const key = await teamKey(team)
    await team.run(pin)
    const add = ['delegation', 'add', repository, 'releases', '--key', key.file, '--path', '*']
    t.equal((await owner.run(add)).code, 0)
    t.equal((await team.run(['sign', `${repository}:1.0`])).code, 0)
    const mine = await owner.run(['revoke', `${repository}:1.0`, '--json'])
    t.match([mine.code, documentOf(mine)], [1, { revoked: [{ roles: [], keeping: ['releases'] }] }])
    t.equal((await team.run(['revoke', `${repository}:1.0`])).code, 0)
    t.equal((await consumer.run(['verify', `${repository}:1.0`])).code, 1)
  })
})

await t.test('what a thief signed is not signed again', { skip }, async (t) => {
  const { repository, owner, consumer, image, other } = await released(t)
  t.equal((await owner.run(['sign', `${repository}:stable`, '--digest', image.digest])).code, 0)
  t.equal((await owner.run(['sign', `${repository}:gone`, '--digest', image.digest])).code, 0)
  t.equal((await owner.run(['revoke', `${repository}:gone`])).code, 0)
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const stolen = new Date().toISOString()
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const thief = (tag: string) => owner.run(['sign', `${repository}:${tag}`, '--digest', other.digest])
  t.equal((await thief('stable')).code, 0, 'a tag is moved')
  t.equal((await thief('evil')).code, 0, 'a tag is made')
  const revived = await owner.run(['sign', `${repository}:gone`, '--digest', image.digest])
  t.equal(revived.code, 0, 'a tag that was taken out comes back')

  const CALLS: Record<string, readonly string[]> = {
    'without --compromised': ['--since', stolen],
    'with a time to come': ['--compromised', '--since', '2999-01-01T00:00Z'],
    'with no time at all': ['--compromised', '--since', 'yesterday'],
  }
  for (const [name, options] of Object.entries(CALLS)) {
    await t.test(`--since ${name} is refused`, async (t) => {
      const ran = await owner.run(['rotate', repository, 'targets', '--no-passphrase', ...options])
      t.same([ran.code, codeOf(ran)], [2, 'USAGE'])
    })
  }
  const rotation = ['rotate', repository, 'targets', '--no-passphrase', '--compromised', '--since', stolen, '--json']
  const ran = await owner.run(rotation)
  t.match(
    [ran.code, documentOf(ran)],
    [
      0,
      {
        removed: [
          { tag: 'evil', digest: other.digest, before: null },
          { tag: 'gone', digest: image.digest, before: null },
          { tag: 'stable', digest: other.digest, before: image.digest },
        ],
      },
    ],
    ran.stderr,
  )
  t.match(ran.stderr, /^hint: tagseal rotate .* --restore evil/m, 'and says how one of them comes back')
  const listed = documentOf(await consumer.run(['list', repository, '--json'])) as { tags: { tag: string }[] }
  t.strictSame(
    listed.tags.map(({ tag }) => tag),
    ['1.0'],
  )
})
