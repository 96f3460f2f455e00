import { isKeyError } from '../../keys/errors.ts'
import { tufKeyId } from '../../keys/keystore/key-file.ts'
import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { codecOf, DEFAULT_LIMITS, keySetOf, ROOT, TARGETS } from '../../tuf/index.ts'
import type { Codec, PublicKey, Root } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { keyringOf } from '../publish/desk.ts'
import { customsOf } from '../publish/customs.ts'
import type { GivenKey } from '../publish/customs.ts'
import { PublishError } from '../publish/errors.ts'
import { foundingEdits, keyNameFor, publicKeyOf, serverKeys } from '../publish/found.ts'
import { rootKeysOf } from '../publish/root-keys.ts'
import { sign } from '../publish/publish.ts'
import { parseRepo } from '../registry/reference.ts'
import { httpSource, metadataUrlOf } from '../trust/fetch.ts'
import { addPin, loadPins, patternOf } from '../trust/pins.ts'
import type { Pin } from '../trust/pins.ts'
import { count, defineCommand, flag, list, one, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { givenDialect } from './dialect-option.ts'
import { CommandError, usage } from './errors.ts'
import { givenCertificate, givenKey } from './given-keys.ts'
import { shortId } from './key-document.ts'
import { serverToKeep } from './kept-server.ts'
import type { KeptServer } from './kept-server.ts'
import { pinCommand, sayWhatTravels, typedServer } from './pin-command.ts'

export const initCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag') },
  options: {
    'root-key': list('ID', 'a root key of this machine, instead of a new one; may be repeated'),
    'root-threshold': count('N', 'how many root keys must sign a root; 1 where nothing is said'),
    'root-cert': list('FILE', 'with --dialect notary: the X.509 certificate of a root key, instead of one it makes'),
    'targets-key': list(
      'F',
      'a targets key, instead of a new one: the id of a key of this machine, or a public key as delegation add takes it; may be repeated',
    ),
    'targets-threshold': count('N', 'how many targets keys must sign what tags mean; 1 where nothing is said'),
    'no-passphrase': flag('keep new keys readable to whoever reads their files'),
    dialect: text('NAME', 'tuf, or notary for what notary and docker trust understand; tuf where nothing is said'),
  },
  examples: [
    'tagseal init registry.example.com/team/app --server https://trust.example.com',
    'tagseal init registry.example.com/team/app --targets-key alice --targets-key bob --targets-key ./carol.pub.pem --targets-threshold 2',
    'tagseal init registry.example.com/team/app --dialect notary --server https://notary.example.com',
  ],
  notes: [
    'The server is kept with the pin that it makes here, and with --ca the certificates of its authority.',
    'If it is interrupted, run it again: keys that it made are found and used.',
    'Of the targets keys, as many as must sign have to be on this machine: they sign the first, empty list of tags.',
  ].join('\n'),
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const wishes: Wishes = {
      repository,
      rootKeys: input.list('root-key'),
      threshold: input.count('root-threshold') ?? 1,
      targetsKeys: input.list('targets-key'),
      targetsThreshold: input.count('targets-threshold') ?? 1,
      certificates: input.list('root-cert'),
      encrypted: !input.flag('no-passphrase'),
      codec: givenDialect(input.text('dialect') ?? 'tuf'),
    }
    if (wishes.certificates.length > 0 && !customsOf(wishes.codec).rootHasCertificates)
      throw usage('--root-cert goes with --dialect notary')
    if (Math.max(wishes.threshold, wishes.targetsThreshold) > customsOf(wishes.codec).mostNeeded)
      throw usage('notary and docker know of no threshold above 1', 'leave the thresholds out')
    const kept = await serverToKeep(context, await context.serverOf(repository))
    const exists = await refuseExisting(context, repository)
    const keys = await findOrMakeKeys(context, wishes, exists)
    const root =
      exists === undefined ? await foundOrSay(context, wishes, keys) : await ownRoot(context, wishes, keys, exists)
    return await trustOwn(context, wishes, { ...keys, root }, kept)
  },
})

