import type { Test } from 'tap'
import { openTestServer } from '../server/support/app.ts'
import type { PublishOptions, TestServer } from '../server/support/app.ts'
import { encodeHex } from '../../tuf/index.ts'
import type { Files, Owner, TestKey } from '../server/support/party.ts'

/** A repository at root 1 and targets 1, and whoever owns its keys. */
export type Scene = {
  readonly server: TestServer
  readonly repository: string
  readonly owner: Owner
  readonly now: number
}

export type UploadAttack = {
  readonly send: (scene: Scene) => Promise<Files>
  readonly code: string
  /** The code inside an INVALID_UPDATE. */
  readonly inner?: string
  readonly options?: PublishOptions
}

/** Sends each upload to a repository of its own: the code is right, and the repository stays as it was. */
export async function refuseUploads(t: Test, cases: Readonly<Record<string, UploadAttack>>): Promise<void> {
  await t.test('the server refuses', async (t) => {
    const server = await openTestServer(t)
    for (const [i, [name, attack]] of Object.entries(cases).entries()) {
      await t.test(name, async (t) => await refuse(t, server, `registry.example.com/team/app${i}`, attack))
    }
  })
}

async function refuse(t: Test, server: TestServer, repository: string, attack: UploadAttack): Promise<void> {
  const { send, code, inner, options = {} } = attack
  const owner = await server.create(['1.0'], repository)
  const files = await send({ server, repository, owner, now: server.clock.now })
  const before = await everythingOf(server, repository)
  const answer = await server.publish(files, { repository, ...options })
  t.match(answer.json(), { errors: [{ code, ...(inner === undefined ? {} : { detail: { code: inner } }) }] })
  t.ok(answer.statusCode >= 400 && answer.statusCode < 500, `by status ${answer.statusCode}`)
  t.same(await everythingOf(server, repository), before, 'nothing is stored, and nothing else is served')
}

/** What is stored of a repository, and what its readers get. */
export async function everythingOf(server: TestServer, repository: string): Promise<object> {
  const { body } = await server.get(`/v2/${repository}/_trust/tuf/timestamp.json`)
  return { state: await server.services.deps.store.metadata.state(repository), timestamp: body }
}

/** A signed file with its text edited, and signed again as it stands. */
export async function edited(file: Uint8Array, edit: (text: string) => string, key: TestKey): Promise<Uint8Array> {
  const served = Buffer.from(file).toString()
  const text = edit(served.slice(served.indexOf('"signed":') + '"signed":'.length, -1))
  const sig = encodeHex(await key.signer.sign(Buffer.from(text)))
  return Buffer.from(`{"signatures":[{"keyid":"${key.key.id}","sig":"${sig}"}],"signed":${text}}`)
}
