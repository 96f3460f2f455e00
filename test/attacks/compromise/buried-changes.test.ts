/** A thief publishes so much on top of what he did that nobody shall find it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../../../client/publish/desk.ts'
import { publish } from '../../../client/publish/publish.ts'
import { allRoles } from '../../../client/publish/standing.ts'
import { editOf } from '../../../client/publish/tags.ts'
import { roleName, withDelegation } from '../../../tuf/index.ts'
import type { Delegations } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Person } from '../../support/incident-lab.ts'
import { signingKey } from '../../support/signing-key.ts'

/** More than the entries of a tag's history that are looked through. */
const MANY = 101

await t.test('what a thief changed is found below a hundred later changes', async (t) => {
  const lab = await founded(t)
  const { owner, clock } = lab
  await owner.sign({ moved: 'good', taken: 'good' })
  const { thief } = await steal(lab, owner, 'targets ')
  clock.now += 60_000
  const since = new Date(clock.now).toISOString()
  clock.now += 60_000

  // A role of his own, whose entries stand above the one of targets in the history of the same tag.
  await succeeds(thief, ['key', 'generate', '--no-passphrase', '--name', 'mine'])
  await writeFile(join(thief.home, 'mine.pem'), await succeeds(thief, ['key', 'export', 'mine']))
  const add = ['delegation', 'add', REPOSITORY, 'noise', '--key', join(thief.home, 'mine.pem'), '--path', '*']
  await succeeds(thief, add)
  await thief.sign({ moved: 'evil' })
  for (let i = 0; i < MANY; i++) {
    await change(thief, clock, 'noise', { set: new Map([['moved', imageOf(`noise ${i}`)]]) })
    await thief.sign({ taken: `noise ${i}` })
  }
  await thief.revoke('taken')

  const rotate = ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since, '--no-passphrase', '--json']
  const { changed } = JSON.parse(await succeeds(owner, rotate)) as { changed: readonly { tag?: string }[] }
  t.match(
    changed.filter(({ tag }) => tag !== undefined),
    [
      { tag: 'moved', before: digestOf('good'), now: digestOf('evil'), decision: null },
      { tag: 'taken', before: digestOf('good'), now: null, decision: null },
    ],
  )
  t.equal(await verdictOn(await lab.consumer(), 'moved'), 'TAG_NOT_SIGNED', 'out, until somebody decides')
})

await t.test('a delegation to a thief is found behind a thousand others', async (t) => {
  const lab = await founded(t)
  const { owner, clock } = lab
  const { thief } = await steal(lab, owner, 'targets ')
  clock.now += 60_000
  const since = new Date(clock.now).toISOString()
  clock.now += 60_000
  const [mine, scope] = [signingKey(), { kind: 'paths' as const, paths: ['*'] }]
  const names = ['zz-last', ...Array.from({ length: 1000 }, (_, i) => `noise-${i}`)]
  const role = { keys: [mine.public], threshold: 1, scope, terminating: false }
  const delegating = names.reduce<Delegations | undefined>(
    (list, name) => withDelegation(list, { ...role, name: roleName(name) }),
    undefined,
  )
  await change(thief, clock, 'targets', { delegations: delegating ?? null })

  const rotate = ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since, '--no-passphrase', '--json']
  await succeeds(owner, rotate)
  const { delegations } = JSON.parse(await succeeds(owner, ['delegation', 'list', REPOSITORY, '--json'])) as {
    delegations: readonly { readonly role: string }[]
  }
  t.same(delegations, [], 'none of them is signed again')
})

/** Also what our own client would refuse to sign: a tag of which a role that is asked before says something else. */
async function change(thief: Person, clock: { now: number }, name: string, wish: Parameters<typeof editOf>[1]) {
  const opened = thief.context()
  const desk = await openDesk(opened, REPOSITORY)
  let isDone = false
  await publish(desk, async (standing) => {
    const held = isDone ? [] : (await allRoles(standing)).filter((role) => role.name === name)
    isDone = true
    return held.map((role) => editOf(role, wish, { codec: standing.codec, clock: opened.clock }))
  }).finally(desk.close)
  clock.now += 1000
}

function imageOf(seed: string) {
  return { length: 1000, hashes: new Map([['sha256', digestOf(seed).slice(7)]]), unknown: new Map() }
}
