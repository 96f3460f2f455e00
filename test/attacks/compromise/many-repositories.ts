/** One leaked key in many repositories, rotated out of all of them by one command that is interrupted again and again. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openIncidentLab, succeeds } from '../../support/incident-lab.ts'
import type { Person, Said } from '../../support/incident-lab.ts'
import type { Test } from 'tap'

export type Many = {
  readonly repositories: number
  /** How often the command is interrupted, each time after a number of requests up to `within`. */
  readonly interruptions: number
  readonly within: number
  readonly random: () => number
}

type Report = {
  readonly error?: { readonly code: string }
  readonly newKey: string
  readonly repositories: number
  readonly rotated: readonly { readonly repository: string }[]
  readonly notDone: readonly { readonly repository: string; readonly code: string }[]
}

/** Every repository ends under one and the same new key, and nothing else was changed in any. */
export async function rotateMany(t: Test, { repositories, interruptions, within, random }: Many): Promise<void> {
  const lab = await openIncidentLab(t)
  const owner = await lab.person()
  const make = async (name: string) =>
    (await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])).trim()
  const [root, leaked, other] = [await make('root'), await make('ci'), await make('other')]
  const pem = join(owner.home, 'ci.pem')
  await writeFile(pem, await succeeds(owner, ['key', 'export', leaked]))
  const names = Array.from({ length: repositories }, (_, i) => `registry.example.com/team/app${i}`)
  for (const [i, name] of names.entries()) {
    // Some list another key, and some the leaked one for a team alone.
    const targets = i % 10 === 3 || i % 10 === 7 ? other : leaked
    await succeeds(owner, ['init', name, '--root-key', root, '--targets-key', targets])
    if (i % 10 === 7) await succeeds(owner, ['delegation', 'add', name, 'nightly', '--key', pem, '--path', 'n-*'])
  }
  const consumer = await lab.person()
  await succeeds(consumer, ['trust', 'add', 'registry.example.com/team/*', '--key', root, '--server', lab.url])
  const command = ['rotate', 'registry.example.com/**', '--all-with-key', leaked, '--no-passphrase', '--json']

  const began = performance.now()
  let interrupted = 0
  let newKey: string | undefined
  for (let round = 0; round < interruptions; round++) {
    const ran = await owner.interrupted(command, lab.server.app.server, 1 + Math.floor(random() * within))
    if (ran.code === 0) break
    interrupted += 1
    t.equal(ran.code, 3, ran.stderr)
    const report = reportOf(ran)
    if (report.error?.code === 'INTERRUPTED') continue // before it had begun
    t.equal(report.rotated.length + report.notDone.length <= repositories, true)
    t.ok(report.notDone.length > 0, 'it names what is not done')
    newKey ??= report.newKey ?? undefined
    if (newKey !== undefined && report.newKey !== null) t.equal(report.newKey, newKey, 'always with the same new key')
  }
  const last = await owner.run(command)
  t.equal(last.code, 0, last.stderr)
  t.same(reportOf(last).notDone, [])
  t.comment(`${repositories} repositories, ${interrupted} interruptions, ${Math.round(performance.now() - began)} ms`)

  const keys = new Set<string>()
  for (const [i, name] of names.entries()) {
    const roles = await rolesOf(consumer, name)
    const listed = [...roles.values()].flat()
    if (listed.includes(leaked)) t.fail(`${name} still lists the leaked key`)
    for (const key of listed) if (key !== root && key !== other) keys.add(key)
    const kept = i % 10 === 3 || i % 10 === 7
    if (kept) t.same(roles.get('targets'), [other], `${name} keeps its own key of targets`)
  }
  t.equal(keys.size, 1, 'one new key for all of them')
  t.equal(newKey ?? [...keys][0], [...keys][0])
  const again = await owner.run(command)
  t.match([again.code, reportOf(again)], [0, { rotated: [], newKey: null }], 'and once more changes nothing')
}

function reportOf({ stdout }: Said): Report {
  return JSON.parse(stdout) as Report
}

/** The keys of every signing role, apart from those of the server. */
async function rolesOf(person: Person, repository: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const { roles } = JSON.parse(await succeeds(person, ['status', repository, '--json'])) as {
    roles: { role: string; keys: string[] }[]
  }
  const signing = roles.filter(({ role }) => role !== 'timestamp' && role !== 'snapshot')
  return new Map(signing.map(({ role, keys }) => [role, keys]))
}
