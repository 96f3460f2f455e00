/** A server that was lost and comes back from a backup: nobody is served less than was served before. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { runProgram } from '../support/program.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { TAGSEAL_SERVER } from '../support/programs.ts'
import { startServer } from '../support/server.ts'
import type { TestServer } from '../support/server.ts'
import { openTown, pinFrom } from '../support/town.ts'
import type { Person, Town } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false

type Story = {
  readonly town: Town
  readonly owner: Person
  readonly consumer: Person
  readonly verify: (who: Person, tag: string) => ReturnType<Person['run']>
  readonly administer: (...args: readonly string[]) => ReturnType<typeof runProgram>
  readonly start: () => Promise<TestServer>
  readonly pin: readonly string[]
}

/** Signs 1.0, makes a backup of the running server, signs 2.0, and has a consumer see both. Then the server ends. */
async function lived(t: Test): Promise<Story> {
  const town = await openTown()
  t.teardown(town.close)
  const { repository, server } = town
  const [owner, consumer] = [await town.person(), await town.person()]
  for (const tag of ['1.0', '2.0', '3.0']) await town.push(tag, buildImage({ layers: [{ [tag]: '' }] }))
  const administer = (...args: readonly string[]) =>
    runProgram(process.execPath, [TAGSEAL_SERVER, ...args, '--data', server.data])
  const made = await owner.run(['init', repository, '--no-passphrase'])
  t.equal((await owner.run(['sign', `${repository}:1.0`])).code, 0)
  const backup = `${server.data}.backup`
  t.teardown(() => rm(backup, { force: true }))
  const kept = await administer('backup', '--out', backup)
  t.equal(kept.code, 0, kept.stderr)
  t.equal((await owner.run(['sign', `${repository}:2.0`])).code, 0)
  const verify = (who: Person, tag: string) => who.run(['verify', `${repository}:${tag}`])
  t.equal((await consumer.run(pinFrom(made))).code, 0)
  t.equal((await verify(consumer, '2.0')).code, 0)
  await server.stop()
  const start = async () => {
    const started = await startServer({ data: server.data, listen: new URL(server.url).host })
    t.teardown(() => started.stop())
    return started
  }
  return { town, owner, consumer, verify, administer, start, pin: pinFrom(made) }
}

await t.test('the owner brings back what the backup lacks by signing once more', { skip }, async (t) => {
  const { town, owner, consumer, verify, administer, start, pin } = await lived(t)
  const { data } = town.server
  const put = await administer('restore', `${data}.backup`)
  t.equal(put.code, 0, put.stderr)
  t.equal(put.stdout, `${town.repository}\ttargets\t3\n`, 'the marks tell what is missing')

  const closed = await start()
  t.equal(codeOf(await verify(consumer, '1.0')), 'RESTORED', 'before the operator says how to go on')
  t.equal((await owner.run(['sign', `${town.repository}:3.0`])).code, 3)
  await closed.stop()

  t.equal((await administer('restore', '--resume')).code, 0)
  await start()
  const fresh = await town.person()
  t.equal((await fresh.run(pin)).code, 0)
  for (const [who, name] of [
    [consumer, 'who saw more'],
    [fresh, 'who saw nothing'],
  ] as const) {
    const refused = await verify(who, '1.0')
    t.equal(codeOf(refused), 'RESTORED', name)
    t.equal(refused.code, 3)
  }
  const signed = await owner.run(['sign', `${town.repository}:3.0`])
  t.equal(signed.code, 0, signed.stderr)
  t.match(signed.stderr, /publishing targets again/)
  for (const tag of ['1.0', '2.0', '3.0']) {
    for (const who of [consumer, fresh]) {
      const { code, stderr } = await verify(who, tag)
      t.equal(code, 0, stderr)
    }
  }
})

await t.test('where nobody kept it, an owner with nothing but keys signs above it', { skip }, async (t) => {
  const { town, owner, consumer, verify, administer, start } = await lived(t)
  const { data } = town.server
  t.equal((await administer('restore', `${data}.backup`, '--resume')).code, 0)
  await start()
  await rm(join(owner.home, 'state'), { recursive: true })
  t.equal((await owner.run(['sign', `${town.repository}:3.0`])).code, 0)
  t.equal((await verify(consumer, '3.0')).code, 0, 'who saw version 3 takes version 4')
  t.equal(codeOf(await verify(consumer, '2.0')), 'TAG_NOT_SIGNED', 'what only the lost file said is to be signed again')
  t.equal((await owner.run(['sign', `${town.repository}:2.0`])).code, 0)
  t.equal((await verify(consumer, '2.0')).code, 0)
})
