/**
 * Each theft, played by a thief who holds the real keys, against a server that serves others meanwhile. What a row says is
 * what consumers were seen to answer; a play that comes out otherwise than any of its words ends the drill.
 */
import { readBody } from '../http.ts'
import { openHttp } from '../http.ts'
import { metadataUrlOf } from '../trust/fetch.ts'
import { parsePattern } from '../trust/pattern.ts'
import { addPin } from '../trust/pins.ts'
import type { Anchor } from '../trust/anchor.ts'
import { delegationAddCommand } from '../commands/delegation-add.ts'
import { initCommand } from '../commands/init.ts'
import { rotateCommand } from '../commands/rotate.ts'
import type { Context } from '../context.ts'
import { customsOf } from '../publish/customs.ts'
import { keyringOf } from '../publish/desk.ts'
import { publicKeyOf } from '../publish/found.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import {
  authorityOf,
  DEFAULT_LIMITS,
  nextRoot,
  nextSnapshot,
  nextTargets,
  nextTimestamp,
  ROOT,
  roleName,
  SNAPSHOT,
  TARGETS,
  threshold,
  TIMESTAMP,
} from '../../tuf/index.ts'
import type { Authority, Codec, Metadata, RoleName } from '../../tuf/index.ts'
import { consumerIn, digestOf, personIn, play, signTags } from './people.ts'
import type { Consumer, Place, Shown } from './people.ts'
import { forgeSnapshot, forgeTimestamp, stealFromFolder } from './theft.ts'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** How the scratch repositories are made. */
export type Shape = { readonly codec: Codec; readonly rootKeys: number; readonly rootThreshold: number }

export type Row = {
  readonly stolen: string
  readonly achieved: string
  /** For how long, for a consumer whom the thief keeps from the server. */
  readonly kept: string
  readonly command: string
  /** Whoever reaches the server, afterwards. */
  readonly after: string
}

export type Drill = {
  readonly outer: Context
  readonly place: Omit<Place, 'repository'>
  readonly data: string
  readonly shape: Shape
}
export type Play = (drill: Drill) => Promise<Row>

const HOUR_MS = 3_600_000
const LONGEST_MS = 9 * 365 * 24 * HOUR_MS
const HIGHEST = 2 ** 31 - 2
const TEAM = 'team'

export const PLAYS: Readonly<Record<string, Play>> = {
  nothing: (drill) => frozen(drill, 'nothing', []),
  timestamp: (drill) => frozen(drill, 'the timestamp key', ['timestamp']),
  snapshot: snapshotAlone,
  both: (drill) => frozen(drill, 'timestamp and snapshot keys', ['timestamp', 'snapshot']),
  delegated: (drill) => signing(drill, "a team's key", { role: TEAM, tags: ['team-1', 'team-2'], foreign: 'current' }),
  targets: (drill) =>
    signing(drill, 'the targets key', { role: 'targets', tags: ['current', 'made'], foreign: undefined }),
  rootBelow,
  rootAt,
}

type Scene = Drill & {
  readonly place: Place
  readonly owner: Context
  readonly pin: Anchor
  readonly roots: readonly string[]
  readonly close: () => Promise<void>
}

/** A repository with the tag `current`, which is good. */
async function founded(drill: Drill, name: string): Promise<Scene> {
  const { outer, shape } = drill
  const place = { ...drill.place, repository: `drill.example/${name}` }
  const owner = personIn(outer, place, `owner of ${name}`)
  const keystore = await owner.keystore()
  const roots: string[] = []
  for (let i = 0; i < shape.rootKeys; i++) {
    const key = await keystore.generate({
      algorithm: customsOf(shape.codec).algorithm,
      name: `root ${i + 1}`,
      encrypted: false,
    })
    roots.push(key.id)
  }
  const dialect = shape.codec.dialect === 'tuf-1.0' ? 'tuf' : 'notary'
  await play(owner, initCommand, {
    operands: [place.repository],
    options: { 'root-key': roots, 'root-threshold': shape.rootThreshold, 'no-passphrase': true, dialect },
  })
  await signTags(owner, place.repository, { current: 'good' })
  const pin = { kind: 'root', bytes: await genuine(place, '1.root.json') } as const
  return { ...drill, place, owner, pin, roots, close: owner.close }
}

