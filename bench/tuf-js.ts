import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Updater } from 'tuf-js'
import { openRepository } from '../client/index.ts'
import { generateKey } from '../keys/native/generate.ts'
import { nativeSuite } from '../keys/native/suite.ts'
import type { Signer } from '../keys/signer.ts'
import { toTufFields } from '../keys/tuf-key.ts'
import { firstRoot, firstTargets, nextSnapshot, nextTimestamp, TARGETS, tufCodec, version } from '../tuf/index.ts'
import type { Metadata, PublicKey, TargetFile } from '../tuf/index.ts'
import { series } from './measure.ts'
import type { Series } from './measure.ts'

const YEAR = 365 * 86_400_000

/** Refresh from nothing and look one target up: both libraries in this process, over the same files. */
export async function compareWithTufJs(
  dir: string,
  targets: number,
  runs: number,
): Promise<{ readonly ours: Series; readonly tufJs: Series }> {
  const files = await makeRepository(targets)
  const server = createServer((request, response) => {
    const bytes = files.get((request.url ?? '/').slice(1))
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const root = files.get('1.root.json') ?? new Uint8Array()
  const wanted = `tag-${targets - 1}`
  try {
    const times = { ours: [] as number[], tufJs: [] as number[] }
    for (let i = 0; i <= runs; i++) {
      const ours = await timed(() => refreshOurs(url, join(dir, `ours-${targets}-${i}`), root, wanted))
      const tufJs = await timed(() => refreshTufJs(url, join(dir, `tuf-js-${targets}-${i}`), root, wanted))
      if (i === 0) continue // the first run compiles
      times.ours.push(ours)
      times.tufJs.push(tufJs)
    }
    return { ours: series(times.ours), tufJs: series(times.tufJs) }
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

async function refreshOurs(url: string, dir: string, root: Uint8Array, wanted: string): Promise<void> {
  const pin = { kind: 'root', bytes: root } as const
  const repository = openRepository({ metadataUrl: url, stateDir: dir, pin })
  try {
    if ((await repository.find(wanted)) === undefined) throw new Error(`${wanted} was not found`)
  } finally {
    repository.close()
  }
}

async function refreshTufJs(url: string, dir: string, root: Uint8Array, wanted: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'root.json'), root)
  const config = { fetchTimeout: 60_000, targetsMaxLength: 64_000_000 }
  const updater = new Updater({ metadataDir: dir, metadataBaseUrl: url, targetDir: dir, targetBaseUrl: url, config })
  await updater.refresh()
  if ((await updater.getTargetInfo(wanted)) === undefined) throw new Error(`${wanted} was not found`)
  await rm(dir, { recursive: true })
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

type Key = { readonly signer: Signer; readonly listed: PublicKey }

async function makeRepository(count: number): Promise<ReadonlyMap<string, Uint8Array>> {
  const context = { codec: tufCodec, expires: Date.now() + YEAR }
  const key = await makeKey()
  const set = { keys: [key.listed], threshold: 1 }
  const root = await signed(firstRoot({ root: set, timestamp: set, snapshot: set, targets: set }, context), key)
  const targets = await signed(firstTargets({ set: makeTargets(count) }, context), key)
  const snapshot = await signed(nextSnapshot(undefined, new Map([[TARGETS, version(1)]]), context), key)
  const listed = { version: version(1), length: snapshot.length }
  const timestamp = await signed(nextTimestamp(undefined, listed, context), key)
  key.signer.close()
  return new Map([
    ['1.root.json', root],
    ['1.targets.json', targets],
    ['1.snapshot.json', snapshot],
    ['timestamp.json', timestamp],
  ])
}

async function makeKey(): Promise<Key> {
  const signer = await generateKey('ed25519')
  return { signer, listed: tufCodec.key(toTufFields(signer.public), nativeSuite) }
}

function makeTargets(count: number): ReadonlyMap<string, TargetFile> {
  const target = (i: number): TargetFile => ({
    length: 1024,
    hashes: new Map([['sha256', nativeSuite.hash('sha256', Buffer.from(String(i)))]]),
    unknown: new Map(),
  })
  return new Map(Array.from({ length: count }, (_, i) => [`tag-${i}`, target(i)] as const))
}

async function signed(body: Metadata, { signer, listed }: Key): Promise<Uint8Array> {
  const sig = await signer.sign(tufCodec.encode(body))
  return tufCodec.assemble(body, [{ keyid: listed.id, sig, unknown: new Map() }])
}
