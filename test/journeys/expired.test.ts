/** Whatever has expired, and however long ago: who holds a valid key gets out of it with the ordinary commands. */
import t from 'tap'
import type { Test } from 'tap'
import { buildImage } from '../support/images.ts'
import { pushImage, startRegistry, whyNoRegistry } from '../support/registry.ts'
import { openShiftedTown } from '../support/shifted-town.ts'
import type { ShiftedTown } from '../support/shifted-town.ts'

const NOON = Date.parse('2026-06-01T12:00:00Z')
const skip = (await whyNoRegistry()) ?? false

type Kind = 'tuf' | 'bins' | 'notary' | 'notary-held'
type Place = { readonly town: ShiftedTown; readonly repo: string; readonly team: string; readonly pin: string }

/** Throws what was printed unless it ends well. */
async function must({ town, repo }: Pick<Place, 'town' | 'repo'>, command: string, home = 'owner'): Promise<string> {
  const { code, stdout, stderr } = await town.run(home, command.replaceAll('REPO', repo))
  if (code !== 0) throw new Error(`tagseal ${command} ended with ${code}: ${stdout}${stderr}`)
  return stdout.trim()
}

/** An owner with all keys, a team's role, and tags of both. */
async function founded(t: Test, kind: Kind, repo: string): Promise<Place> {
  const town = await openShiftedTown(NOON)
  t.teardown(town.close)
  const place = { town, repo }
  const notary = kind.startsWith('notary')
  const made = await must(place, `init REPO --no-passphrase${notary ? ' --dialect notary' : ''}`)
  const pin =
    made
      .split('\n')
      .at(-1)
      ?.replace(/^tagseal /, '') ?? ''
  const team = notary ? 'targets/releases' : 'team'
  const key = await must(place, `key generate --name team${notary ? ' --algorithm ecdsa-p256' : ''} --no-passphrase`)
  await must(place, 'sign REPO:1.0')
  await must(place, `delegation add REPO ${team} --key ${key} --path a-${notary ? '' : '*'}`)
  await must(place, `sign REPO:a-1 --role ${team}`)
  if (kind === 'bins') {
    const digest = /sha256:\w+/.exec(await must(place, 'sign REPO:1.0'))?.[0] ?? ''
    const tags = Array.from({ length: 1001 }, (_, i) => `REPO:b-${i}`)
    await must(place, `sign ${tags.join(' ')} --digest ${digest}`)
  }
  if (kind === 'notary-held') {
    const snapshot = await must(place, 'key generate --name held --algorithm ecdsa-p256 --no-passphrase')
    await must(place, `rotate REPO snapshot --key ${snapshot}`)
  }
  return { ...place, team, pin }
}

/** Days that pass while no server runs, and what is done between them. */
type Past = readonly (number | string)[]

const STATES: Readonly<Record<string, { readonly kinds: readonly Kind[]; readonly past: Past }>> = {
  'snapshot and timestamp': { kinds: ['tuf', 'notary'], past: [30] },
  'targets and delegated roles': { kinds: ['tuf', 'bins'], past: [366] },
  'a delegated role': { kinds: ['tuf'], past: [300, 'sign REPO:1.0 REPO:1.1', 66] },
  targets: { kinds: ['tuf'], past: [300, 'sign REPO:a-1 --role ROLE', 66] },
  root: { kinds: ['tuf'], past: [400, 'sign REPO:1.0', 'sign REPO:a-1 --role ROLE', 331] },
  'targets, delegated roles and the snapshot': { kinds: ['notary', 'notary-held'], past: [1096] },
  everything: { kinds: ['tuf', 'bins'], past: [3000] },
  'everything, by the calendar of Notary': {
    kinds: ['notary', 'notary-held'],
    past: [4000, 'rotate REPO root --key ROOTKEY'],
  },
}

const ROOT_KEY = /root\s/

