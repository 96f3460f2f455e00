import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { nativeSuite } from '../../keys/native/suite.ts'
import { DEFAULT_LIMITS, keySetOf, ROOT, TARGETS } from '../../tuf/index.ts'
import type { Codec, PublicKey, RootKeys } from '../../tuf/index.ts'
import { editsFor, foundingOf, proposalOf, refreshed } from '../ceremony/make.ts'
import { namesIn } from '../ceremony/names.ts'
import type { KeyNames } from '../ceremony/names.ts'
import type { Opened } from '../ceremony/opened.ts'
import { linksTo, openSource } from '../ceremony/source.ts'
import type { Context } from '../context.ts'
import { foundingEdits, serverKey, serverKeys } from '../publish/found.ts'
import type { Standing } from '../publish/standing.ts'
import { parseRepo } from '../registry/reference.ts'
import type { OnlineRole } from '../server-api.ts'
import { count, defineCommand, flag, list, one, text } from './declare.ts'
import { givenDialect } from './dialect-option.ts'
import { CommandError, usage } from './errors.ts'
import { readProposals, writeProposal } from './root-files.ts'
import { wantedKeys } from './root-keys.ts'
import type { RoleWish } from './root-keys.ts'

export const rootProposeCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag') },
  options: {
    'add-root': list('KEY', 'a root key that joins: NAME=KEY or KEY; may be repeated'),
    'remove-root': list('KEY', 'a root key that leaves, by its name or id; may be repeated'),
    'root-threshold': count('N', 'how many root keys must sign a root'),
    'add-targets': list('KEY', 'a targets key that joins; may be repeated'),
    'remove-targets': list('KEY', 'a targets key that leaves; may be repeated'),
    'targets-threshold': count('N', 'how many targets keys must sign what tags mean'),
    'replace-timestamp': flag('the server makes itself a new timestamp key'),
    'replace-snapshot': flag('the server makes itself a new snapshot key'),
    renew: flag('change nothing: the root only lives longer'),
    dialect: text('NAME', 'of a new repository: tuf, or notary; tuf where nothing is said'),
    refresh: text('FILE', 'this proposal again, on top of what was published since; its root keeps its signatures'),
    out: text('FILE', 'where the proposal is written; REPO.root-N.json where nothing is said'),
  },
  examples: [
    'tagseal root propose registry.example.com/team/app --add-root "Dora=./dora.pub.pem" --remove-root Alice',
    'tagseal root propose registry.example.com/team/app --add-root alice.pem --add-root bob.pem --root-threshold 2 --add-targets ci.pem',
    'tagseal root propose registry.example.com/team/app --renew --out renewal.json',
    'tagseal root propose registry.example.com/team/app --refresh app.root-3.json',
  ],
  notes: [
    'KEY is a PEM file, an ssh public key or its file, or a key of this machine. NAME is written into the root, for all to see.',
    'Where the server has no such repository, the proposal founds it. No key is needed here: the holders sign the file.',
  ].join('\n'),
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const wishes: Wishes = {
      repository,
      root: roleWish('root', input.list('add-root'), input.list('remove-root'), input.count('root-threshold')),
      targets: roleWish(
        'targets',
        input.list('add-targets'),
        input.list('remove-targets'),
        input.count('targets-threshold'),
      ),
      online: [
        ...(input.flag('replace-timestamp') ? (['timestamp'] as const) : []),
        ...(input.flag('replace-snapshot') ? (['snapshot'] as const) : []),
      ],
      renew: input.flag('renew'),
      dialect: input.text('dialect'),
    }
    const [refresh, out] = [input.text('refresh'), input.text('out')]
    const made = refresh === undefined ? await propose(context, wishes) : await proposeAgain(context, wishes, refresh)
    const path = out ?? refresh ?? `${basename(repository)}.root-${made.root.signed.body.version}.json`
    if (path !== refresh && existsSync(path)) throw new CommandError('FILE_EXISTS', { path })
    await writeProposal(path, made)
    const { words } = made.proposal
    context.terminal.note(`${path} is for each holder: tagseal root review ${path}, then tagseal root sign ${path}`)
    return {
      lines: [`proposal ${made.fingerprint}`, ...words],
      document: { repository, file: path, proposal: made.fingerprint, version: made.root.signed.body.version, words },
    }
  },
})

type Wishes = {
  readonly repository: string
  readonly root: RoleWish
  readonly targets: RoleWish
  readonly online: readonly OnlineRole[]
  readonly renew: boolean
  readonly dialect: string | undefined
}

function roleWish(
  role: RoleWish['role'],
  add: readonly string[],
  remove: readonly string[],
  threshold: number | undefined,
): RoleWish {
  return { role, add, remove, threshold }
}

