import { nativeSuite } from '../../keys/native/suite.ts'
import { authorityOf, ROOT } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { ExitCode, Failure } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { collect } from '../moving/collect.ts'
import type { OldState } from '../moving/collect.ts'
import { move } from '../moving/move.ts'
import type { Moved } from '../moving/move.ts'
import { openOldSource } from '../moving/old-source.ts'
import { keysPin, NO_PIN, rootPin, TOFU_PIN } from '../moving/pin.ts'
import type { MovingPin } from '../moving/pin.ts'
import { keyringOf } from '../publish/desk.ts'
import { parseRepo } from '../registry/reference.ts'
import type { RepositoryName } from '../registry/reference.ts'
import { isClientError } from '../trust/errors.ts'
import { httpSource, metadataUrlOf } from '../trust/fetch.ts'
import { addPin, patternOf } from '../trust/pins.ts'
import { readAuthorities, readUserFile } from '../files.ts'
import { count, defineCommand, flag, list, many, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { importKeys } from './import-keys.ts'
import type { ImportedKeys } from './import-keys.ts'
import { openerOf } from './key-import.ts'
import { serverToKeep } from './kept-server.ts'
import type { KeptServer } from './kept-server.ts'
import { pinCommand, typedServer } from './pin-command.ts'
import { findPrivateKeys } from './private-files.ts'

const MAX_ROOT = 512 * 1024

export const importNotaryCommand = defineCommand({
  operands: { REPO: many('the image repository, as docker names it: its GUN') },
  options: {
    from: text('URL', 'the server it is on now: DOCKER_CONTENT_TRUST_SERVER, or https://notary.docker.io'),
    'from-ca': text('FILE', 'PEM of the authorities to trust for that server'),
    private: list('DIR', 'take in the keys of ~/.notary/private or ~/.docker/trust/private first; may be repeated'),
    pin: list('FILE|ID', 'a root file, or the id of a root key as notary key list shows it; may be repeated'),
    'pin-threshold': count('N', 'how many of those keys must have signed a root; all of them where nothing is said'),
    tofu: flag('believe whatever root the old server shows'),
    'old-passphrase-file': text('FILE', 'holds the passphrases that the keys are under now, one a line'),
    'no-passphrase': flag('keep keys that are taken in readable to whoever reads their files'),
  },
  examples: [
    'tagseal import notary --from https://notary.docker.io docker.io/team/app --private ~/.docker/trust/private --pin 6d9a0eda1a18b1d9e4f5f53d0a4a1b2c3d4e5f60718293a4b5c6d7e8f9012345',
  ],
  notes:
    'Everything is verified before it moves. The root key signs once, for the keys of the server here: its ' +
    'passphrase is asked for. Run it again at any time: it brings what was published at the old server since.',
  async run(context, input) {
    const from = input.text('from')
    if (from === undefined) throw usage('it is not said where the repository is now', 'give --from URL')
    const pin = await pinOf(input.list('pin'), input.count('pin-threshold'), input.flag('tofu'))
    const fromCa = await authoritiesOf(input.text('from-ca'))
    const keys = await takeIn(context, input.list('private'), {
      old: input.text('old-passphrase-file'),
      encrypted: !input.flag('no-passphrase'),
    })
    const outcomes: Outcome[] = []
    for (const repository of input.many('REPO').map(parseRepo)) {
      outcomes.push(await moveOne(context, { repository, from, fromCa, pin }))
    }
    return answerOf(keys, outcomes)
  },
})

type Keys = Pick<ImportedKeys, 'imported' | 'there' | 'failed'>

async function takeIn(
  context: Context,
  folders: readonly string[],
  { old, encrypted }: { readonly old: string | undefined; readonly encrypted: boolean },
): Promise<Keys> {
  if (folders.length === 0) return { imported: [], there: [], failed: [] }
  const passphrase = await openerOf(context, old)
  return await importKeys(context, await findPrivateKeys(folders), { name: undefined, encrypted, passphrase })
}

async function pinOf(given: readonly string[], need: number | undefined, tofu: boolean): Promise<MovingPin> {
  if (tofu && given.length > 0) throw usage('--pin and --tofu exclude each other')
  if (tofu) return TOFU_PIN
  if (given.length === 0) return NO_PIN
  const ids = given.filter((text) => /^[0-9a-f]{64}$/.test(text))
  if (ids.length === given.length) return keysPin(ids, thresholdOf(ids, need))
  const [file, ...more] = given
  if (file === undefined || more.length > 0 || need !== undefined || /^[0-9a-f]+$/i.test(file)) {
    throw usage('--pin is one root file, or key ids of 64 digits', 'notary key list shows the ids of root keys')
  }
  return rootPin(await readUserFile(file, MAX_ROOT))
}

async function authoritiesOf(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : await readAuthorities(file)
}

function thresholdOf(ids: readonly string[], need: number = ids.length): number {
  if (need > ids.length) throw usage(`${need} keys cannot have signed where ${ids.length} are named`)
  return need
}

type Wish = {
  readonly repository: RepositoryName
  readonly from: string
  readonly fromCa: string | undefined
  readonly pin: MovingPin
}
type Arrived = Moved & { readonly old: OldState; readonly pinned: string }
type Outcome = { readonly repository: string; readonly arrived?: Arrived; readonly failure?: Failure }

/** What keeps one repository keeps no other. */
async function moveOne(context: Context, wish: Wish): Promise<Outcome> {
  const { name } = wish.repository
  try {
    const arrived = await moveAndPin(context, wish)
    tell(context, name, arrived)
    return { repository: name, arrived }
  } catch (error) {
    context.signal.throwIfAborted()
    const failure = failureOf(error)
    tellFailure(context.terminal, failure, `${name}: `)
    return { repository: name, failure }
  }
}

async function moveAndPin(context: Context, { repository, from, fromCa, pin }: Wish): Promise<Arrived> {
  const { name } = repository
  const anchor = pin.given ? pin : await knownPin(context, name)
  const there = await openOldSource(context, { url: from, repository, ca: fromCa })
  const { signal } = context
  try {
    const now = context.clock()
    const old = await collect({ repository: name, source: there, suite: nativeSuite, pin: anchor, now, signal })
    const kept = await serverToKeep(context, await context.serverOf(name))
    const api = await context.api(name)
    const keyring = await keyringOf(context, [])
    try {
      const moved = await move({
        repository: name,
        old,
        api,
        here: await hereOf(context, name),
        there,
        keyring,
        now,
        signal,
      })
      return { ...moved, old, pinned: await pinHere(context, name, old, kept) }
    } finally {
      keyring.close()
    }
  } finally {
    there.close()
  }
}

/** What this machine trusts already: the second run needs no word of anybody. */
async function knownPin(context: Context, repository: string): Promise<MovingPin> {
  try {
    const { pin } = await context.pinOf(repository)
    if (pin.kind === 'root') return rootPin(pin.bytes)
    return pin.kind === 'keys' ? keysPin(pin.keyids, pin.threshold) : TOFU_PIN
  } catch (error) {
    if (isClientError(error) && error.code === 'NOT_PINNED') return NO_PIN
    throw error
  }
}

async function hereOf(context: Context, repository: string) {
  const [place, token] = [await context.serverOf(repository), await context.token()]
  const http = await context.httpTo(place)
  return httpSource(metadataUrlOf(place.server, repository), { http, ...(token === undefined ? {} : { token }) })
}

/** The keys that hand-overs are signed by stay the same, so machines that pin them need no other pin than here. */
async function pinHere(context: Context, repository: string, { trust }: OldState, kept: KeptServer): Promise<string> {
  const { role } = authorityOf(trust.root, ROOT)
  const pin = { kind: 'keys', keyids: role.keyids, threshold: role.threshold } as const
  await addPin(context.paths.trust, { pattern: patternOf(repository), pin, ...kept })
  const server = typedServer(context.settings, await context.serverOf(repository))
  return pinCommand(repository, role.keyids, role.threshold, server)
}

function tell({ terminal, clock }: Context, repository: string, { moved, followed, old }: Arrived): void {
  const how = moved ? 'is here now' : followed.length > 0 ? `followed in ${followed.join(', ')}` : 'is here already'
  terminal.note(
    `${repository} ${how}: ${counted(tagsOf(old), 'tag')} in ${counted(old.roles.size, 'role')}, ${counted(old.roots.size, 'root')}`,
  )
  for (const role of old.unsigned) terminal.warn(`${role} has never signed anything there`)
  for (const [role, { expires }] of old.roles) {
    if (expires <= clock()) terminal.warn(`${role} has expired: whoever holds its keys must sign it again`)
  }
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function tagsOf({ roles }: OldState): number {
  return [...roles.values()].reduce((sum, { targets }) => sum + targets.size, 0)
}

function answerOf({ imported, there, failed }: Keys, outcomes: readonly Outcome[]): Answer {
  const exit = exitOf([
    ...(failed.length > 0 ? [1 as const] : []),
    ...outcomes.map(({ failure }) => failure?.exit ?? 0),
  ])
  return {
    lines: outcomes.flatMap(({ arrived }) => (arrived === undefined ? [] : [arrived.pinned])),
    document: {
      keys: {
        imported: imported.length,
        there: there.length,
        failed: failed.map(({ file, key, failure }) => ({ file, key, error: failureDocument(failure) })),
      },
      repositories: outcomes.map(documentOf),
    },
    exit,
  }
}

/** What could not be found out may come right by itself; else each says its own, and of several the answer is no. */
function exitOf(exits: readonly ExitCode[]): ExitCode {
  const bad = new Set(exits.filter((exit) => exit > 0))
  if (bad.has(3)) return 3
  const [only, ...more] = bad
  return more.length === 0 ? (only ?? 0) : 1
}

function documentOf({ repository, arrived, failure }: Outcome): object {
  if (failure !== undefined) return { repository, error: failureDocument(failure) }
  if (arrived === undefined) return { repository }
  const { moved, followed, old, pinned } = arrived
  return {
    repository,
    moved,
    followed,
    roots: old.roots.size,
    roles: [...old.roles.keys()],
    unsigned: old.unsigned,
    command: pinned,
  }
}