async function genuine({ url, repository }: Place, name: string): Promise<Uint8Array> {
  const http = openHttp()
  try {
    const response = await http.send({ url: new URL(metadataUrlOf(url, repository) + name) })
    if (response.status !== 200) throw failed(`the scratch server has no ${name}`)
    return await readBody(response, 1024 * 1024, name)
  } finally {
    http.close()
  }
}

/** Everything current, under each of the names by which clients ask for it. */
async function copied(
  place: Place,
  codec: Codec,
  roles: readonly string[] = [],
): Promise<Map<string, Uint8Array | undefined>> {
  const files = new Map<string, Uint8Array | undefined>()
  for (const role of ['timestamp', 'snapshot', 'targets', ...roles]) {
    const bytes = await genuine(place, `${encodeURIComponent(role)}.json`)
    for (const name of namesOf(codec, role, bytes)) files.set(name, bytes)
  }
  return files
}

function namesOf(codec: Codec, role: string, bytes: Uint8Array): readonly string[] {
  const type = role === 'timestamp' || role === 'snapshot' ? role : 'targets'
  const { body } = codec.decode(type, bytes, SEAT)
  return [`${role}.json`, `${body.version}.${role}.json`, `${role}.${nativeSuite.hash('sha256', bytes)}.json`]
}

const SEAT = { suite: nativeSuite, limits: DEFAULT_LIMITS }
const NO_NEW_ROOT: Shown = new Map([['2.root.json', undefined]])

/** How long a consumer goes on believing what is shown to it, to the hour; undefined for years. */
async function heldFor(consumer: Consumer, tag: string, shown: Shown, word: string): Promise<number | undefined> {
  let tries = 0
  const believes = async (hours: number) => {
    const copy = await consumer.copy(`probe ${crypto.randomUUID()} ${(tries += 1)}`)
    return (await copy.asks(tag, shown, hours * HOUR_MS - 60_000)) === word
  }
  let [low, high] = [0, Math.ceil(LONGEST_MS / HOUR_MS)]
  if (await believes(high)) return undefined
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await believes(middle)) low = middle
    else high = middle
  }
  return low
}

function durationText(hours: number | undefined): string {
  if (hours === undefined) return 'until it has a new pin'
  if (hours < 23) return `${hours} hours`
  const days = Math.round(hours / 24)
  return days === 1 ? '1 day' : `${days} days`
}

/** Of what is published later, a consumer is shown nothing. With online keys the old state does not even grow old. */
async function frozen(drill: Drill, stolen: string, keys: readonly ('timestamp' | 'snapshot')[]): Promise<Row> {
  const scene = await founded(drill, `frozen-${keys.length}`)
  const { place, owner, pin, data, shape } = scene
  try {
    const away = consumerIn(place, pin, `${stolen} away`)
    expect(await away.asks('current'), 'good')
    const shown = await copied(place, shape.codec)
    await signTags(owner, place.repository, { current: 'better' })
    if (keys.length > 0) await forge(scene, shown, keys)
    expect(await away.asks('current', shown), 'good')
    const kept = durationText(await heldFor(away, 'current', new Map([...shown, ...NO_NEW_ROOT]), 'good'))
    if (keys.length === 0) {
      expect(await away.asks('current'), 'better')
      return { stolen, achieved: 'an old state is shown as current', kept, command: '', after: 'sees what is current' }
    }
    expect(await away.asks('current'), 'ROLLBACK')
    await play(owner, rotateCommand, { operands: [place.repository, keys[0] ?? ''], options: { compromised: true } })
    await allSee(scene, away, 'current', 'better')
    const achieved = 'an old state is shown as current; versions are driven up'
    return {
      stolen,
      achieved,
      kept,
      command: '`rotate REPO timestamp --compromised`',
      after: 'sees what is current, also who believed him',
    }
  } finally {
    await scene.close()
  }

  async function forge(
    { place: where, data: folder }: Scene,
    shown: Map<string, Uint8Array | undefined>,
    names: readonly string[],
  ) {
    const { codec } = shape
    const rootFile = await genuine(where, 'root.json')
    const forging = { to: HIGHEST, now: where.clock(), rootFile }
    const wanted = { repository: where.repository, codec }
    const [oldTimestamp, oldSnapshot] = [bytesOf(shown, 'timestamp.json'), bytesOf(shown, 'snapshot.json')]
    const snapshot = names.includes('snapshot')
      ? await forgeSnapshot(await stealFromFolder(folder, { ...wanted, role: 'snapshot' }), oldSnapshot, forging)
      : oldSnapshot
    for (const name of namesOf(codec, 'snapshot', snapshot)) shown.set(name, snapshot)
    const key = await stealFromFolder(data, { ...wanted, role: 'timestamp' })
    shown.set('timestamp.json', await forgeTimestamp(key, oldTimestamp, snapshot, forging))
  }
}

