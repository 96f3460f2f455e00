/** What verifying costs a pull: the gateway beside the registry that it stands in front of. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import { OCI_MANIFEST } from '../client/registry/media-types.ts'
import type { Certificate } from './certificate.ts'
import { openTown, REPOSITORY, tagOf, trusted } from './gateway-town.ts'
import type { Gateway, Layer, Town } from './gateway-town.ts'
import { load, round, run, series } from './measure.ts'
import type { Series } from './measure.ts'

const MIB = 1024 * 1024
const CLIENTS = 50
const LAYERS = 10

export type GatewayLoad = {
  readonly tls: Certificate
  readonly quick: boolean
  readonly wrk: boolean
  readonly skopeo: boolean
}

/** Over plain http, and over TLS what TLS changes. The registry is asked the same way directly and by the gateway. */
export async function gatewayFigures(dir: string, load: GatewayLoad): Promise<Record<string, unknown>> {
  const { quick, wrk, skopeo } = load
  const size = (quick ? 128 : 1024) * MIB
  const figures: Record<string, unknown> = {}
  const skipped = new Set([...(wrk ? [] : ['manifests']), ...(skopeo ? [] : ['skopeo'])])
  for (const [transport, tls, layers, measures] of [
    ['http', undefined, 1, { ...MEASURES, skopeo: (gateway, bench) => throughput(gateway, bench, skopeoRate) }],
    ['http', undefined, LAYERS, CROWDS],
    ['https', load.tls, 1, MEASURES],
  ] as const satisfies readonly Street[]) {
    const town = await openTown(join(dir, `${transport}-${layers}`), { tls, sizes: Array(layers).fill(size) })
    try {
      for (const [what, measure] of Object.entries(measures)) {
        if (skipped.has(what)) continue
        const name = `${what} over ${transport}`
        figures[name] = await withGateway({ town, tls, quick }, measure)
        console.log(`gateway, ${name}: ${JSON.stringify(figures[name])}`)
      }
    } finally {
      await town.close()
    }
  }
  return figures
}

type Measure = (gateway: Gateway, bench: Bench) => Promise<object>
/**
 * What is measured of a registry with so many layers: beside ten GiB of others that were just written, the kernel would be
 * looking for memory while one is measured.
 */
type Street = readonly [
  transport: string,
  tls: Certificate | undefined,
  layers: number,
  measures: Readonly<Record<string, Measure>>,
]

const MEASURES: Readonly<Record<string, Measure>> = {
  'a large layer to curl': (gateway, bench) => throughput(gateway, bench, curlRate),
  'time to first byte': firstBytes,
  manifests: manifestRates,
}
const CROWDS: Readonly<Record<string, Measure>> = {
  'one layer, 50 clients': (gateway, bench) => crowd(bench, gateway, bench.town.layers.slice(0, 1)),
  'ten layers, 50 clients': (gateway, bench) => crowd(bench, gateway, bench.town.layers),
}

type Bench = { readonly town: Town; readonly tls: Certificate | undefined; readonly quick: boolean }

/** Each figure from a gateway of its own, which has seen every tag and no layer. */
async function withGateway(bench: Bench, measure: Measure): Promise<object> {
  const gateway = await bench.town.startGateway()
  try {
    for (const at of bench.town.layers.keys())
      await pull(bench, `${gateway.url}/v2/${REPOSITORY}/manifests/${tagOf(at)}`)
    return await measure(gateway, bench)
  } finally {
    await gateway.close()
  }
}

/** MiB per second of one large layer: from the registry, and through the gateway that fetches it or has it. */
async function throughput(gateway: Gateway, bench: Bench, rate: Rate): Promise<object> {
  const { registry } = bench.town
  const rates = { direct: [] as number[], 'first pull': [] as number[], cached: [] as number[] }
  for (let run = -1; run < (bench.quick ? 5 : 9); run++) {
    await gateway.forget()
    const [direct, first, cached] = [
      await rested(() => rate(bench, registry.url)),
      await rested(() => rate(bench, gateway.url)),
      await rested(() => rate(bench, gateway.url)),
    ]
    if (run < 0) continue
    rates.direct.push(direct)
    rates['first pull'].push(first)
    rates.cached.push(cached)
  }
  const figures = Object.fromEntries(Object.entries(rates).map(([what, list]) => [what, series(list)]))
  const ratio = (list: readonly number[]) => round(series(list).median / series(rates.direct).median)
  return {
    'MiB per second': figures,
    'first pull to direct': ratio(rates['first pull']),
    'cached to direct': ratio(rates.cached),
  }
}

/** With the disk at rest: what a run leaves to be written would otherwise slow the next one, whichever that is. */
async function rested<T>(measure: () => Promise<T>): Promise<T> {
  await run({ command: 'sync', args: [] })
  return await measure()
}

type Rate = (bench: Bench, from: string) => Promise<number>

/** As fast as bytes can be thrown away. */
async function curlRate(bench: Bench, from: string): Promise<number> {
  const layer = firstLayer(bench)
  return layer.size / MIB / (await pull(bench, blobAt(from, layer), layer.size))
}

/** As an engine pulls, which hashes what it gets and keeps it. */
async function skopeoRate(bench: Bench, from: string): Promise<number> {
  const into = join(bench.town.folder, 'pulled')
  const image = `docker://${new URL(from).host}/${REPOSITORY}:${tagOf(0)}`
  const started = performance.now()
  await run({
    command: 'skopeo',
    args: ['copy', '--quiet', '--insecure-policy', '--src-tls-verify=false', image, `dir:${into}`],
  })
  const seconds = (performance.now() - started) / 1000
  await rm(into, { recursive: true })
  return firstLayer(bench).size / MIB / seconds
}

