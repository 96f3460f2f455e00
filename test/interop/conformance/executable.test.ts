/** The executable as the harness of the suite runs it, faketime included. */
import { existsSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { asExecutable, runCases } from '../conformance-client.ts'
import type { Setting } from '../conformance-client.ts'
import { inDays, openPeerServer } from '../peer-repository.ts'

const DAY = 86_400_000

const server = await openPeerServer()
t.teardown(() => server.close())

await t.test('as the executable', async (t) => {
  const faketime = existsSync('/usr/bin/faketime')
  if (!faketime) t.comment('SKIPPED LOUDLY: the program faketime is not installed, so another time was not tried')
  await runCases(
    t,
    server,
    {
      'init, refresh and download': async (t, { client, repository }) => {
        repository.addArtifact('targets', 'file', Buffer.from('content'))
        repository.publish('targets', 'snapshot', 'timestamp')
        t.equal(await client.refresh(), 0)
        t.equal(await client.download('file'), 0)
        t.same(client.downloads(), ['content'])
      },
      'every failure exits with 1': async (t, { client, repository }) => {
        repository.published.delete('timestamp')
        t.equal(await client.refresh(), 1)
        t.equal(await client.download('file'), 1)
        t.equal(await asExecutable(['no-such-command'], undefined), 1)
        t.equal(await asExecutable(['--no-such-option'], undefined), 1)
      },
      ...(faketime && {
        'another time by faketime': async (t: Test, { client, repository }: Setting) => {
          repository.of('root').expires = inDays(7)
          repository.publish('root')
          t.equal(await client.refresh(), 0)
          t.equal(await client.refresh(Date.now() + 8 * DAY), 1)
        },
      }),
    },
    asExecutable,
  )
})
