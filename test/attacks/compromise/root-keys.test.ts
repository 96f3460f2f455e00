/** Root keys are stolen: below the threshold nothing is lost; at it, the owner is told what is, and what to type. */
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { customsOf } from '../../../client/publish/customs.ts'
import { keyringOf } from '../../../client/publish/desk.ts'
import { publicKeyOf } from '../../../client/publish/found.ts'
import { sign } from '../../../client/publish/publish.ts'
import { authorityOf, DEFAULT_LIMITS, nextRoot, nextTargets, ROOT, TARGETS, tufCodec } from '../../../tuf/index.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, Person } from '../../support/incident-lab.ts'
import { forgeSnapshot, forgeTimestamp, intercept, stealOnline } from '../../support/thief.ts'
import type { Interceptor } from '../../support/thief.ts'

const GOOD = digestOf('good')
const generate = async (owner: Person, name: string) =>
  (await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])).trim()

/** Two of three root keys must sign. */
async function threeHolders(t: Test): Promise<{ lab: Founded; keys: readonly string[] }> {
  const keys: string[] = []
  const lab = await founded(t, {
    init: async (owner) => {
      for (const name of ['alice', 'bob', 'carol']) keys.push(await generate(owner, name))
      return [...keys.flatMap((key) => ['--root-key', key]), '--root-threshold', '2']
    },
  })
  return { lab, keys }
}

await t.test('one of three root keys is stolen, where two must sign', async (t) => {
  const { lab, keys } = await threeHolders(t)
  const { owner } = lab
  const [offline, fooled] = [await lab.consumer(), await lab.consumer()]
  for (const person of [offline, fooled]) t.equal(await verdictOn(person, '1.0'), GOOD)
  const { thief, id } = await steal(lab, owner, 'alice')

  await t.test('its thief can sign nothing with it', async (t) => {
    const ran = await thief.run(['rotate', REPOSITORY, 'targets', '--no-passphrase'])
    t.equal(ran.code, 1)
    t.match(ran.stderr, 'NO_SIGNING_KEY')
    const between = await intercept(t, lab)
    between.files.set('2.root.json', await thiefsRoot(thief, between, 1))
    t.equal(await verdictOn(fooled, '1.0', { TAGSEAL_SERVER: between.url }), 'THRESHOLD')
  })
  const fresh = await lab.consumer()
  await succeeds(owner, ['key', 'remove', id, '--yes'])
  const ran = await owner.run(['rotate', REPOSITORY, 'root', '--stolen', id, '--no-passphrase', '--json'])
  t.match([ran.code, JSON.parse(ran.stdout)], [0, { threshold: 2, replaced: [id] }], ran.stderr)
  await t.test('the impact says that it could do nothing, and asks for no time', async (t) => {
    t.match(JSON.parse(ran.stdout), { impact: { scope: [], tags: 0, root: { stolen: 1, threshold: 2 } } })
    t.match(ran.stderr, /^impact: the key is one of 2 that root needs: alone it could do nothing$/m)
    t.notMatch(ran.stderr, /--since|new pin;/)
  })
  await t.test('the others stay, and it is gone', async (t) => {
    const { keys: now } = JSON.parse(ran.stdout) as { keys: string[] }
    t.equal(now.length, 3)
    t.notOk(now.includes(id))
    t.ok(keys.slice(1).every((key) => now.includes(key)))
  })
  for (const person of [offline, fooled, fresh]) t.equal(await verdictOn(person, '1.0'), GOOD)
})

await t.test('one root key is stolen and another lost, where two must sign', async (t) => {
  const { lab, keys } = await threeHolders(t)
  const consumer = await lab.consumer()
  t.equal(await verdictOn(consumer, '1.0'), GOOD)
  const gone = ['--stolen', 'alice', '--lost', 'bob', '--no-passphrase', '--json']
  const ran = await lab.owner.run(['rotate', REPOSITORY, 'root', ...gone])
  t.match([ran.code, JSON.parse(ran.stdout)], [0, { threshold: 2 }], 'its thief could sign nothing')
  const { keys: now } = JSON.parse(ran.stdout) as { keys: string[] }
  t.same([now.length, now.filter((key) => keys.includes(key))], [3, keys.slice(2)])
  t.equal(await verdictOn(consumer, '1.0'), GOOD)
})

