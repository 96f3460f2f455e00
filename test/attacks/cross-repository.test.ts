/** Good metadata of one repository, served or published as another's that the same keys sign. */
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, tagseal } from '../support/cli.ts'
import { REPOSITORY_FIELD, roleName, TARGETS } from '../../tuf/index.ts'
import type { Unknown } from '../../tuf/index.ts'
import { openLab, refuseAll, REPOSITORY } from '../support/attack-lab.ts'
import { openTestServer } from '../server/support/app.ts'
import { changeRoot, newOwner, setTag, signBoth, signFile, signRoot, signTargets } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import { startServer } from '../support/server.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'
import { join } from 'node:path'

const OTHER = 'registry.example.com/team/other'
const TEAM = roleName('team')
const naming = (repository: string): Unknown => new Map([[REPOSITORY_FIELD, repository]])

/** Served in place of what was asked for, under a pin that says keys: what a fresh machine of a company has. */
async function refuseServed(t: Test, unknown: Unknown | undefined): Promise<void> {
  const lab = await openLab(unknown === undefined ? {} : { unknown })
  t.teardown(lab.close)
  const keyids = lab.simulator.root.roles.get(roleName('root'))?.keyids ?? []
  await t.rejects(lab.library({ pin: { kind: 'keys', keyids, threshold: 1 } }), { code: 'REPOSITORY_MISMATCH' })
  await t.rejects(lab.kept('library'), { code: 'ENOENT' }, 'the library stored nothing')
  const env = { TAGSEAL_HOME: join(lab.folder, 'home'), HOME: lab.folder }
  const key = ['--key', keyids[0] ?? '', '--server', lab.url]
  t.equal((await tagseal(['trust', 'add', 'registry.example.com/team/*', ...key], { env })).code, 0)
  const ran = await tagseal(['verify', `${REPOSITORY}:1.0`], { env })
  t.same([ran.code, codeOf(ran), ran.stdout], [1, 'REPOSITORY_MISMATCH', ''])
  await t.rejects(lab.kept('command'), { code: 'ENOENT' }, 'and the command line neither')
}
await t.test('refuses the whole metadata of another repository', (t) => refuseServed(t, naming(OTHER)))
await t.test('refuses a whole repository that does not say which it is', (t) => refuseServed(t, undefined))

const forOther = (simulator: Simulator, role = TARGETS) => {
  simulator.publishTargets(
    {
      set: new Map([
        ['1.0', targetOf('evil')],
        ['x-1', targetOf('evil')],
      ]),
    },
    role,
    (body) => ({ ...body, unknown: naming(OTHER) }),
  )
  simulator.release()
}
const options = { unknown: naming(REPOSITORY) }
await refuseAll(t, {
  'a next root that is for another repository': {
    options,
    attack: (simulator) => simulator.publishRoot({}, { twist: (body) => ({ ...body, unknown: naming(OTHER) }) }),
    code: 'REPOSITORY_MISMATCH',
    libraryOnly: true,
    after: (simulator) => void simulator.files.delete('3.root.json'),
  },
  "another repository's targets by the same key, listed by a stolen server": {
    options,
    attack: (simulator) => forOther(simulator),
    code: 'OTHER_REPOSITORY',
    stores: ['timestamp.json', 'snapshot.json'],
    after: (simulator) => {
      simulator.publishTargets({ set: new Map([['1.0', targetOf('two')]]) }, TARGETS, (body) => ({
        ...body,
        unknown: naming(REPOSITORY),
      }))
      simulator.release()
    },
  },
  "another repository's delegated role by the same key, listed by a stolen server": {
    options,
    attack: (simulator) => {
      simulator.delegate(TARGETS, TEAM)
      forOther(simulator, TEAM)
    },
    tag: 'x-1',
    code: 'OTHER_REPOSITORY',
    stores: ['timestamp.json', 'snapshot.json', 'targets.json'],
    libraryOnly: true,
  },
})

await refuseUploads(t, {
  'a root that is for another repository': {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, {})
      return { root: await signFile({ ...owner.root, unknown: naming(OTHER) }, owner.rootKey) }
    },
    code: 'INVALID_UPDATE',
    inner: 'OTHER_REPOSITORY',
  },
  'targets that are for another repository than the root': {
    send: async ({ owner, now, repository }) => {
      changeRoot(owner, now, {})
      owner.root = { ...owner.root, unknown: naming(repository) }
      setTag(owner, now, 'x', 'evil')
      owner.targets = { ...owner.targets, unknown: naming(OTHER) }
      return { root: await signRoot(owner), targets: await signTargets(owner) }
    },
    code: 'INVALID_UPDATE',
    inner: 'OTHER_REPOSITORY',
  },
})

await t.test('the server makes no repository out of the files of another', async (t) => {
  const server = await openTestServer(t)
  const owner = await newOwner(await server.onlineKeys(OTHER), server.clock.now)
  owner.root = { ...owner.root, unknown: naming(OTHER) }
  t.equal((await server.publish(await signBoth(owner), { repository: OTHER })).statusCode, 200)
  const answer = await server.publish(await signBoth(owner), { repository: REPOSITORY })
  t.match(answer.json(), { errors: [{ code: 'INVALID_UPDATE', detail: { code: 'OTHER_REPOSITORY' } }] })
  t.equal(await server.services.deps.store.metadata.state(REPOSITORY), undefined)
})

await t.test('what the program publishes says which repository it is for', async (t) => {
  const server = await startServer()
  t.teardown(async () => {
    await server.stop()
    await server.remove()
  })
  const env = { TAGSEAL_HOME: join(server.data, 'home'), TAGSEAL_SERVER: server.url, HOME: server.data }
  const ran = await tagseal(['init', REPOSITORY, '--no-passphrase'], { env })
  t.equal(ran.code, 0, ran.stderr)
  for (const role of ['root', 'targets']) {
    const served = await fetch(`${server.url}/v2/${REPOSITORY}/_trust/tuf/${role}.json`)
    t.match(await served.json(), { signed: { [REPOSITORY_FIELD]: REPOSITORY } }, role)
  }
})
