import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import facts from '../../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const old = await findOldNode()

await t.test('whatever is installed already is not installed again', async (t) => {
  const { stdout, stderr } = await run(process.execPath, [join(ROOT, 'scripts/ensure.mjs')])
  t.equal(stdout + stderr, '', 'and nothing is said about it')
})

await t.test('a Node that is too old', { skip: old === undefined && 'SKIPPED: every node here is new' }, async (t) => {
  const node = old ?? ''
  const { stdout } = await run(node, [join(ROOT, 'bin/tagseal.mjs'), '--version'])
  t.equal(stdout.trim(), facts.version, 'hands over to the one in node_modules')
  await t.rejects(run(node, [join(ROOT, 'bin/tagseal.mjs'), 'verify']), { code: 2 }, 'and passes its exit code on')
  const { stderr } = await run(node, [join(ROOT, 'scripts/ensure.mjs')])
  t.equal(stderr, '', 'can look for what is missing')
})

async function findOldNode(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const node = join(folder, 'node')
    const version = await access(node)
      .then(() => run(node, ['--version']))
      .then(({ stdout }) => Number(/^v(\d+)/.exec(stdout)?.[1]))
      .catch(() => Number.NaN)
    if (version < 22) return node
  }
  return undefined
}
