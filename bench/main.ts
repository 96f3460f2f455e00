/**
 * `npm run bench`: this project beside Debian's `notary` and beside `tuf-js`, in one run on one machine.
 * Prints medians and ratios, and keeps everything in bench/out/. A benchmark, not a test: it judges nothing.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeCertificate } from './certificate.ts'
import { commandFigures } from './commands.ts'
import { timestampFigures } from './requests.ts'
import { hasNotary } from './notary.ts'
import { notaryDialectFigures } from './notary-dialect.ts'
import { build } from './ours.ts'
import { hasProgram } from './measure.ts'
import { compareWithTufJs } from './tuf-js.ts'

const OUT = fileURLToPath(new URL('./out/', import.meta.url))
const quick = process.argv.includes('--quick')
const runs = quick ? 5 : 15
const dir = await mkdtemp(join(tmpdir(), 'tagseal-bench-'))
try {
  await build()
  const figures: Record<string, unknown> = { machine: machine() }
  const notary = await hasNotary()
  if (!notary) console.log('notary is not installed: everything is measured without it (npm run debian installs it)')
  const certificate = await makeCertificate(join(dir, 'tls'))
  for (const [transport, tls] of [
    ['http', undefined],
    ['https', certificate],
  ] as const) {
    const sizes = quick ? [10, 10_000] : [10, 1000, 10_000]
    figures[`commands over ${transport}`] = await commandFigures(join(dir, transport), { tls, sizes, runs, notary })
  }
  if (hasProgram('wrk'))
    figures['GET timestamp.json'] = await timestampFigures(join(dir, 'get'), { notary, seconds: quick ? 2 : 5 })
  else console.log('wrk is not installed: requests per second are not measured')
  if (notary && hasProgram('wrk')) {
    const load = { tls: certificate, seconds: quick ? 2 : 5, rounds: quick ? 4 : 12 }
    figures['notary dialect'] = await notaryDialectFigures(join(dir, 'notary-dialect'), load)
  }
  for (const targets of [1000, 10_000]) {
    const figure = await compareWithTufJs(dir, targets, targets > 1000 ? 2 : 5)
    figures[`refresh and look up, ${targets} targets`] = figure
    console.log(
      `refresh and look up among ${targets} targets: ours ${figure.ours.median} ms, tuf-js ${figure.tufJs.median} ms`,
    )
  }
  await mkdir(OUT, { recursive: true })
  const file = join(OUT, `${new Date().toISOString().replaceAll(':', '-').slice(0, 19)}.json`)
  await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`)
  console.log(`kept in ${file}`)
} finally {
  await rm(dir, { recursive: true, force: true })
}

function machine(): object {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model,
    node: process.version,
    commit,
    quick,
    at: new Date().toISOString(),
  }
}
