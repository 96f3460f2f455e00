import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import {
  DEFAULT_LIMITS,
  TARGETS,
  acceptDelegated,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  finishRoot,
  instant,
  openRoot,
  refuseHashes,
  refuseLength,
  rootFile,
  search,
  snapshotFile,
  targetsFile,
  timestampFile,
  tufCodec,
  tufCodecWith,
} from '../../tuf/index.ts'
import type { AfterTargets, Codec, Found, Judge, Suite, WalkingRoot } from '../../tuf/index.ts'

/** Repositories that other projects published, as they were downloaded. They lie beside this checkout. */
const VECTORS = fileURLToPath(new URL('../../../shared/vectors/tuf/', import.meta.url))
const SUITES: Readonly<Record<string, Suite>> = { native: nativeSuite, portable: portableSuite }

if (!existsSync(VECTORS)) {
  t.comment(`SKIPPED: the repositories of other projects are not at ${VECTORS}`)
} else {
  for (const name of ['sigstore-root-signing', 'tuf-on-ci-0.11']) {
    for (const [suiteName, suite] of Object.entries(SUITES)) {
      await t.test(`${name} is refreshed and its artifact found, by the ${suiteName} suite`, async (t) => {
        const repository = repositoryAt(name, suite)
        const trust = repository.refresh(openRoot(repository.judge, repository.read('initial_root.json')))
        const found = repository.lookUp(trust)
        const content = repository.read(`targets/${prefixed(found)}`)
        refuseLength('artifact', found.target.length, content.length)
        refuseHashes('artifact', found.target.hashes, (hash) => suite.hash(hash, content))
        t.equal(found.path, repository.path)
      })
    }
  }

  await t.test('sigstore from its fourth root, one key excepted', async (t) => {
    // Root 11 changed a member of this key and kept the id.
    const listed = '7247f0dbad85b147e1863bade761243cc785dcb7aa410e7105dd3d2b61a36d2c'
    const computed = '0c87432c3bf09fd99189fdc32fa5eaedf4e4a5fac7bab73fa04a2e0fc64af6f5'
    const from4 = (codec: Codec) => {
      const repository = repositoryAt('sigstore-root-signing', nativeSuite, codec)
      return repository.refresh(openRoot(repository.judge, repository.read('metadata/4.root.json')))
    }
    t.equal(from4(tufCodecWith(new Map([[listed, computed]]))).root.version, 12)
    t.throws(() => from4(tufCodec), { code: 'MALFORMED' })
  })

  await t.test('the first roots of sigstore, whose dates have fractions, are refused', async (t) => {
    const { judge, read } = repositoryAt('sigstore-root-signing', nativeSuite)
    for (const root of [1, 2, 3]) {
      t.throws(() => openRoot(judge, read(`metadata/${root}.root.json`)), { code: 'MALFORMED' })
    }
  })

  await t.test('every file is written back with the same payload', async (t) => {
    const context = { suite: nativeSuite, limits: DEFAULT_LIMITS }
    const { read } = repositoryAt('sigstore-root-signing', nativeSuite)
    for (const [file, type] of [
      ['12.root.json', 'root'],
      ['timestamp.json', 'timestamp'],
      ['159.snapshot.json', 'snapshot'],
      ['11.targets.json', 'targets'],
      ['5.registry.npmjs.org.json', 'targets'],
    ] as const) {
      const bytes = read(`metadata/${file}`)
      const decoded = tufCodec.decode(type, bytes, context)
      t.same(tufCodec.encode(decoded.body), decoded.payload, file)
      const written = tufCodec.decode(type, tufCodec.assemble(decoded.body, decoded.signatures), context)
      t.same(written.payload, decoded.payload, file)
    }
  })
}

function repositoryAt(name: string, suite: Suite, codec = tufCodec) {
  const read = (file: string): Uint8Array => readFileSync(`${VECTORS}${name}/${file}`)
  const line = (file: string) => new TextDecoder().decode(read(file)).trim()
  const now = instant(Date.parse(line('faketime').replace(' ', 'T')))
  const judge: Judge = { codec, suite, limits: DEFAULT_LIMITS, now }
  return { judge, read, path: line('targetpath'), refresh, lookUp }

  function refresh(first: WalkingRoot): AfterTargets {
    let root = first
    for (;;) {
      const next = `${VECTORS}${name}/metadata/${rootFile(root.root.version + 1)}`
      if (!existsSync(next)) break
      root = acceptRoot(root, readFileSync(next))
    }
    const timestamp = acceptTimestamp(finishRoot(root), read(`metadata/${timestampFile()}`))
    const snapshot = acceptSnapshot(timestamp, read(`metadata/${snapshotFile(timestamp).name}`))
    return acceptTargets(snapshot, read(`metadata/${targetsFile(snapshot, TARGETS).name}`))
  }

  function lookUp(trust: AfterTargets): Found {
    const walk = search(trust, line('targetpath'))
    let step = walk.next()
    while (!step.done) {
      const { role, delegator } = step.value
      step = walk.next(acceptDelegated(trust, role, delegator, read(`metadata/${targetsFile(trust, role).name}`)))
    }
    if (step.value === undefined) throw new Error('the artifact is not listed')
    return step.value
  }
}

/** Artifacts of consistent repositories carry a hash before the last part of their name. */
function prefixed({ path, target }: Found): string {
  const [, folder = '', file = path] = /^(.*\/)?([^/]*)$/.exec(path) ?? []
  return `${folder}${target.hashes.get('sha256') ?? ''}.${file}`
}
