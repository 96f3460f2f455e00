/** The web server's disk is lost with its marks, and the signer apart is not: what the owner and the operator do then. */
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { backupCommand, restoreCommand } from '../../server/backup-command.ts'
import { signerCommand } from '../../server/signer/command.ts'
import { openTestServer } from '../server/support/app.ts'
import { digestOf, founded, REPOSITORY, verdictOn } from '../support/incident-lab.ts'
import { privateFolder } from '../support/secrets.ts'
import { openSignerLab } from '../support/signer-lab.ts'

const COMMANDS = { backup: backupCommand, restore: restoreCommand } as const

async function administer(name: keyof typeof COMMANDS, ...args: readonly string[]): Promise<void> {
  const deps = { env: {}, out: () => undefined, note: () => undefined, clock: Date.now }
  await COMMANDS[name](deps).parseAsync(args, { from: 'user' })
}

/** 1.0 is in the backup, 1.1 was published after it, and a consumer saw both. Then the backup is put in a new folder. */
async function lost(t: Test) {
  const dir = privateFolder(t)
  const [data, renewed, backup] = [join(dir, 'data'), join(dir, 'renewed'), join(dir, 'backup.db')]
  const clock = { now: Date.now() + 30_000 }
  const signer = { data: join(dir, 'signer') }
  const first = await openSignerLab(t, signer, clock)
  const lab = await founded(t, { flags: { data, onlineKeys: first.signer.url } })
  await administer('backup', '--data', data, '--out', backup)
  await lab.owner.sign({ '1.1': 'newer' })
  const seen = await lab.consumer()
  t.equal(await verdictOn(seen, '1.1'), digestOf('newer'))
  await lab.server.services.close()
  mkdirSync(renewed, { mode: 0o700 })
  cpSync(join(data, 'kek'), join(renewed, 'kek'))
  await administer('restore', backup, '--data', renewed)
  return {
    ...lab,
    seen,
    resume: (...args: readonly string[]) =>
      administer('restore', '--resume', '--accept-loss', ...args, '--data', renewed),
    async start() {
      const server = await openTestServer(t, { data: renewed, onlineKeys: first.signer.url }, lab.clock)
      await server.app.listen({ host: '127.0.0.1', port: Number(new URL(lab.url).port) })
      return server
    },
    async advance(role: string, version: string) {
      const deps = { env: {}, out: () => undefined, clock: Date.now, serve: async () => undefined }
      const args = ['advance', REPOSITORY, role, version, '--yes', '--data', first.data]
      await signerCommand(deps).parseAsync(args, { from: 'user' })
    },
    stopSigner: () => first.signer.close(),
    startSigner: () => openSignerLab(t, { ...signer, listen: first.signer.url }, clock),
  }
}

type Lost = Awaited<ReturnType<typeof lost>>

async function allIsWell(t: Test, { seen, consumer }: Lost): Promise<void> {
  const fresh = await consumer()
  for (const who of [seen, fresh]) {
    for (const [tag, seed] of Object.entries({ '1.0': 'good', '1.1': 'newer', '1.2': 'newest' })) {
      t.equal(await verdictOn(who, tag), digestOf(seed), tag)
    }
  }
}

const RESUMED: Record<string, readonly string[]> = {
  'as it is, for the signer tells what it signed': [],
  'above a number of the operator': ['--above', '3000'],
}
for (const [how, args] of Object.entries(RESUMED)) {
  await t.test(`the owner brings back what was lost, ${how}`, async (t) => {
    const lab = await lost(t)
    const closed = await lab.start()
    const early = await lab.owner.run(['status', REPOSITORY])
    t.match(early.stderr, /\(RESTORED\)\nhint: the operator .*"tagseal-server restore --resume"; then its owner/)
    await closed.services.close()
    await lab.resume(...args)
    await lab.start()
    await lab.owner.sign({ '1.2': 'newest' })
    await allIsWell(t, lab)
  })
}

await t.test('a leap that the signer refuses is told to the owner, and `signer advance` lets it pass', async (t) => {
  const lab = await lost(t)
  await lab.resume('--above', '1048600')
  await lab.start()
  const refused = await lab.owner.run(['delegation', 'remove', REPOSITORY, 'nobody'])
  t.match(refused.stderr, /its signer refused: VERSION_TOO_FAR/)
  t.match(refused.stderr, /\(ROLLBACK\)/)
  await lab.stopSigner()
  const unfounded = await lab.owner.run(['init', `${REPOSITORY}-2`, '--no-passphrase'])
  t.match(unfounded, { code: 3, stderr: /cannot be reached \(SIGNING_UNAVAILABLE\).*\nhint: does the signer .* run\?/ })
  for (const role of ['timestamp', 'snapshot']) await lab.advance(role, '1048600')
  await lab.startSigner()
  lab.clock.now += 6000 // a signer that gave no answer is left alone for a while
  await lab.owner.sign({ '1.2': 'newest' })
  await allIsWell(t, lab)
})