async function snapshotAlone(drill: Drill): Promise<Row> {
  const scene = await founded(drill, 'snapshot')
  const { place, owner, pin, data, shape } = scene
  const { codec } = shape
  try {
    const shown = await copied(place, codec)
    const key = await stealFromFolder(data, { repository: place.repository, codec, role: 'snapshot' })
    const forging = { to: HIGHEST, now: place.clock(), rootFile: await genuine(place, 'root.json') }
    const forged = await forgeSnapshot(key, bytesOf(shown, 'snapshot.json'), forging)
    for (const name of namesOf(codec, 'snapshot', bytesOf(shown, 'snapshot.json'))) shown.set(name, forged)
    const verdict = await consumerIn(place, pin, 'met a forged snapshot').asks('current', shown)
    if (!['TOO_LARGE', 'HASH_MISMATCH'].includes(verdict)) throw failed(`a forged snapshot: ${verdict}`)
    await play(owner, rotateCommand, { operands: [place.repository, 'snapshot'], options: { compromised: true } })
    await allSee(scene, consumerIn(place, pin, 'met a forged snapshot'), 'current', 'good')
    const command = '`rotate REPO snapshot --compromised`'
    return {
      stolen: 'the snapshot key',
      achieved: 'nothing: no timestamp announces it',
      kept: '-',
      command,
      after: 'sees what is current',
    }
  } finally {
    await scene.close()
  }
}

type Signing = { readonly role: string; readonly tags: readonly [string, string]; readonly foreign: string | undefined }

/** The thief moves a tag and makes one, on the server, for everybody. */
async function signing(drill: Drill, stolen: string, { role: kind, tags, foreign }: Signing): Promise<Row> {
  const scene = await founded(drill, kind)
  const { place, owner, pin, shape } = scene
  // Of the roles of Notary, docker asks this one.
  const role = kind === 'targets' || shape.codec.dialect === 'tuf-1.0' ? kind : 'targets/releases'
  const [moved, made] = tags
  try {
    const own = role === 'targets' ? undefined : roleName(role)
    if (own !== undefined) await delegate(scene, own)
    await signTags(owner, place.repository, { [moved]: 'good' }, own)
    const [away, reaching] = [consumerIn(place, pin, `${kind} away`), consumerIn(place, pin, `${kind} reaching`)]
    for (const each of [away, reaching]) expect(await each.asks(moved), 'good')
    const thief = await thiefWith(scene, [own === undefined ? `targets ${place.repository}` : TEAM])
    try {
      await pause()
      const since = new Date(place.clock()).toISOString()
      await pause()
      await signTags(thief, place.repository, { [moved]: 'evil', [made]: 'evil' }, own)
      if (foreign !== undefined)
        await refuses(async () => await signTags(thief, place.repository, { [foreign]: 'evil' }, own))
      for (const each of [away, reaching]) expect(await each.asks(moved), 'evil')
      const shown = await copied(place, shape.codec, own === undefined ? [] : [own])
      const options = { compromised: true, since, restore: 'all', 'no-passphrase': true } as const
      await play(owner, rotateCommand, { operands: [place.repository, role], options })
      const kept = durationText(await heldFor(away, moved, new Map([...shown, ...NO_NEW_ROOT]), 'evil'))
      await allSee(scene, reaching, moved, 'good')
      expect(await reaching.asks(made), 'TAG_NOT_SIGNED')
      await refuses(async () => await signTags(thief, place.repository, { [made]: 'evil' }, own))
      const achieved =
        foreign === undefined
          ? 'any tag is moved, made or taken out'
          : 'tags of its paths are moved or made, and no other'
      const command = `\`rotate REPO ${kind === 'targets' ? 'targets' : 'ROLE'} --compromised --since TIME\``
      return { stolen, achieved, kept, command, after: 'sees what was good before; he signs no more' }
    } finally {
      await thief.close()
    }
  } finally {
    await scene.close()
  }
}

