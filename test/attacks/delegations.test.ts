/** A delegate who says more than was delegated, and a search that somebody wants to lead astray or never to end. */
import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import {
  binFor,
  firstTargets,
  nextTargets,
  roleName,
  succinctBins,
  TARGETS,
  version,
  withDelegation,
} from '../../tuf/index.ts'
import type { Scope } from '../../tuf/index.ts'
import { openLab, refuseAll } from '../support/attack-lab.ts'
import type { Attack } from '../support/attack-lab.ts'
import { sha256 } from '../support/images.ts'
import { context, newKey, setDelegations, signFile, signTargets, target } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import { signingKey } from '../support/signing-key.ts'
import { keySet, targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

const [A, B, D] = [roleName('a'), roleName('b'), roleName('d')]
const STORED = ['timestamp.json', 'snapshot.json', 'targets.json', 'a.json', 'b.json', 'd.json']
const unsigned = { code: 'TAG_NOT_SIGNED', stores: STORED, libraryOnly: true }

/** A first file of each role, listing `tag` where the content is not empty. */
function publishAll(simulator: Simulator, tag: string, contents: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(contents)) {
    const set = content === '' ? new Map() : new Map([[tag, targetOf(content)]])
    simulator.publishTargets({ set }, roleName(name))
  }
  simulator.release()
}
function delegateScope(simulator: Simulator, scope: Scope): void {
  const keys = [signingKey()]
  simulator.signers.set(A, keys)
  const role = { ...keySet(keys), name: A, terminating: false, scope }
  simulator.publishTargets({ delegations: withDelegation(undefined, role) })
}
/** Every tag that the delegate of these paths must not speak for. */
const outside = (paths: readonly string[], ...tags: readonly string[]): Record<string, Attack> =>
  Object.fromEntries(
    tags.map((tag) => [
      `${tag} from a delegate for ${paths.join(', ') || 'no paths'}`,
      {
        ...unsigned,
        tag,
        attack: (simulator: Simulator) => {
          simulator.delegate(TARGETS, A, { paths })
          publishAll(simulator, tag, { a: 'evil' })
        },
      },
    ]),
  )
/** A delegator further down needs a file of its own to delegate with. */
function delegateBelow(simulator: Simulator, ...[delegator, name, options]: Parameters<Simulator['delegate']>) {
  if (!simulator.targets.has(delegator)) simulator.publishTargets({}, delegator)
  return simulator.delegate(delegator, name, options)
}
function chain(simulator: Simulator, length: number): void {
  let delegator = TARGETS
  for (let i = 0; i < length; i++) {
    const name = roleName(`r${i}`)
    delegateBelow(simulator, delegator, name)
    delegator = name
  }
  publishAll(simulator, 'deep', { [delegator]: 'evil' })
}

