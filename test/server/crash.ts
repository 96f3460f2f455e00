/**
 * Kills a server with SIGKILL at random moments while it publishes and signs anew, again and again on one folder.
 * Nothing that was acknowledged may be lost, nothing may go backwards, and what is served must verify at every moment.
 * Every other server has readers.
 *
 * `npm run crash -- 300` for a long campaign; `crash.test.ts` runs a short one.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nativeSuite } from '../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  TARGETS,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  finishRoot,
  instant,
  nextTargets,
  openRoot,
  snapshotFile,
  targetsFile,
  tufCodec,
  type AfterTargets,
} from '../../tuf/index.ts'
import { keyOf, type KeyObject } from './support/app.ts'
import { changeRoot, context, multipart, newOwner, signRoot, signTargets, target, type Owner } from './support/party.ts'
import { startProcess } from './support/process.ts'

export type CampaignReport = { readonly kills: number; readonly acknowledged: number; readonly reads: number }

/** One repository under test, as its publisher and as one reader know it. */
type Subject = {
  readonly name: string
  readonly owner: Owner
  readonly firstRoot: Uint8Array
  /** Sent and not answered when the server died: may or may not be there. */
  inFlight: { root: Owner['root']; targets: Owner['targets'] } | undefined
  acknowledged: number
  seen: AfterTargets | undefined
}

const REPOSITORIES = 3