async function delegate({ owner, place }: Scene, role: RoleName): Promise<void> {
  const keystore = await owner.keystore()
  const { id } = await keystore.generate({ algorithm: 'ecdsa-p256', name: TEAM, encrypted: false })
  const pem = join(place.folder, 'team.pem')
  await writeFile(pem, await keystore.exportPublic(id))
  await play(owner, delegationAddCommand, {
    operands: [place.repository, role],
    options: { key: pem, path: 'team-' + (role.includes('/') ? '' : '*') },
  })
}

/** A home with copies of these keys of the owner's. */
async function thiefWith({ outer, owner, place, pin }: Scene, names: readonly string[]): Promise<Context> {
  const thief = personIn(outer, place, `thief in ${place.repository.replace('/', ' ')}`)
  const [theirs, own] = [await owner.keystore(), await thief.keystore()]
  for (const name of names) {
    const { id } = await theirs.find(name)
    await own.import({
      pem: await theirs.exportPrivate(id, 'none'),
      name: `stolen ${name}`.slice(0, 100),
      encrypted: false,
    })
  }
  const pattern = parsePattern(place.repository)
  if (pattern === undefined || pin.kind !== 'root') throw failed('the scratch repository has an odd name')
  await addPin(thief.paths.trust, { pattern, pin, server: place.url })
  return thief
}

async function rootBelow(drill: Drill): Promise<Row> {
  const stolen = 'root keys, fewer than the threshold'
  if (drill.shape.rootThreshold === 1) {
    return { stolen, achieved: 'cannot be: one key is the threshold', kept: '-', command: '', after: '-' }
  }
  const scene = await founded(drill, 'root-below')
  const { place, owner, pin, shape, roots } = scene
  const thief = await thiefWith(scene, roots.slice(0, shape.rootThreshold - 1))
  try {
    const away = consumerIn(place, pin, 'root-below away')
    expect(await away.asks('current'), 'good')
    const shown = await takeOver(scene, thief, shape.rootThreshold - 1)
    expect(await away.asks('current', shown), 'THRESHOLD')
    const options = { stolen: roots[0] ?? '', 'no-passphrase': true } as const
    await play(owner, rotateCommand, { operands: [place.repository, 'root'], options })
    await allSee(scene, away, 'current', 'good')
    return {
      stolen,
      achieved: 'nothing',
      kept: '-',
      command: '`rotate REPO root --stolen ID`',
      after: 'follows to the next root',
    }
  } finally {
    await thief.close()
    await scene.close()
  }
}

async function rootAt(drill: Drill): Promise<Row> {
  const scene = await founded(drill, 'root-at')
  const { place, owner, pin, shape, roots } = scene
  const stolen = roots.slice(0, shape.rootThreshold)
  const thief = await thiefWith(scene, stolen)
  try {
    const [fooled, reaching] = [consumerIn(place, pin, 'root-at fooled'), consumerIn(place, pin, 'root-at reaching')]
    for (const each of [fooled, reaching]) expect(await each.asks('current'), 'good')
    const shown = await takeOver(scene, thief, shape.rootThreshold)
    expect(await fooled.asks('current', shown), 'evil')
    const kept = durationText(await heldFor(fooled, 'current', shown, 'evil'))
    await play(owner, rotateCommand, {
      operands: [place.repository, 'root'],
      options: { stolen, 'no-passphrase': true },
    })
    await allSee(scene, reaching, 'current', 'good')
    if (['good', 'evil'].includes(await fooled.asks('current'))) throw failed('the server is believed beside the thief')
    const anew = { kind: 'root', bytes: await genuine(place, 'root.json') } as const
    expect(await fooled.repin(anew).asks('current'), 'good')
    const command = '`rotate REPO root --compromised`, then a new pin'
    const after = 'is safe if it came before the thief did; else refuses, until it has the new pin'
    return { stolen: 'root keys to the threshold', achieved: 'everything, for whom he reaches', kept, command, after }
  } finally {
    await thief.close()
    await scene.close()
  }
}

