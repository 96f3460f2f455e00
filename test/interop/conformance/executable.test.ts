/** The executable as the harness of the suite runs it, faketime included. */
import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Test } from 'tap'
import { asExecutable, runCases } from '../conformance-client.ts'
import type { Setting } from '../conformance-client.ts'
import { inDays, openPeerServer } from '../peer-repository.ts'

const DAY = 86_400_000
const run = promisify(execFile)

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

/** A checkout in which nothing is installed, and whose `ensure.mjs` installs no more than a link to this Node. */
function freshCheckout(t: Test, ensure: string): string {
  const folder = t.testdir({
    old: { node: `#!/bin/sh\ncase $1 in -e) exit 1 ;; esac\nexec '${process.execPath}' "$@"\n` },
    scripts: { 'ensure.mjs': ensure },
    test: { interop: { 'tuf-client.ts': 'console.log(process.argv.slice(2).join())' } },
  })
  copyFileSync(join(import.meta.dirname, '../tuf-client'), join(folder, 'test/interop/tuf-client'))
  chmodSync(join(folder, 'old/node'), 0o755)
  return folder
}

const INSTALL = `import { mkdirSync, symlinkSync } from 'node:fs'
mkdirSync('node_modules/.bin', { recursive: true })
symlinkSync(process.execPath, 'node_modules/.bin/node')
console.log('installing')`

await t.test('where nothing is installed yet', async (t) => {
  const start = async (folder: string, node: string) =>
    await run(join(folder, 'test/interop/tuf-client'), ['init', 'a b'], {
      cwd: folder,
      env: { PATH: `${join(folder, node)}:/usr/bin:/bin` },
    })
  await t.test('an older Node installs first, once', async (t) => {
    const folder = freshCheckout(t, INSTALL)
    t.same(await start(folder, 'old'), { stdout: 'init,a b\n', stderr: 'installing\n' })
    t.same(await start(folder, 'old'), { stdout: 'init,a b\n', stderr: '' })
  })
  await t.test('what cannot be installed exits with 1', async (t) => {
    await t.rejects(start(freshCheckout(t, 'process.exitCode = 7'), 'old'), { code: 1 })
  })
})