await refuseAll(t, {
  ...outside(['team-*'], '1.1', 'team', 'TEAM-1', 'team-1/x', 'xteam-1'),
  ...outside(['release/?.?'], 'release/1.10', 'release/1/2', 'release1.0'),
  ...outside([''], 'x'),
  ...outside([], 'x'),
  ...outside(['*'], 'dev/x'),
  'what a delegate of a delegate says beyond what the first was delegated': {
    ...unsigned,
    tag: 'b-1',
    attack: (simulator) => {
      simulator.delegate(TARGETS, A, { paths: ['a-*'] })
      delegateBelow(simulator, A, B, { paths: ['*'] })
      publishAll(simulator, 'b-1', { b: 'evil' })
    },
  },
  'what comes after a terminating delegation': {
    ...unsigned,
    libraryOnly: false,
    tag: 'x-1',
    attack: (simulator) => {
      simulator.delegate(TARGETS, A, { paths: ['x-*'], terminating: true })
      simulator.delegate(TARGETS, B)
      publishAll(simulator, 'x-1', { a: '', b: 'evil' })
    },
  },
  'what comes after a terminating delegation further down': {
    ...unsigned,
    tag: 'x-1',
    attack: (simulator) => {
      simulator.delegate(TARGETS, A)
      delegateBelow(simulator, A, D, { paths: ['x-*'], terminating: true })
      simulator.delegate(TARGETS, B)
      publishAll(simulator, 'x-1', { d: '', b: 'evil' })
    },
  },
  'the next delegate in place of one whose file is withheld': {
    ...unsigned,
    code: 'NO_TRUST_DATA',
    tag: 'x-1',
    attack: (simulator) => {
      simulator.delegate(TARGETS, A)
      simulator.delegate(TARGETS, B)
      publishAll(simulator, 'x-1', { a: 'one', b: 'evil' })
      simulator.files.delete('1.a.json')
    },
  },
  'a delegate that the snapshot does not list': {
    ...unsigned,
    code: 'ROLE_NOT_LISTED',
    tag: 'x-1',
    attack: (simulator) => {
      simulator.delegate(TARGETS, A)
      simulator.publishTargets({ set: new Map([['x-1', targetOf('evil')]]) }, A)
      simulator.publishSnapshot((body) => ({
        ...body,
        meta: new Map([[TARGETS, { version: version(3), unknown: new Map() }]]),
      }))
      simulator.publishTimestamp()
    },
  },
  'a diamond: what one parent trusts, by the word of the other': {
    ...unsigned,
    code: 'THRESHOLD',
    tag: 'b-1',
    before: (simulator) => {
      const [first, second] = [signingKey(), signingKey()]
      simulator.delegate(TARGETS, A, { paths: ['1.*'] })
      simulator.delegate(TARGETS, B, { paths: ['b-*'] })
      delegateBelow(simulator, A, D, { signers: [first] })
      delegateBelow(simulator, B, D, { signers: [second] })
      simulator.publishTargets({ remove: new Set(['1.0']) })
      simulator.publishTargets(
        {
          set: new Map([
            ['1.0', targetOf('one')],
            ['b-1', targetOf('evil')],
          ]),
        },
        D,
      )
      simulator.release()
    },
    attack: () => {},
    libraryOnly: false,
  },
  'two roles that delegate to each other for ever': {
    ...unsigned,
    tag: 'x-1',
    attack: (simulator) => {
      const keys = simulator.delegate(TARGETS, A)
      delegateBelow(simulator, A, B)
      delegateBelow(simulator, B, A, { signers: keys })
      delegateBelow(simulator, B, B, { signers: simulator.signers.get(B) ?? [] })
      simulator.release()
    },
  },
  'a chain of more delegates than are ever visited': {
    code: 'TOO_MANY_ROLES',
    stores: [...STORED, ...Array.from({ length: 33 }, (_, i) => `r${i}.json`)],
    tag: 'deep',
    attack: (simulator) => chain(simulator, 33),
    libraryOnly: true,
  },
  'more delegates side by side than are ever visited': {
    code: 'TOO_MANY_ROLES',
    stores: [...STORED, ...Array.from({ length: 33 }, (_, i) => `r${i}.json`)],
    tag: 'x-1',
    attack: (simulator) => {
      for (let i = 0; i < 33; i++) simulator.delegate(TARGETS, roleName(`r${i}`))
      publishAll(simulator, 'x-1', Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`r${i}`, ''])))
    },
    libraryOnly: true,
  },
  'a target in a bin of hash prefixes that is not its own': {
    ...unsigned,
    tag: 'x-1',
    attack: (simulator) => {
      const own = nativeSuite.hash('sha256', Buffer.from('x-1')).slice(0, 1)
      delegateScope(simulator, { kind: 'hash-prefixes', prefixes: [own === '0' ? '1' : '0', ''] })
      publishAll(simulator, 'x-1', { a: 'evil' })
    },
  },
  'a target in a succinct bin that is not its own': {
    ...unsigned,
    tag: 'x-1',
    stores: [...STORED, 'bin-0.json', 'bin-1.json'],
    attack: (simulator) => {
      const keys = [signingKey()]
      const delegations = succinctBins(keySet(keys), 1, 'bin')
      simulator.publishTargets({ delegations })
      const own = delegations.succinct && binFor(delegations.succinct, 'x-1', nativeSuite)
      for (const bin of ['bin-0', 'bin-1']) simulator.signers.set(roleName(bin), keys)
      publishAll(simulator, 'x-1', { 'bin-0': own === 'bin-0' ? '' : 'evil', 'bin-1': own === 'bin-1' ? '' : 'evil' })
    },
  },
  ...Object.fromEntries(
    ['root', 'timestamp', 'snapshot', 'targets'].map((name) => [
      `a delegation to a role that is called ${name}`,
      {
        attack: (simulator: Simulator) => {
          simulator.delegate(TARGETS, roleName(name))
          simulator.release()
        },
        code: 'MALFORMED',
        stores: ['timestamp.json', 'snapshot.json'],
        libraryOnly: true,
      },
    ]),
  ),
})

