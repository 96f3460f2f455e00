import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { availableParallelism, loadavg } from 'node:os'
import t from 'tap'
import { whyNoRegistry } from '../support/registry.ts'

const DEMO = fileURLToPath(new URL('../../scripts/demo.ts', import.meta.url))
const run = promisify(execFile)

const REFUSALS: Record<string, string> = {
  'tag moved in the registry': 'DIGEST_DIFFERS',
  'older signed tag replayed by a mirror': 'ROLLBACK',
  'layer bytes changed in the registry': 'DIGEST_MISMATCH',
  "metadata tampered on the server's disk": 'THRESHOLD',
  'what the stolen key had signed': 'TAG_NOT_SIGNED',
  'the stolen key signing again': 'NO_SIGNING_KEY',
  'its old signature under the new keys': 'THRESHOLD',
  'server frozen past the expiry of its timestamp': 'EXPIRED',
}

await t.test('the demo', { skip: (await whyNoRegistry()) ?? false }, async (t) => {
  const dir = t.testdir({})
  const began = Date.now()
  const { stdout, stderr } = await run(process.execPath, [DEMO], { env: { ...process.env, TMPDIR: dir } })
  for (const [what, code] of Object.entries(REFUSALS)) {
    t.ok(stdout.includes(`refused  ${what}: ${code}\n`), `refuses ${what} with ${code}`)
  }
  t.equal(stderr, '', 'has nothing to complain about')
  t.notOk(stdout.includes('\u001b'), 'writes no colours where nobody looks')
  t.strictSame(await readdir(dir), [], 'leaves nothing in the folder for temporary files')
  // Twice as much work waiting as there are processors makes it take twice as long.
  const crowd = Math.max(1, (loadavg()[0] ?? 0) / availableParallelism())
  t.ok(Date.now() - began < 60_000 * crowd, 'takes less than a minute of a machine that does nothing else')
})

await t.test('the demo without a registry', async (t) => {
  const env = { PATH: '', TMPDIR: t.testdir({}) }
  const failed = run(process.execPath, [DEMO], { env })
  await t.rejects(failed, { code: 1, stderr: /no registry: install docker-registry, or name one/ })
})
