import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { codecOf, DEFAULT_LIMITS, keySetOf, notaryCodec, ROOT, tufCodec } from '../../tuf/index.ts'
import type { Codec, PublicKey, Root } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { keyringOf } from '../publish/desk.ts'
import { customsOf } from '../publish/customs.ts'
import { foundingEdits, keyNameFor, publicKeyOf, serverKey } from '../publish/found.ts'
import { rootKeysOf } from '../publish/root-keys.ts'
import { sign } from '../publish/publish.ts'
import { parseRepo } from '../registry/reference.ts'
import { httpSource, metadataUrlOf } from '../trust/fetch.ts'
import { addPin, loadPins, patternOf } from '../trust/pins.ts'
import type { Pin } from '../trust/pins.ts'
import { count, defineCommand, flag, list, one, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { CommandError, usage } from './errors.ts'
import { givenCertificate } from './given-keys.ts'
import { pinCommand } from './pin-command.ts'

export const initCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag') },
  options: {
    'root-key': list('ID', 'a root key of this machine, instead of a new one; may be repeated'),
    'root-threshold': count('N', 'how many root keys must sign a root; 1 where nothing is said'),
    'root-cert': list('FILE', 'with --dialect notary: the X.509 certificate of a root key, instead of one it makes'),
    'targets-key': text('ID', 'the targets key of this machine, instead of a new one'),
    'no-passphrase': flag('keep new keys readable to whoever reads their files'),
    dialect: text('NAME', 'tuf, or notary for what notary and docker trust understand; tuf where nothing is said'),
  },
  examples: [
    'tagseal init registry.example.com/team/app --server https://trust.example.com',
    'tagseal init registry.example.com/team/app --dialect notary --server https://notary.example.com',
  ],
  notes: 'If it is interrupted, run it again: keys that it made are found and used.',
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const wishes: Wishes = {
      repository,
      rootKeys: input.list('root-key'),
      threshold: input.count('root-threshold') ?? 1,
      targetsKey: input.text('targets-key'),
      certificates: input.list('root-cert'),
      encrypted: !input.flag('no-passphrase'),
      codec: givenDialect(input.text('dialect') ?? 'tuf'),
    }
    if (wishes.certificates.length > 0 && !customsOf(wishes.codec).rootHasCertificates)
      throw usage('--root-cert goes with --dialect notary')
    const exists = await refuseExisting(context, repository)
    const keys = await findOrMakeKeys(context, wishes, exists)
    const root = exists === undefined ? await found(context, wishes, keys) : ownRoot(wishes, keys, exists)
    return await trustOwn(context, wishes, { ...keys, root })
  },
})

type Wishes = {
  readonly repository: string
  readonly rootKeys: readonly string[]
  readonly threshold: number
  readonly targetsKey: string | undefined
  /** Files with certificates of root keys. */
  readonly certificates: readonly string[]
  readonly encrypted: boolean
  readonly codec: Codec
}
type Keys = { readonly root: readonly KeyInfo[]; readonly targets: KeyInfo }

const DIALECTS: ReadonlyMap<string, Codec> = new Map([
  ['tuf', tufCodec],
  ['notary', notaryCodec],
])

function givenDialect(name: string): Codec {
  const codec = DIALECTS.get(name)
  if (codec === undefined) throw usage(`there is no dialect ${name}`, `one of ${[...DIALECTS.keys()].join(', ')}`)
  return codec
}

/**
 * The root of a repository that the server already has and that no pin here knows: an earlier run of ours may have been
 * interrupted just before its end, and the keys will tell.
 */
async function refuseExisting(context: Context, repository: string): Promise<Uint8Array | undefined> {
  const { server } = await context.api(repository)
  const token = await context.token()
  const source = httpSource(metadataUrlOf(server, repository), {
    http: await context.http(),
    ...(token === undefined ? {} : { token }),
  })
  const root = await source.get('root.json', DEFAULT_LIMITS.root, context.signal)
  if (root === undefined) return undefined
  const rules = await loadPins(context.paths.trust)
  if (rules.some(({ pattern }) => pattern.text === repository)) throw existing(repository, root)
  return root
}

function existing(repository: string, root: Uint8Array): CommandError {
  return new CommandError('REPOSITORY_EXISTS', { repository, version: readRoot(root).version })
}

