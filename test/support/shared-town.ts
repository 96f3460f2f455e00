/** A town whose repository several people sign, each with one key in a home of their own. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { openTestServer } from '../server/support/app.ts'
import { documentOf } from './cli.ts'
import type { Ran } from './cli.ts'
import { serverHere, tagsealHere } from './in-process.ts'
import { buildImage } from './images.ts'
import type { Stored } from './images.ts'
import type { startServer } from './server.ts'
import { openTown, pinFrom } from './town.ts'
import type { Person, Town } from './town.ts'

export type Signer = Person & { readonly key: string; readonly publicFile: string }
export type SharedTown = Town & {
  readonly alice: Signer
  readonly bob: Signer
  readonly carol: Signer
  readonly consumer: Person
  readonly a: Stored
  readonly b: Stored
}

type Tokens = (name: string) => Promise<string | undefined>

async function signer(town: Town, token: string | undefined): Promise<Signer> {
  const { home, run } = await town.person()
  const env = token === undefined ? {} : { TAGSEAL_TOKEN: token }
  const person: Person = { home, run: (args, more) => run(args, { ...more, env: { ...env, ...more?.env } }) }
  const key = (await person.run(['key', 'generate', '--no-passphrase', '--name', 'mine'])).stdout.trim()
  const publicFile = join(person.home, 'mine.pub.pem')
  await writeFile(publicFile, (await person.run(['key', 'export', key])).stdout)
  return { ...person, key, publicFile }
}

/** Targets are under two of the keys of Alice, Bob and Carol; nobody has more than their own. */
export async function openSharedTown(
  t: Test,
  serve: typeof startServer = serverHere,
  tokenOf: Tokens = async () => undefined,
): Promise<SharedTown> {
  const town = await openTown({}, tagsealHere, serve)
  t.teardown(town.close)
  const { repository } = town
  const [alice, bob, carol, consumer, a, b] = await Promise.all([
    signer(town, await tokenOf('alice')),
    signer(town, await tokenOf('bob')),
    signer(town, await tokenOf('carol')),
    town.person(),
    town.push('a', buildImage({ layers: [{ a: 'a' }] })),
    town.push('b', buildImage({ layers: [{ b: 'b' }] })),
  ])
  // Bob's key signs the first, empty file in Alice's hands, and leaves them.
  const lent = join(alice.home, 'lent.pem')
  await writeFile(lent, (await bob.run(['key', 'export', bob.key, '--private', '--no-passphrase'])).stdout, {
    mode: 0o600,
  })
  await ok(alice.run(['key', 'import', lent, '--no-passphrase']))
  const keys = [alice.key, bob.key, carol.publicFile].flatMap((key) => ['--targets-key', key])
  const made = await ok(alice.run(['init', repository, '--no-passphrase', ...keys, '--targets-threshold', '2']))
  await ok(alice.run(['key', 'remove', bob.key, '--yes']))
  await Promise.all([bob, carol, consumer].map(({ run }) => ok(run(pinFrom(made)))))
  return { ...town, alice, bob, carol, consumer, a, b }
}

/** A server in this process, whose clock a test may move. */
export function serverUnder(t: Test, clock = { now: Date.now() }): typeof startServer {
  return async () => await listening(await openTestServer(t, {}, clock))
}

/** One that asks for tokens, and gives everybody one of their own that may publish. */
export async function serverWithTokens(
  t: Test,
): Promise<{ readonly serve: typeof startServer; readonly tokenOf: Tokens }> {
  const server = await openTestServer(t, { open: false }, { now: Date.now() })
  return { serve: async () => await listening(server), tokenOf: async (name) => await server.token({ name }) }
}

async function listening({ app }: Awaited<ReturnType<typeof openTestServer>>): ReturnType<typeof startServer> {
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const nothing = async () => {}
  return { url, data: '', log: () => '', stop: nothing, remove: nothing }
}

export async function ok(running: Promise<Ran>): Promise<Ran> {
  const ran = await running
  if (ran.code !== 0) throw new Error(`${ran.stdout}\n${ran.stderr}`)
  return ran
}

/** The proposal that a command left. */
export function pendingIn(ran: Ran): string {
  const { pending } = documentOf(ran) as { pending: readonly { proposal: string }[] }
  return pending[0]?.proposal ?? ''
}
