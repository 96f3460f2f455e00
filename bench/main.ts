/**
 * `npm run bench`: this project beside Debian's `notary` and beside `tuf-js`, in one run on one machine.
 * Prints medians and ratios, and keeps everything in bench/out/. A benchmark, not a test: it judges nothing.
 * `--quick` measures less, `--only SECTION` one thing alone.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeCertificate } from './certificate.ts'
import type { Certificate } from './certificate.ts'
import { commandFigures } from './commands.ts'
import { gatewayFigures } from './gateway.ts'
import { timestampFigures } from './requests.ts'
import { hasNotary } from './notary.ts'
import { notaryDialectFigures } from './notary-dialect.ts'
import { build } from './ours.ts'
import { hasProgram } from './measure.ts'
import { compareWithTufJs } from './tuf-js.ts'

const OUT = fileURLToPath(new URL('./out/', import.meta.url))
const quick = process.argv.includes('--quick')
const runs = quick ? 5 : 15

// Node reads the authorities of this file for its first TLS connection, whomever that one is to trust. What a machine has
// there is nobody's doing here, and no other contender looks at it.
delete process.env['NODE_EXTRA_CA_CERTS']

type Figures = Record<string, unknown>
type Bench = {
  readonly dir: string
  readonly certificate: Certificate
  readonly notary: boolean
  readonly wrk: boolean
}

/** By the names that `--only` takes. */
const SECTIONS: Readonly<Record<string, (bench: Bench) => Promise<Figures>>> = {
  commands,
  requests,
  'notary-dialect': notaryDialect,
  'tuf-js': tufJs,
  gateway,
}

const dir = await mkdtemp(join(tmpdir(), 'tagseal-bench-'))
try {
  const sections = chosen()
  await build()
  const figures: Figures = { machine: machine() }
  const bench = {
    dir,
    certificate: await makeCertificate(join(dir, 'tls')),
    notary: await hasNotary(),
    wrk: hasProgram('wrk'),
  }
  if (!bench.notary)
    console.log('notary is not installed: everything is measured without it (npm run debian installs it)')
  if (!bench.wrk) console.log('wrk is not installed: requests per second are not measured')
  for (const measure of sections) Object.assign(figures, await measure(bench))
  await mkdir(OUT, { recursive: true })
  const file = join(OUT, `${new Date().toISOString().replaceAll(':', '-').slice(0, 19)}.json`)
  await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`)
  console.log(`kept in ${file}`)
} finally {
  await rm(dir, { recursive: true, force: true })
}

/** All of them, or the one after `--only`. */
function chosen(): readonly ((bench: Bench) => Promise<Figures>)[] {
  const at = process.argv.indexOf('--only')
  if (at < 0) return Object.values(SECTIONS)
  const name = process.argv[at + 1] ?? ''
  const section = Object.hasOwn(SECTIONS, name) ? SECTIONS[name] : undefined
  if (section === undefined) throw new Error(`--only takes one of ${Object.keys(SECTIONS).join(', ')}`)
  return [section]
}

async function commands({ dir, certificate, notary }: Bench): Promise<Figures> {
  const figures: Figures = {}
  for (const [transport, tls] of transports(certificate)) {
    const sizes = quick ? [10, 10_000] : [10, 1000, 10_000]
    figures[`commands over ${transport}`] = await commandFigures(join(dir, transport), { tls, sizes, runs, notary })
  }
  return figures
}

async function requests({ dir, certificate, notary, wrk }: Bench): Promise<Figures> {
  const figures: Figures = {}
  for (const [transport, tls] of wrk ? transports(certificate) : []) {
    const options = { tls, notary, seconds: quick ? 2 : 5 }
    figures[`GET timestamp.json over ${transport}`] = await timestampFigures(join(dir, `get-${transport}`), options)
  }
  return figures
}

function transports(certificate: Certificate) {
  return [
    ['http', undefined],
    ['https', certificate],
  ] as const
}

async function notaryDialect({ dir, certificate, notary, wrk }: Bench): Promise<Figures> {
  if (!notary || !wrk) return {}
  const load = { tls: certificate, seconds: quick ? 2 : 5, rounds: quick ? 4 : 12 }
  return { 'notary dialect': await notaryDialectFigures(join(dir, 'notary-dialect'), load) }
}

async function tufJs({ dir }: Bench): Promise<Figures> {
  const figures: Figures = {}
  for (const targets of [1000, 10_000]) {
    const figure = await compareWithTufJs(dir, targets, targets > 1000 ? 2 : 5)
    figures[`refresh and look up, ${targets} targets`] = figure
    console.log(
      `refresh and look up among ${targets} targets: ours ${figure.ours.median} ms, tuf-js ${figure.tufJs.median} ms`,
    )
  }
  return figures
}

async function gateway({ dir, certificate, wrk }: Bench): Promise<Figures> {
  if (!hasProgram('docker-registry')) {
    console.log('docker-registry is not installed: the gateway is not measured')
    return {}
  }
  const skopeo = hasProgram('skopeo')
  return { gateway: await gatewayFigures(join(dir, 'gateway'), { tls: certificate, quick, wrk, skopeo }) }
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