const WAYS: Readonly<Record<string, string>> = {
  'sign a tag': 'sign REPO:1.1',
  'sign a tag as the team': 'sign REPO:a-2 --role ROLE',
  'revoke a tag': 'revoke REPO:1.0',
  'renew the root': 'rotate REPO root --key ROOTKEY',
  'replace the targets key': 'rotate REPO targets --no-passphrase',
  "replace the team's key": 'rotate REPO ROLE --no-passphrase',
  'replace the timestamp key': 'rotate REPO timestamp',
  'delegate to another team': 'delegation add REPO OTHER --key team --path c-',
  'take the delegation away': 'delegation remove REPO ROLE',
}

/** What differs where the owner's tags are in bins, or where publishers hold the snapshot. */
const PARTLY: ReadonlySet<Kind> = new Set<Kind>(['bins', 'notary-held'])
const OWNERS: ReadonlySet<string> = new Set(['sign a tag', 'revoke a tag', 'replace the targets key'])

await t.test('expired', { skip }, async (t) => {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const repo = `${registry.host}/team/app`
  for (const tag of ['1.0', '1.1', 'a-1', 'a-2'])
    await pushImage(registry, 'team/app', tag, buildImage({ layers: [{ [tag]: '' }] }))
  for (const kind of ['tuf', 'bins', 'notary', 'notary-held'] as const) {
    const base = await founded(t, kind, repo)
    const keys = (JSON.parse(await must(base, 'key list --json')) as { keys: { id: string; name?: string }[] }).keys
    const rootKey = keys.find(({ name }) => ROOT_KEY.test(`${name} `))?.id ?? ''
    const words = (command: string) =>
      command
        .replaceAll('ROLE', base.team)
        .replaceAll('OTHER', kind.startsWith('notary') ? 'targets/other' : 'other')
        .replaceAll('ROOTKEY', rootKey)
    for (const [state, { past }] of Object.entries(STATES).filter(([, { kinds }]) => kinds.includes(kind))) {
      await t.test(`${kind}: ${state}`, async (t) => {
        const town = await base.town.copy()
        t.teardown(town.close)
        for (const step of past) {
          if (typeof step === 'number') await town.sleep(step)
          else await must({ town, repo }, words(step))
        }
        for (const [way, command] of Object.entries(WAYS).filter(([way]) => !PARTLY.has(kind) || OWNERS.has(way))) {
          const own = await town.copy()
          const { code, stdout, stderr } = await own.run('owner', words(command).replaceAll('REPO', repo))
          t.equal(code, 0, `${way}: ${stdout}${stderr}`)
          await own.close()
        }
        await t.test('and consumers trust it again once it was renewed', async (t) => {
          for (const command of [
            'rotate REPO root --key ROOTKEY',
            'sign REPO:1.0',
            'sign REPO:a-1 --role ROLE',
            'sign REPO:1.1',
          ]) {
            const { code, stdout, stderr } = await town.run('owner', words(command).replaceAll('REPO', repo))
            t.equal(code, 0, `${command}: ${stdout}${stderr}`)
          }
          await must({ town, repo }, base.pin, 'consumer')
          for (const tag of ['1.0', 'a-1']) {
            const { code, stderr } = await town.run('consumer', `verify ${repo}:${tag}`)
            t.equal(code, 0, stderr)
          }
        })
      })
    }
  }
})

await t.test('a root whose certificate has expired says that it is to be renewed first', { skip }, async (t) => {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const repo = `${registry.host}/team/app`
  for (const tag of ['1.0', 'a-1']) await pushImage(registry, 'team/app', tag, buildImage())
  const { town } = await founded(t, 'notary', repo)
  await town.sleep(4000)
  const { code, stderr } = await town.run('owner', `rotate ${repo} targets --no-passphrase`)
  t.equal(code, 1)
  t.match(stderr, /^hint: renew the root first: tagseal rotate \S+ root --key ID$/m)
})