/** A repository of the thief's own, from the second root on, by as many signatures as he has. */
async function takeOver({ place, shape }: Scene, thief: Context, signatures: number): Promise<Map<string, Uint8Array>> {
  const { codec } = shape
  const keystore = await thief.keystore()
  const own = publicKeyOf(
    await keystore.generate({ algorithm: 'ecdsa-p256', name: 'own', encrypted: false }),
    codec,
    nativeSuite,
  )
  const context = { codec, expires: place.clock() + 10 * 365 * 24 * HOUR_MS }
  const decoded = async (role: 'root' | 'targets' | 'snapshot' | 'timestamp') =>
    codec.decode(role, await genuine(place, `${role}.json`), SEAT).body
  const before = codecBody(await decoded('root'), 'root')
  const mine = { keys: [own], threshold: 1 }
  const root = nextRoot(before, { targets: mine, snapshot: mine, timestamp: mine }, context)
  const target = { length: 1, hashes: new Map([['sha256', digestOf('evil')]]), unknown: new Map() }
  const targets = nextTargets(
    codecBody(await decoded('targets'), 'targets'),
    { set: new Map([['current', target]]) },
    context,
  )
  const old = authorityOf(before, ROOT)
  const enough: Authority = { ...old, role: { ...old.role, threshold: threshold(signatures) } }
  const keyring = await keyringOf(thief, [])
  const files = new Map<string, Uint8Array>()
  const sealed = async (role: RoleName, body: Metadata, authority: Authority) => {
    const bytes = codec.assemble(body, await keyring.sign(codec.encode(body), [authority]))
    for (const name of role === ROOT ? ['2.root.json', 'root.json'] : namesOf(codec, role, bytes))
      files.set(name, bytes)
    return bytes
  }
  const metaOf = (body: Metadata, bytes: Uint8Array) => ({
    ...(codec.dialect === 'tuf-1.0' ? { version: body.version } : {}),
    length: bytes.length,
    hashes: new Map((['sha256', 'sha512'] as const).map((name) => [name, nativeSuite.hash(name, bytes)])),
    unknown: new Map(),
  })
  try {
    const rootFile = await sealed(ROOT, root, enough)
    const targetsFile = await sealed(TARGETS, targets, authorityOf(root, TARGETS))
    const listing = nextSnapshot(
      codecBody(await decoded('snapshot'), 'snapshot'),
      new Map([[TARGETS, targets.version]]),
      context,
    )
    const listed =
      codec.dialect === 'tuf-1.0'
        ? listing.meta
        : new Map([
            [ROOT, metaOf(root, rootFile)],
            [TARGETS, metaOf(targets, targetsFile)],
          ])
    const snapshot = { ...listing, meta: listed }
    const snapshotFile = await sealed(SNAPSHOT, snapshot, authorityOf(root, SNAPSHOT))
    const timestamp = nextTimestamp(
      codecBody(await decoded('timestamp'), 'timestamp'),
      metaOf(snapshot, snapshotFile),
      context,
    )
    await sealed(TIMESTAMP, timestamp, authorityOf(root, TIMESTAMP))
  } finally {
    keyring.close()
  }
  return files
}

function codecBody<M extends Metadata, T extends M['type']>(body: M, type: T): Extract<M, { readonly type: T }> {
  if (isOfType(body, type)) return body
  throw failed(`the scratch server gave another file than ${type}`)
}

function isOfType<M extends Metadata, T extends M['type']>(body: M, type: T): body is Extract<M, { readonly type: T }> {
  return body.type === type
}

/** Whoever was there, and whoever comes new, with no flag given. */
async function allSee({ place, pin }: Scene, reaching: Consumer, tag: string, word: string): Promise<void> {
  expect(await reaching.asks(tag), word)
  expect(await consumerIn(place, pin, `fresh in ${place.repository}`).asks(tag), word)
}

async function refuses(work: () => Promise<void>): Promise<void> {
  const refused = await work().then(
    () => false,
    () => true,
  )
  if (!refused) throw failed('the thief signed what he may not')
}

function bytesOf(shown: Shown, name: string): Uint8Array {
  const bytes = shown.get(name)
  if (bytes === undefined) throw failed(`nothing was copied of ${name}`)
  return bytes
}

function expect(got: string, wanted: string): void {
  if (got !== wanted) throw failed(`a consumer answered ${got} where ${wanted} was to be expected`)
}

/** Told with the name of the play by whoever plays it. */
function failed(what: string): Error {
  return new Error(what)
}

/** The history knows milliseconds. */
async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5))
}