/** Throws at the first promise that is broken. */
export async function crashCampaign(
  kills: number,
  progress: (line: string) => void = () => {},
): Promise<CampaignReport> {
  const data = mkdtempSync(join(tmpdir(), 'tagseal-crash-'))
  // Short enough for much to be signed anew, and longer than a busy machine takes to start a server.
  const env = { TAGSEAL_SERVER_TIMESTAMP_LIFETIME: '6', TAGSEAL_SERVER_SNAPSHOT_LIFETIME: '10' }
  const args = ['--data', data, '--listen', '127.0.0.1:0', '--open']
  const subjects: Subject[] = []
  let reads = 0
  let longest = 500
  try {
    for (let kill = 0; kill <= kills; kill++) {
      const readers = ['--readers', kill % 2 === 0 ? '0' : '2']
      const server = await startProcess([...args, ...readers], { env: { ...env, TAGSEAL_SERVER_LOG_LEVEL: 'error' } })
      const stopped = new AbortController()
      try {
        const began = performance.now()
        for (const subject of subjects) await recover(server.url, subject)
        while (subjects.length < REPOSITORIES) subjects.push(await create(server.url, subjects.length))
        // On a slow machine the same number of publishes takes longer; the moment of death moves with it.
        longest = Math.max(longest, performance.now() - began)
        if (kill === kills) break
        const work = subjects.flatMap((subject) => [
          publishUntil(server.url, subject, stopped.signal),
          readUntil(server.url, subject, stopped.signal).then((count) => void (reads += count)),
        ])
        await Promise.race([sleep(5 + Math.random() * longest), Promise.all(work)])
        server.child.kill('SIGKILL')
        stopped.abort()
        await Promise.all(work)
      } finally {
        stopped.abort()
        await server.stop('SIGKILL')
      }
      if ((kill + 1) % 25 === 0)
        progress(`${kill + 1} kills, ${total(subjects)} publishes acknowledged, ${reads} reads`)
    }
    return { kills, acknowledged: total(subjects), reads }
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

function total(subjects: readonly Subject[]): number {
  return subjects.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
}

async function create(url: string, index: number): Promise<Subject> {
  const name = `registry.example.com/crash/app-${index}`
  const key = async (role: string) => {
    const answer = await fetch(`${url}/v2/${name}/_trust/tuf/${role}.key`)
    return keyOf((await answer.json()) as KeyObject)
  }
  const online = { timestamp: await key('timestamp'), snapshot: await key('snapshot') }
  const tags = Array.from({ length: 50 }, (_, i) => `tag-${i}`)
  const owner = await newOwner(online, Date.now(), tags)
  const firstRoot = await signRoot(owner)
  const status = await publish(url, name, { root: firstRoot, targets: await signTargets(owner) })
  if (status !== 200) throw new Error(`could not create ${name}: ${status}`)
  return { name, owner, firstRoot, inFlight: undefined, acknowledged: 1, seen: undefined }
}

/** After a restart: what was acknowledged is there; what was on its way is there whole or not at all. */
async function recover(url: string, subject: Subject): Promise<void> {
  const { owner, inFlight, name } = subject
  const trust = await refresh(url, subject)
  const versions = [trust.root.version, trust.targets.version]
  const kept = [owner.root.version, owner.targets.version]
  const sent = inFlight && [inFlight.root.version, inFlight.targets.version]
  const [is, was, may] = [versions, kept, sent].map((pair) => pair?.join('/'))
  if (is === was) subject.inFlight = undefined
  else if (is === may && inFlight !== undefined) Object.assign(owner, inFlight)
  else throw new Error(`${name} is at root/targets ${is}; acknowledged was ${was}, on its way was ${may}`)
  const expected = await signTargets(owner)
  const served = await get(url, name, `${owner.targets.version}.targets.json`)
  if (served === undefined || Buffer.compare(served, expected) !== 0)
    throw new Error(`${name}: other targets are served`)
  subject.inFlight = undefined
}

/** Until the server is gone. Every tenth publish brings a new root as well. */
async function publishUntil(url: string, subject: Subject, signal: AbortSignal): Promise<void> {
  const { owner, name } = subject
  while (!signal.aborted) {
    const now = Date.now()
    const next = { ...owner }
    const tag = `tag-${subject.acknowledged % 60}`
    const set = new Map([[tag, target(`${tag} ${owner.targets.version}`)]])
    next.targets = nextTargets(owner.targets, { set }, context(now))
    const rotates = subject.acknowledged % 10 === 9
    if (rotates) changeRoot(next, now, {})
    const files = { ...(rotates ? { root: await signRoot(next) } : {}), targets: await signTargets(next) }
    subject.inFlight = { root: next.root, targets: next.targets }
    const status = await publish(url, name, files, signal).catch(() => undefined)
    if (status === undefined) return
    if (status !== 200) throw new Error(`${name} answered ${status}`)
    owner.root = next.root
    owner.targets = next.targets
    subject.acknowledged++
    subject.inFlight = undefined
  }
}

async function readUntil(url: string, subject: Subject, signal: AbortSignal): Promise<number> {
  for (let count = 0; ; count++) {
    if (signal.aborted) return count
    try {
      await refresh(url, subject, signal)
    } catch (error) {
      if (error instanceof Unreachable) return count
      throw error
    }
  }
}

class Unreachable extends Error {}

/** The whole workflow of a client that remembers what it saw. */
async function refresh(url: string, subject: Subject, signal?: AbortSignal): Promise<AfterTargets> {
  const must = async (file: string) => {
    const bytes = await get(url, subject.name, file, signal)
    if (bytes === undefined) throw new Error(`${subject.name} has no ${file}`)
    return bytes
  }
  const { seen } = subject
  const judge = { codec: tufCodec, suite: nativeSuite, limits: DEFAULT_LIMITS, now: instant(Date.now()) }
  let trust =
    seen === undefined ? openRoot(judge, subject.firstRoot) : { ...judge, root: seen.root, rootBytes: seen.rootBytes }
  for (;;) {
    const next = await get(url, subject.name, `${trust.root.version + 1}.root.json`, signal)
    if (next === undefined) break
    trust = acceptRoot(trust, next)
  }
  const afterTimestamp = acceptTimestamp(finishRoot(trust), await must('timestamp.json'), seen?.timestamp)
  const snapshot = await must(snapshotFile(afterTimestamp).name)
  const afterSnapshot = acceptSnapshot(afterTimestamp, snapshot, seen?.snapshot)
  subject.seen = acceptTargets(afterSnapshot, await must(targetsFile(afterSnapshot, TARGETS).name))
  return subject.seen
}

async function get(url: string, name: string, file: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
  const bytes = await answerOf(`${url}/v2/${name}/_trust/tuf/${file}`, signal).catch((cause: unknown) => {
    throw new Unreachable(file, { cause })
  })
  return bytes === 404 ? undefined : bytes
}

async function answerOf(url: string, signal: AbortSignal | undefined): Promise<Uint8Array | 404> {
  const answer = await fetch(url, signal === undefined ? {} : { signal })
  const bytes = new Uint8Array(await answer.arrayBuffer())
  return answer.status === 404 ? 404 : bytes
}

async function publish(url: string, name: string, files: Record<string, Uint8Array>, signal?: AbortSignal) {
  const { payload, headers } = multipart(files)
  const answer = await fetch(`${url}/v2/${name}/_trust/tuf/`, {
    method: 'POST',
    body: new Uint8Array(payload),
    headers,
    ...(signal === undefined ? {} : { signal }),
  })
  await answer.arrayBuffer()
  return answer.status
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const kills = Number(process.argv[2] ?? 300)
  const { acknowledged, reads } = await crashCampaign(kills, (line) => console.log(line))
  console.log(`${kills} kills: ${acknowledged} acknowledged publishes all there, ${reads} refreshes all verified`)
}