function isEmpty({ root, targets, online }: Wishes): boolean {
  const changes = [root, targets].some(
    ({ add, remove, threshold }) => add.length + remove.length > 0 || threshold !== undefined,
  )
  return !changes && online.length === 0
}

async function propose(context: Context, wishes: Wishes): Promise<Opened> {
  const source = await openSource(context, wishes.repository)
  const published = await source.get('root.json', DEFAULT_LIMITS.root, context.signal)
  return published === undefined ? await proposeFirst(context, wishes) : await proposeNext(context, wishes)
}

async function proposeFirst(context: Context, wishes: Wishes): Promise<Opened> {
  const { repository, root, targets, online, renew } = wishes
  if (renew || online.length > 0 || root.remove.length + targets.remove.length > 0) {
    throw usage(`${repository} has no trust data on this server yet, so that nothing of it can be replaced`)
  }
  const codec = givenDialect(wishes.dialect ?? 'tuf')
  const api = await context.api(repository)
  const before = { keys: [], threshold: 1 }
  const place = { repository, codec, suite: nativeSuite, before, names: new Map() }
  const [rootKeys, targetsKeys] = [await wantedKeys(context, root, place), await wantedKeys(context, targets, place)]
  const plan = {
    repository,
    root: rootKeys.keys,
    rootThreshold: rootKeys.threshold,
    targets: targetsKeys.keys,
    targetsThreshold: targetsKeys.threshold,
    ...(await serverKeys(api, codec, nativeSuite)),
  }
  context.terminal.note(`${repository} has no trust data on ${api.server} yet: this founds it`)
  const edits = foundingEdits(plan, codec, nativeSuite, context.clock())
  const names = new Map([...rootKeys.names, ...targetsKeys.names])
  refuseSameName(names)
  return foundingOf(edits, codec, names, repository)
}

async function proposeNext(context: Context, wishes: Wishes): Promise<Opened> {
  const { repository } = wishes
  if (wishes.dialect !== undefined) throw usage(`${repository} has a dialect already`, 'leave --dialect out')
  if (isEmpty(wishes) && !wishes.renew) {
    throw usage(
      'nothing would change',
      'say what shall: --add-root, --remove-root, ...; or --renew to have the root live longer',
    )
  }
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const { change, names } = await changeFrom(context, wishes, standing)
  refuseSameName(namesAfter(standing, change, names))
  const edits = await editsFor(standing, change, names, context)
  return await proposalOf(standing, edits, { repository, roots: await linksTo(context, repository, standing) })
}

async function changeFrom(context: Context, { repository, root, targets, online }: Wishes, standing: Standing) {
  const { codec, suite } = standing
  const names = namesIn(standing.root)
  const place = { repository, codec, suite, names }
  const wantedRoot = await wantedKeys(context, root, { ...place, before: keySetOf(standing.root, ROOT) })
  const wantedTargets = await wantedKeys(context, targets, { ...place, before: keySetOf(standing.root, TARGETS) })
  const replaced = await Promise.all(
    online.map(
      async (role) => [role, { keys: [await newOnlineKey(context, repository, role, codec)], threshold: 1 }] as const,
    ),
  )
  const change: Partial<RootKeys> = { root: wantedRoot, targets: wantedTargets, ...Object.fromEntries(replaced) }
  return { change, names: new Map([...wantedRoot.names, ...wantedTargets.names]) }
}

/** What the keys that stay are called, and those that join. */
function namesAfter({ root }: Standing, change: Partial<RootKeys>, added: KeyNames): KeyNames {
  const listed = new Set([change.root, change.targets].flatMap((set) => set?.keys.map(({ id }) => String(id)) ?? []))
  return new Map([...namesIn(root), ...added].filter(([id]) => listed.has(id)))
}

function refuseSameName(names: KeyNames): void {
  const twice = [...names.values()].find((name, i, all) => all.indexOf(name) < i)
  if (twice !== undefined) throw usage(`two keys would be called ${twice}`, 'give one of them another name: NAME=KEY')
}

async function newOnlineKey(context: Context, repository: string, role: OnlineRole, codec: Codec): Promise<PublicKey> {
  const api = await context.api(repository)
  return serverKey(await api.newOnlineKey(role, false), codec, nativeSuite)
}

async function proposeAgain(context: Context, wishes: Wishes, file: string): Promise<Opened> {
  const { repository } = wishes
  if (!isEmpty(wishes) || wishes.renew || wishes.dialect !== undefined) {
    throw usage('--refresh keeps the root as it is', 'leave the other options out, or propose another root')
  }
  const opened = await readProposals([file])
  if (opened.proposal.repository !== repository) throw usage(`${file} is for ${opened.proposal.repository}`)
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  return await refreshed(opened, standing, context)
}
