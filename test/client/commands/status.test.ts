import t from 'tap'
import { openIncidentLab, REPOSITORY, succeeds } from '../../support/incident-lab.ts'

const DIALECTS: Readonly<Record<string, { shown: RegExp }>> = {
  notary: { shown: /^targets .* 1 of 1: [0-9a-f]{12} \(here [0-9a-f]{12}\)$/m },
  tuf: { shown: /^targets .* 1 of 1: [0-9a-f]{12}$/m },
}
for (const [dialect, { shown }] of Object.entries(DIALECTS)) {
  await t.test(`keys of a ${dialect} repository are found in the list of those that are here`, async (t) => {
    const owner = await (await openIncidentLab(t)).person()
    await succeeds(owner, ['init', REPOSITORY, '--dialect', dialect, '--no-passphrase'])
    t.match(await succeeds(owner, ['status', REPOSITORY]), shown)
    const status = JSON.parse(await succeeds(owner, ['status', REPOSITORY, '--json'])) as {
      here: Record<string, string>
      roles: { role: string; keys: string[] }[]
    }
    const { keys } = JSON.parse(await succeeds(owner, ['key', 'list', '--json'])) as { keys: { id: string }[] }
    const called = (role: string) => status.roles.find((each) => each.role === role)?.keys.map((id) => status.here[id])
    t.same(new Set([...(called('root') ?? []), ...(called('targets') ?? [])]), new Set(keys.map(({ id }) => id)))
    t.same(called('timestamp'), [undefined], 'the key of the server is not here')
  })
}