const WINNERS: Record<string, { order: readonly string[]; wins: string }> = {
  'names that read as numbers': { order: ['b', '10', '2'], wins: 'b' },
  'names that objects have by themselves': { order: ['constructor', '__proto__', 'toString'], wins: 'constructor' },
  'a name that every object inherits': { order: ['__proto__', '1'], wins: '__proto__' },
}
for (const [name, { order, wins }] of Object.entries(WINNERS)) {
  await t.test(`the first of ${name} wins, as the delegator wrote them`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    for (const role of order) lab.simulator.delegate(TARGETS, roleName(role))
    for (const role of order) lab.simulator.publishTargets({ set: new Map([['x-1', targetOf(role)]]) }, roleName(role))
    lab.simulator.release()
    t.equal(await lab.library({}, 'x-1'), sha256(Buffer.from(wins)))
  })
}
await t.test('what targets lists itself, no delegate can say otherwise', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  lab.simulator.delegate(TARGETS, A, { terminating: true })
  publishAll(lab.simulator, '1.0', { a: 'evil' })
  t.equal(await lab.library(), sha256(Buffer.from('one')))
})

const scope = { kind: 'paths' as const, paths: ['*'] }
await refuseUploads(t, {
  'a delegated role by the key of another role': {
    send: async ({ owner, now }) => {
      const [first, second] = [await newKey(), await newKey()]
      const one = { name: A, keys: [first.key], threshold: 1, scope, terminating: false }
      const two = { ...one, name: B, keys: [second.key] }
      setDelegations(owner, now, withDelegation(withDelegation(undefined, one), two))
      const file = firstTargets({ set: new Map([['x', target('evil')]]) }, context(now))
      return { targets: await signTargets(owner), a: await signFile(file, second) }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a role to which only a file delegates that nobody delegates to': {
    send: async ({ now }) => {
      const key = await newKey()
      const role = { name: B, keys: [key.key], threshold: 1, scope, terminating: false }
      const file = firstTargets({ delegations: withDelegation(undefined, role) }, context(now))
      return { a: await signFile(file, key), b: await signFile(firstTargets({}, context(now)), key) }
    },
    code: 'INVALID_ROLE',
  },
  'a delegated role that expired before it came': {
    send: async ({ owner, now }) => {
      const key = await newKey()
      setDelegations(
        owner,
        now,
        withDelegation(undefined, { name: A, keys: [key.key], threshold: 1, scope, terminating: false }),
      )
      const file = nextTargets(
        firstTargets({}, context(now - 10 * 365 * 86_400_000)),
        {},
        context(now - 10 * 365 * 86_400_000),
      )
      return { targets: await signTargets(owner), a: await signFile({ ...file, version: version(1) }, key) }
    },
    code: 'INVALID_UPDATE',
    inner: 'EXPIRED',
  },
})
