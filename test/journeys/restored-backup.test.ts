import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { codeOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { startServer } from '../support/server.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test(
  'a server whose older backup was restored is refused, until the owner does as the guide says',
  { skip },
  async (t) => {
    const town = await openTown()
    t.teardown(town.close)
    const { repository, server } = town
    const [owner, consumer] = [await town.person(), await town.person()]
    for (const tag of ['1.0', '2.0']) await town.push(tag, buildImage({ layers: [{ [tag]: '' }] }))
    const verify = (tag: string) => consumer.run(['verify', `${repository}:${tag}`])

    const made = await owner.run(['init', repository, '--no-passphrase'])
    t.equal((await owner.run(['sign', `${repository}:1.0`])).code, 0)
    await server.stop()
    const backup = `${server.data}-backup`
    t.teardown(() => rm(backup, { recursive: true, force: true }))
    await cp(server.data, backup, { recursive: true })

    const again = { data: server.data, listen: new URL(server.url).host }
    const newest = await startServer(again)
    t.equal((await owner.run(['sign', `${repository}:2.0`])).code, 0)
    t.equal((await consumer.run(pinFrom(made))).code, 0)
    t.equal((await verify('2.0')).code, 0)
    t.equal((await owner.run(['list', repository])).code, 0)
    await newest.stop()

    await rm(server.data, { recursive: true })
    await cp(backup, server.data, { recursive: true })
    const restored = await startServer(again)
    t.teardown(() => restored.stop())
    t.equal(codeOf(await verify('1.0')), 'ROLLBACK')
    t.equal(
      codeOf(await owner.run(['rotate', repository, 'timestamp'])),
      'ROLLBACK',
      'the owner saw newer files as well',
    )

    await rm(join(owner.home, 'state', encodeURIComponent(repository)), { recursive: true })
    for (const role of ['timestamp', 'snapshot']) {
      const { code, stderr } = await owner.run(['rotate', repository, role])
      t.equal(code, 0, stderr)
    }
    t.equal((await verify('1.0')).code, 0)
    t.equal((await verify('2.0')).code, 1, 'what was signed since the backup is lost')
    t.equal((await owner.run(['sign', `${repository}:2.0`])).code, 0)
    const { code, stderr } = await verify('2.0')
    t.equal(code, 0, stderr)
  },
)