await t.test('a repository of Notary replaces one root key of several by its id or its name', async (t) => {
  const names = ['alice', 'bob']
  const lab = await founded(t, {
    init: async (owner) => {
      const keys: string[] = []
      for (const name of names) {
        const made = ['key', 'generate', '--no-passphrase', '--algorithm', 'ecdsa-p256', '--name', name]
        keys.push((await succeeds(owner, made)).trim())
      }
      return ['--dialect', 'notary', ...keys.flatMap((key) => ['--root-key', key])]
    },
  })
  const consumer = await lab.consumer()
  t.equal(await verdictOn(consumer, '1.0'), GOOD)
  const ran = await lab.owner.run(['rotate', REPOSITORY, 'root', '--lost', 'alice', '--no-passphrase', '--json'])
  t.match([ran.code, JSON.parse(ran.stdout)], [0, { threshold: 1 }], ran.stderr)
  t.equal((JSON.parse(ran.stdout) as { keys: string[] }).keys.length, 2)
  t.equal(await verdictOn(consumer, '1.0'), GOOD)
})

await t.test('as many root keys as the threshold are stolen', async (t) => {
  const { lab } = await threeHolders(t)
  const { owner } = lab
  const [offline, fooled] = [await lab.consumer(), await lab.consumer()]
  for (const person of [offline, fooled]) t.equal(await verdictOn(person, '1.0'), GOOD)
  const { thief } = await steal(lab, owner, 'alice')
  const other = await steal(lab, owner, 'bob')
  await succeeds(thief, ['key', 'import', join(other.thief.home, 'stolen.pem'), '--no-passphrase', '--name', 'other'])
  const between = await intercept(t, lab)
  await t.test('whom the thief reaches first, he has', async (t) => {
    await takeOver(t, lab, thief, between)
    t.equal(await verdictOn(fooled, '1.0', { TAGSEAL_SERVER: between.url }), digestOf('evil'))
  })
  const fresh = await lab.consumer()
  const unnamed = await owner.run(['rotate', REPOSITORY, 'root', '--compromised'])
  t.match(unnamed, { code: 2, stderr: /--stolen ID, or --lost ID, for each of them;.* --key ID --compromised/ })
  const stolen = ['--stolen', 'alice', '--stolen', 'bob']
  const ran = await owner.run(['rotate', REPOSITORY, 'root', ...stolen, '--no-passphrase'])
  await t.test('the owner is told what is lost, and what to type', async (t) => {
    t.equal(ran.code, 1)
    t.match(ran.stderr, /^error: .*\(ROOT_LOST\)$/m)
    t.match(ran.stdout, /^# what is lost: /)
    const commands = ran.stdout.split('\n').filter((line) => line.startsWith('tagseal '))
    t.match(commands.join('\n'), /rotate .* targets --compromised[^]*trust add .*--key[^]*status/)
  })
  await t.test('whoever reached the server first is safe', async (t) => {
    for (const person of [offline, fresh]) t.equal(await verdictOn(person, '1.0'), GOOD)
    for (const person of [offline, fresh]) {
      const verdict = await verdictOn(person, '1.0', { TAGSEAL_SERVER: between.url })
      t.not(verdict, digestOf('evil'), `and stays so: ${verdict}`)
    }
  })
  await t.test('whom the thief had is refused by the server, in words, until it has the new pin', async (t) => {
    const refused = await fooled.run(['verify', `${REPOSITORY}:1.0`])
    t.equal(refused.code, 1)
    t.match(refused.stderr, /^error: .*\n(?:.*\n)*hint: /)
    const pin = ran.stdout.split('\n').find((line) => line.startsWith('tagseal trust add '))
    await succeeds(fooled, pin?.split(' ').slice(1) ?? [])
    t.equal(await verdictOn(fooled, '1.0'), GOOD)
  })
})

await t.test('a thief of the root who also has a token takes the server itself', async (t) => {
  const lab = await founded(t)
  const { thief } = await steal(lab, lab.owner, 'root ')
  await succeeds(thief, ['rotate', REPOSITORY, 'root', '--no-passphrase'])
  const ran = await lab.owner.run(['rotate', REPOSITORY, 'root', '--compromised', '--no-passphrase', '--json'])
  t.match([ran.code, JSON.parse(ran.stdout)], [1, { rotated: false, error: { code: 'ROOT_LOST' } }], ran.stderr)
  const { steps } = JSON.parse(ran.stdout) as { steps: string[] }
  t.match(steps.join('\n'), /tagseal-server --data[^]*tagseal init[^]*tagseal sign[^]*tagseal trust add/)
})

/** Root 2 with the thief's own key for targets, by as many of the root keys as he has. */
async function thiefsRoot(thief: Person, between: Interceptor, count: number): Promise<Uint8Array> {
  const { authority, body } = await rootPlan(thief, between)
  const keyring = await keyringOf(thief.context(), [])
  const lax = { ...authority, role: { ...authority.role, threshold: count as typeof authority.role.threshold } }
  const files = await sign(tufCodec, keyring, [{ role: ROOT, body, authorities: [lax] }])
  keyring.close()
  return files.get(ROOT) ?? new Uint8Array()
}

async function rootPlan(thief: Person, between: Interceptor) {
  const seat = { suite: nativeSuite, limits: DEFAULT_LIMITS }
  const root = tufCodec.decode('root', await between.genuine('1.root.json'), seat).body
  const context = thief.context()
  const keystore = await context.keystore()
  const here = await keystore.list()
  const own =
    here.find(({ name }) => name === 'own') ??
    (await keystore.generate({ algorithm: 'ed25519', name: 'own', encrypted: false }))
  const key = publicKeyOf(own, tufCodec, nativeSuite)
  const expires = context.clock() + customsOf(tufCodec).lifetimes.root
  const body = nextRoot(root, { targets: { keys: [key], threshold: 1 } }, { codec: tufCodec, expires })
  return { body, authority: authorityOf(root, ROOT), seat }
}

/** A whole repository of the thief's, from root 2 on; with the online keys, which he names himself or has. */
async function takeOver(t: Test, lab: Founded, thief: Person, between: Interceptor): Promise<void> {
  const rootFile = await thiefsRoot(thief, between, 2)
  const { body: root, seat } = await rootPlan(thief, between)
  const now = lab.clock.now
  const before = tufCodec.decode('targets', await between.genuine('2.targets.json'), seat).body
  const evil = { length: 1, hashes: new Map([['sha256', digestOf('evil').slice(7)]]), unknown: new Map() }
  const body = nextTargets(before, { set: new Map([['1.0', evil]]) }, { codec: tufCodec, expires: now + 1e10 })
  const keyring = await keyringOf(thief.context(), [])
  const files = await sign(tufCodec, keyring, [{ role: TARGETS, body, authorities: [authorityOf(root, TARGETS)] }])
  keyring.close()
  const forging = { to: 9, now, rootFile }
  const snapshot = await forgeSnapshot(
    await stealOnline(t, lab, 'snapshot'),
    await between.genuine('snapshot.json'),
    forging,
    (listing) => ({
      ...listing,
      meta: new Map([[TARGETS, { version: body.version, unknown: new Map() }]]),
    }),
  )
  const timestamp = await forgeTimestamp(
    await stealOnline(t, lab, 'timestamp'),
    await between.genuine('timestamp.json'),
    snapshot,
    forging,
  )
  between.files.set('2.root.json', rootFile)
  between.files.set('9.snapshot.json', snapshot)
  between.files.set('timestamp.json', timestamp)
  between.files.set(`${body.version}.targets.json`, files.get(TARGETS) ?? new Uint8Array())
}