function firstLayer({
  town: {
    layers: [layer],
  },
}: Bench): Layer {
  if (layer === undefined) throw new Error('there is no layer')
  return layer
}

/** Milliseconds on a connection that is there already: what the verdict adds for whoever waits. */
async function firstBytes(gateway: Gateway, { town, tls, quick }: Bench): Promise<object> {
  const path = `/v2/${REPOSITORY}/manifests/${tagOf(0)}`
  const direct = await asker(town.registry.url, tls)
  const through = await asker(gateway.url, tls)
  const times = { direct: [] as number[], gateway: [] as number[] }
  for (let run = -50; run < (quick ? 200 : 1000); run++) {
    const [a, b] = [await direct(path), await through(path)]
    if (run >= 0) times.direct.push(a)
    if (run >= 0) times.gateway.push(b)
  }
  const verdicts = (await gateway.verdicts()).slice(-times.gateway.length)
  const [a, b] = [percentiles(times.direct), percentiles(times.gateway)]
  return {
    direct: a,
    gateway: b,
    'added at the median': round(b.median - a.median),
    'to the verdict': percentiles(verdicts),
  }
}

/** Requests per second, and per second that the gateway had a processor. */
async function manifestRates(gateway: Gateway, { town, quick }: Bench): Promise<object> {
  const path = `/v2/${REPOSITORY}/manifests/${tagOf(0)}`
  const asked = { seconds: quick ? 2 : 5, connections: 32, close: false, headers: [`Accept: ${OCI_MANIFEST}`] }
  await load(gateway.url + path, { ...asked, seconds: 1 })
  const before = await processorSeconds(gateway)
  const rate = await load(gateway.url + path, asked)
  const used = (await processorSeconds(gateway)) - before
  const direct = await load(town.registry.url + path, asked)
  return { direct, gateway: rate, 'gateway per core': round((rate * asked.seconds) / used) }
}

/** Fifty at once, twice: what comes from the registry the first time comes from the disk the second time. */
async function crowd(bench: Bench, gateway: Gateway, layers: readonly Layer[]): Promise<object> {
  const figures: Record<string, object> = {}
  for (const round of ['first pull', 'cached']) figures[round] = await crowdOnce(bench, gateway, layers)
  return figures
}

async function crowdOnce(bench: Bench, gateway: Gateway, layers: readonly Layer[]): Promise<object> {
  const pid = gateway.process.pid ?? 0
  await writeFile(`/proc/${pid}/clear_refs`, '5') // the peak is counted from here on
  const before = await memory(pid)
  const seen: number[] = []
  const watch = setInterval(() => void memory(pid).then(({ now }) => seen.push(now)), 200)
  const started = performance.now()
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, at) => {
      const layer = layers[at % layers.length]
      if (layer !== undefined) await pull(bench, blobAt(gateway.url, layer), layer.size)
    }),
  )
  const seconds = (performance.now() - started) / 1000
  clearInterval(watch)
  const sent = layers.reduce((sum, { size }) => sum + size, 0) * (CLIENTS / layers.length)
  const { peak } = await memory(pid)
  return {
    'MiB of memory': { before: before.now, while: series(seen), peak },
    'MiB per second': round(sent / MIB / seconds),
  }
}

async function memory(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const mib = (name: string) => round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024)
  return { now: mib('VmRSS'), peak: mib('VmHWM') }
}

const TICKS = 100

/** User and system time of all threads. */
async function processorSeconds({ process: { pid } }: Gateway): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

function blobAt(url: string, { digest }: Layer): string {
  return `${url}/v2/${REPOSITORY}/blobs/${digest}`
}

/** Seconds that curl took for it. It must come whole. */
async function pull({ tls }: Bench, url: string, size?: number): Promise<number> {
  const said = await run({
    command: 'curl',
    args: ['-sS', '--fail', ...trusted(tls), '-o', '/dev/null', '-w', '%{size_download} %{time_total}', url],
  })
  const [length = Number.NaN, seconds = Number.NaN] = said.split(' ').map(Number)
  if (size !== undefined && length !== size) throw new Error(`${url} gave ${length} bytes of ${size}`)
  return seconds
}

function percentiles(times: readonly number[]): Pick<Series, 'runs' | 'median'> & { readonly p99: number } {
  const sorted = times.toSorted((a, b) => a - b)
  return { ...series(sorted), p99: round(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN) }
}

/** Asks again and again over one connection; gives the milliseconds until the first byte of the body. */
async function asker(url: string, tls: Certificate | undefined): Promise<(path: string) => Promise<number>> {
  const { Agent, request } = tls === undefined ? http : https
  const ca = tls === undefined ? {} : { ca: await readFile(tls.ca) }
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...ca })
  return (path) =>
    new Promise((resolve, reject) => {
      const started = performance.now()
      let first: number | undefined
      const sent = request(url + path, { agent, headers: { accept: OCI_MANIFEST } }, (answer) => {
        answer.on('data', () => (first ??= performance.now() - started))
        answer.on('error', reject)
        answer.on('end', () => {
          if (answer.statusCode === 200 && first !== undefined) resolve(first)
          else reject(new Error(`${path} answered ${answer.statusCode}`))
        })
      })
      sent.on('error', reject)
      sent.end()
    })
}
