/** What a client keeps is damaged, cut off, put back or tampered with: it asks again, and nothing old or evil comes in. */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { codeOf } from '../support/cli.ts'
import { openLab } from '../support/attack-lab.ts'
import { sha256 } from '../support/images.ts'
import { targetOf } from '../support/simulator.ts'

const FILES = ['root.json', 'timestamp.json', 'snapshot.json', 'targets.json', 'seen']
const JUNK: Record<string, (good: Buffer) => Uint8Array> = {
  nothing: () => Buffer.alloc(0),
  blanks: () => Buffer.alloc(100, ' '),
  zeroes: (good) => Buffer.alloc(good.length),
  'half of it': (good) => good.subarray(0, good.length / 2),
  'one bit changed': (good) =>
    Buffer.from(good).fill((good[good.length - 40] ?? 0) ^ 1, good.length - 40, good.length - 39),
  'more of it': (good) => Buffer.concat([good, good]),
  'another type': () => Buffer.from('{"signatures":[],"signed":{"_type":"root"}}'),
  'deep nesting': () => Buffer.from('['.repeat(200_000)),
}
const ONE = sha256(Buffer.from('one'))
const TWO = sha256(Buffer.from('two'))

for (const name of FILES) {
  await t.test(
    `${name} may be any nonsense: the honest repository mends it, and an old one stays refused`,
    async (t) => {
      const lab = await openLab()
      t.teardown(lab.close)
      const old = new Map(lab.simulator.files)
      await lab.library()
      lab.simulator.sign({ '1.0': targetOf('two') })
      await lab.library()
      const now = new Map(lab.simulator.files)
      const path = join(lab.state('library'), name)
      const good = await readFile(path)
      for (const [what, junk] of Object.entries(JUNK)) {
        await writeFile(path, junk(good))
        serve(lab, old)
        await t.rejects(lab.library(), { code: 'ROLLBACK' }, `${what}: the repository of yesterday`)
        serve(lab, now)
        t.equal(await lab.library(), TWO, what)
      }
      await rm(path)
      serve(lab, old)
      await t.rejects(lab.library(), { code: 'ROLLBACK' }, 'nor when it is gone')
      serve(lab, now)
      t.equal(await lab.library(), TWO)
    },
  )
}

await t.test('older files put back among the new ones are found out', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.library()
  const backup = join(lab.folder, 'backup')
  await mkdir(backup)
  for (const name of FILES) await copyFile(join(lab.state('library'), name), join(backup, name))
  lab.simulator.sign({ '1.0': targetOf('two') })
  await lab.library()
  for (const name of FILES.filter((each) => each !== 'seen'))
    await copyFile(join(backup, name), join(lab.state('library'), name))
  t.equal(await lab.library(), TWO, 'they answer nothing')
})

await t.test('a target added to the file that is kept is not believed', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.command()
  const path = join(lab.state('command'), 'targets.json')
  const kept = await readFile(path, 'utf8')
  await writeFile(
    path,
    kept.replace(
      '"targets":{',
      `"targets":{"evil":${JSON.stringify({ hashes: { sha256: '0'.repeat(64) }, length: 1 })},`,
    ),
  )
  const ran = await lab.command('evil')
  t.same([ran.code, codeOf(ran), /"digest"/.test(ran.stdout)], [1, 'TAG_NOT_SIGNED', false])
  t.equal(await readFile(path, 'utf8'), kept, 'and it is put right')
})

await t.test('a digest changed in the file that is kept is not printed', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.library()
  const path = join(lab.state('library'), 'targets.json')
  await writeFile(path, (await readFile(path, 'utf8')).replace(ONE.slice(7), '0'.repeat(64)))
  t.equal(await lab.library(), ONE)
})

await t.test('killed at any moment of its writing, the next run goes on', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.command()
  for (const seconds of [0.1, 0.15, 0.2, 0.25, 0.3, 0.4]) {
    lab.simulator.sign({ '1.0': targetOf('two') })
    await lab.command('1.0', { through: ['timeout', '-s', 'KILL', String(seconds)] })
  }
  const ran = await lab.command()
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stdout, TWO)
  t.same(await readdir(lab.state('command')).then((names) => names.filter((name) => name.endsWith('.lock')).length), 0)
})

await t.test('four at once leave what was seen most', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.command()
  lab.simulator.sign({ '1.0': targetOf('two') })
  const ran = await Promise.all([lab.command(), lab.command(), lab.library(), lab.library()])
  t.same(
    ran.map((each) => (typeof each === 'string' ? each : each.code)),
    [0, 0, TWO, TWO],
  )
})

function serve({ simulator }: Awaited<ReturnType<typeof openLab>>, files: ReadonlyMap<string, Uint8Array>): void {
  simulator.files.clear()
  for (const [name, bytes] of files) simulator.files.set(name, bytes)
}