type Wishes = {
  readonly repository: string
  readonly rootKeys: readonly string[]
  readonly threshold: number
  /** As somebody named them: keys of this machine, or public keys of others. */
  readonly targetsKeys: readonly string[]
  readonly targetsThreshold: number
  /** Files with certificates of root keys. */
  readonly certificates: readonly string[]
  readonly encrypted: boolean
  readonly codec: Codec
}
/** `made`: in this run. */
type Keys = {
  readonly root: readonly KeyInfo[]
  readonly targets: readonly GivenKey[]
  readonly made: readonly KeyInfo[]
}

/**
 * The root of a repository that the server already has and that no pin here knows: an earlier run of ours may have been
 * interrupted just before its end, and the keys will tell.
 */
async function refuseExisting(context: Context, repository: string): Promise<Uint8Array | undefined> {
  const place = await context.serverOf(repository)
  const token = await context.token()
  const source = httpSource(metadataUrlOf(place.server, repository), {
    http: await context.httpTo(place),
    ...(token === undefined ? {} : { token, tokenFrom: context.settings.tokenFile ?? 'TAGSEAL_TOKEN' }),
  })
  const root = await source.get('root.json', DEFAULT_LIMITS.root, context.signal)
  if (root === undefined) return undefined
  const rules = await loadPins(context.paths.trust)
  if (rules.some(({ pattern }) => pattern.text === repository)) throw await existing(context, repository, root)
  return root
}

async function existing(context: Context, repository: string, root: Uint8Array): Promise<CommandError> {
  return await existingAt(context, repository, readRoot(root).version)
}

/** A pin that is good is not to be replaced because somebody ran this twice. */
async function existingAt(context: Context, repository: string, version: number): Promise<CommandError> {
  const rules = await loadPins(context.paths.trust)
  const isPinned = rules.some(({ pattern }) => pattern.matches(repository))
  const server = typedServer(context.settings, await context.serverOf(repository))
  return new CommandError('REPOSITORY_EXISTS', { repository, version, isPinned, server })
}

function readRoot(bytes: Uint8Array): Root {
  const context = { suite: nativeSuite, limits: DEFAULT_LIMITS }
  return codecOf(bytes, DEFAULT_LIMITS).decode('root', bytes, context).body
}

/**
 * Our keys as the root lists them that an earlier run of ours published. Nobody has checked that root yet: whatever it
 * says, the keys are ours, and nothing is trusted that they have not signed.
 */
async function ownRoot(
  context: Context,
  { repository, codec }: Wishes,
  { root: keys }: Keys,
  bytes: Uint8Array,
): Promise<readonly PublicKey[]> {
  const root = readRoot(bytes)
  const listed = new Map(keySetOf(root, ROOT).keys.map((key) => [nativeSuite.open(key)?.identity, key]))
  const found = keys.map((key) => listed.get(nativeSuite.open(publicKeyOf(key, codec, nativeSuite))?.identity))
  const own = found.filter((key) => key !== undefined)
  if (own.length < found.length) throw await existing(context, repository, bytes)
  return own
}

/** Keys come before anything is published: what was signed with a key that is lost would be lost with it. */
async function findOrMakeKeys(context: Context, wishes: Wishes, exists: Uint8Array | undefined): Promise<Keys> {
  const { repository, rootKeys, threshold } = wishes
  const { algorithm } = customsOf(wishes.codec)
  const keystore = await context.keystore()
  const here = await keystore.list()
  const made: KeyInfo[] = []
  const findOrMake = async (role: string): Promise<KeyInfo> => {
    const name = keyNameFor(role, repository)
    const known = here.find((key) => key.name === name)
    if (known === undefined && exists !== undefined) throw await existing(context, repository, exists)
    if (known !== undefined) return known
    const key = await keystore.generate({ algorithm, name, encrypted: wishes.encrypted })
    made.push(key)
    return key
  }
  const distinct = rootKeys.length === 0 ? 1 : new Set(rootKeys).size
  if (threshold > distinct) {
    throw usage(
      `${threshold} root keys cannot sign where there are ${distinct}`,
      'name more of them with --root-key ID',
    )
  }
  const given = await givenTargetsKeys(context, wishes, here)
  const root = rootKeys.length === 0 ? [await findOrMake('root')] : await Promise.all(rootKeys.map(keystore.find))
  return { root, targets: given ?? [await findOrMake('targets')], made }
}