function readRoot(bytes: Uint8Array): Root {
  const context = { suite: nativeSuite, limits: DEFAULT_LIMITS }
  return codecOf(bytes, DEFAULT_LIMITS).decode('root', bytes, context).body
}

/**
 * Our keys as the root lists them that an earlier run of ours published. Nobody has checked that root yet: whatever it
 * says, the keys are ours, and nothing is trusted that they have not signed.
 */
function ownRoot({ repository, codec }: Wishes, { root: keys }: Keys, bytes: Uint8Array): readonly PublicKey[] {
  const root = readRoot(bytes)
  const listed = new Map(keySetOf(root, ROOT).keys.map((key) => [nativeSuite.open(key)?.identity, key]))
  return keys.map((key) => {
    const found = listed.get(nativeSuite.open(publicKeyOf(key, codec, nativeSuite))?.identity)
    if (found === undefined) throw existing(repository, bytes)
    return found
  })
}

/** Keys come before anything is published: what was signed with a key that is lost would be lost with it. */
async function findOrMakeKeys(context: Context, wishes: Wishes, exists: Uint8Array | undefined): Promise<Keys> {
  const { repository, rootKeys, targetsKey, threshold } = wishes
  const { algorithm } = customsOf(wishes.codec)
  const keystore = await context.keystore()
  const here = await keystore.list()
  const findOrMake = async (role: string): Promise<KeyInfo> => {
    const name = keyNameFor(role, repository)
    const made = here.find((key) => key.name === name)
    if (made === undefined && exists !== undefined) throw existing(repository, exists)
    return made ?? (await keystore.generate({ algorithm, name, encrypted: wishes.encrypted }))
  }
  const distinct = rootKeys.length === 0 ? 1 : new Set(rootKeys).size
  if (threshold > distinct) {
    throw usage(
      `${threshold} root keys cannot sign where there are ${distinct}`,
      'name more of them with --root-key ID',
    )
  }
  const root = rootKeys.length === 0 ? [await findOrMake('root')] : await Promise.all(rootKeys.map(keystore.find))
  const targets = targetsKey === undefined ? await findOrMake('targets') : await keystore.find(targetsKey)
  return { root, targets }
}

async function found(context: Context, wishes: Wishes, { root, targets }: Keys): Promise<readonly PublicKey[]> {
  const { repository, threshold, codec } = wishes
  const api = await context.api(repository)
  const [timestamp, snapshot] = await Promise.all([api.onlineKey('timestamp'), api.onlineKey('snapshot')])
  const making = { codec, suite: nativeSuite, keystore: await context.keystore(), clock: context.clock }
  const given = await Promise.all(wishes.certificates.map((file) => givenCertificate(context, file)))
  const plan = {
    repository,
    root: await rootKeysOf(root, { ...making, repository, before: [], given }),
    rootThreshold: threshold,
    targets: [publicKeyOf(targets, codec, nativeSuite)],
    timestamp: serverKey(timestamp, codec, nativeSuite),
    snapshot: serverKey(snapshot, codec, nativeSuite),
  }
  const keyring = await keyringOf(context, [])
  try {
    const edits = foundingEdits(plan, codec, nativeSuite, context.clock())
    const outcome = await api.upload(await sign(codec, keyring, edits))
    if (outcome.kind === 'conflict') {
      throw new CommandError('REPOSITORY_EXISTS', { repository, version: outcome.current ?? 1 })
    }
    return plan.root
  } finally {
    keyring.close()
  }
}

/** Refreshed as any consumer would, under the pin that consumers get, before it is called done. */
async function trustOwn(
  context: Context,
  { repository, threshold }: Wishes,
  { root, targets }: { readonly root: readonly PublicKey[]; readonly targets: KeyInfo },
): Promise<Answer> {
  const keyids = root.map(({ id }) => id)
  const pin: Pin = { kind: 'keys', keyids, threshold }
  const trusted = await context.unpinned(repository, pin)
  const { server } = await context.api(repository)
  await trusted.refresh(context.signal)
  await addPin(context.paths.trust, { pattern: patternOf(repository), pin, server })
  const command = pinCommand(repository, keyids, threshold, server)
  context.terminal.note(`${repository} is ready; whoever pulls from it pins it once with`)
  return {
    lines: [command],
    document: {
      repository,
      server,
      pin: { keys: keyids, threshold },
      root: { keys: keyids, threshold },
      targets: { keys: [targets.id], threshold: 1 },
      command,
    },
  }
}