/** undefined where none is named. Throws NO_SIGNING_KEY before anything is made that could not be signed. */
async function givenTargetsKeys(
  context: Context,
  { targetsKeys, targetsThreshold: need }: Wishes,
  here: readonly KeyInfo[],
): Promise<readonly GivenKey[] | undefined> {
  const named = await Promise.all(targetsKeys.map((given) => ownOrGivenKey(context, given)))
  const keys = new Map(named.map((key) => [tufKeyId(key.public), key]))
  if (need > Math.max(keys.size, 1)) {
    throw usage(
      `${need} targets keys cannot sign where there are ${Math.max(keys.size, 1)}`,
      'name more of them with --targets-key F',
    )
  }
  // A key of an agent, a token or a program is found by its reference and kept nowhere.
  const found = named.flatMap((key) => ('id' in key ? [tufKeyId(key.public)] : []))
  const own = new Set([...found, ...here.map(({ id }) => id).filter((id) => keys.has(id))])
  if (keys.size > 0 && own.size < need) {
    throw new PublishError('NO_SIGNING_KEY', { role: TARGETS, need, have: own.size, keys: [...keys.keys()] })
  }
  return keys.size === 0 ? undefined : [...keys.values()]
}

/** By any name that a key of this machine has; what is none of them is a public key of somebody else's. */
async function ownOrGivenKey(context: Context, given: string): Promise<GivenKey> {
  try {
    return await (await context.keystore()).find(given)
  } catch (error) {
    if (isKeyError(error) && error.code === 'KEY_NOT_FOUND') return await givenKey(context, given)
    throw error
  }
}

/** Nobody should wonder later where the keys came from that a refused run leaves. */
async function foundOrSay(context: Context, wishes: Wishes, keys: Keys): Promise<readonly PublicKey[]> {
  try {
    return await found(context, wishes, keys)
  } catch (error) {
    const ids = keys.made.map(({ id }) => shortId(id)).join(' and ')
    if (ids !== '') context.terminal.note(`made before that, and kept for the next tagseal init of it: key ${ids}`)
    throw error
  }
}

async function found(context: Context, wishes: Wishes, { root, targets }: Keys): Promise<readonly PublicKey[]> {
  const { repository, threshold, codec } = wishes
  const api = await context.api(repository)
  const online = await serverKeys(api, codec, nativeSuite)
  const making = { codec, suite: nativeSuite, keystore: await context.keystore(), clock: context.clock }
  const given = await Promise.all(wishes.certificates.map((file) => givenCertificate(context, file)))
  const plan = {
    repository,
    root: await rootKeysOf(root, { ...making, repository, before: [], given }),
    rootThreshold: threshold,
    targets: targets.map((key) => publicKeyOf(key, codec, nativeSuite)),
    targetsThreshold: wishes.targetsThreshold,
    ...online,
  }
  const keyring = await keyringOf(context, [])
  try {
    const edits = foundingEdits(plan, codec, nativeSuite, context.clock())
    const outcome = await api.upload(await sign(codec, keyring, edits))
    if (outcome.kind === 'conflict') {
      throw await existingAt(context, repository, outcome.current ?? 1)
    }
    return plan.root
  } finally {
    keyring.close()
  }
}

/** Refreshed as any consumer would, under the pin that consumers get, before it is called done. */
async function trustOwn(
  context: Context,
  { repository, threshold, targetsThreshold }: Wishes,
  { root, targets }: { readonly root: readonly PublicKey[]; readonly targets: readonly GivenKey[] },
  kept: KeptServer,
): Promise<Answer> {
  const keyids = root.map(({ id }) => id)
  const pin: Pin = { kind: 'keys', keyids, threshold }
  const trusted = await context.unpinned(repository, pin)
  const place = await context.serverOf(repository)
  await trusted.refresh(context.signal)
  await addPin(context.paths.trust, { pattern: patternOf(repository), pin, ...kept })
  const command = pinCommand(repository, keyids, threshold, typedServer(context.settings, place))
  sayWhatTravels(context, place)
  context.terminal.note(`${repository} is ready; whoever pulls from it pins it once with`)
  return {
    lines: [command],
    document: {
      repository,
      server: place.server,
      pin: { keys: keyids, threshold },
      root: { keys: keyids, threshold },
      targets: { keys: targets.map((key) => tufKeyId(key.public)), threshold: targetsThreshold },
      command,
    },
  }
}
