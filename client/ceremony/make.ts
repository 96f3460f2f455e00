/** Proposals as they are made: the next root of what is published, or the first of all. */
import { sameBytes } from '../../keys/bytes.ts'
import { authorityOf, delegationTo, keySetOf, nextRoot, ROOT, signersOf, TARGETS } from '../../tuf/index.ts'
import type { Codec, RoleName, Root, RootKeys } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import type { Edit } from '../publish/edit.ts'
import { named } from '../publish/publish.ts'
import { reissued } from '../publish/rotating.ts'
import { asItIs } from '../publish/sifting.ts'
import { allRoles } from '../publish/standing.ts'
import type { HoldingRole, Standing } from '../publish/standing.ts'
import { namesIn, withNames } from './names.ts'
import type { KeyNames } from './names.ts'
import { checkProposal } from './open.ts'
import type { Opened } from './opened.ts'
import type { Files, Proposal } from './proposal.ts'
import { wordsOf } from './words.ts'

type Making = { readonly clock: () => number }

/** The next root with these keys, and the targets roles that have to be issued again with it. */
export async function editsFor(
  standing: Standing,
  change: Partial<RootKeys>,
  names: KeyNames,
  making: Making,
): Promise<readonly Edit[]> {
  const { codec, root } = standing
  const expires = making.clock() + customsOf(codec).lifetimes.root
  const next = withNames(nextRoot(root, change, { codec, expires }), new Map([...namesIn(root), ...names]))
  codec.rootAuthority(next, standing) // or it would be a root that nobody takes
  return [{ role: ROOT, body: next, authorities: [] }, ...(await companionsFor(standing, next, making))]
}

/**
 * What goes with a root that gives targets other keys: nothing where enough of them signed already what is published,
 * and no role has to follow the keys of targets.
 */
export async function companionsFor(standing: Standing, next: Root, { clock }: Making): Promise<readonly Edit[]> {
  const [before, after] = [authorityOf(standing.root, TARGETS), authorityOf(next, TARGETS)]
  const facts = ({ role }: typeof before) => [role.threshold, ...role.keyids.toSorted()].join()
  if (facts(before) === facts(after)) return []
  const edits = await reissued(standing, next, { clock, sift: async () => asItIs, alsoBy: [] })
  const isSame = edits.every(({ body }) => saysTheSame(body, standing))
  return isSame && isSignedFor(standing, next) ? [] : edits
}

function saysTheSame(body: Edit['body'], { targets, codec }: Standing): boolean {
  const { version, expires, expiresText } = targets
  return sameBytes(codec.encode({ ...body, version, expires, expiresText }), codec.encode(targets))
}

/** Whether the targets that are published count under the keys of another root as they are. */
export function isSignedFor({ files, codec, suite, limits }: Standing, next: Root): boolean {
  const bytes = files.get('targets')
  if (bytes === undefined) return false
  const authority = authorityOf(next, TARGETS)
  const signed = codec.decode('targets', bytes, { suite, limits })
  return signersOf(authority, signed, suite).size >= authority.role.threshold
}

export type From = { readonly repository: string; readonly roots: readonly Uint8Array[] }

/** These edits, on top of what is published, for others to sign. */
export async function proposalOf(standing: Standing, edits: readonly Edit[], from: From): Promise<Opened> {
  const { codec } = standing
  const next = new Map(edits.map((edit) => [edit.role, unsigned(edit, codec, from.repository)]))
  return made({ ...from, words: [], before: await filesBefore(standing, edits), next })
}

/** The first root of a repository, and its first targets. */
export function foundingOf(edits: readonly Edit[], codec: Codec, names: KeyNames, repository: string): Opened {
  const files = edits.map(({ role, body, ...edit }): [RoleName, Uint8Array] => {
    const own = body.type === 'root' ? withNames(body, names) : body
    return [role, unsigned({ ...edit, role, body: own }, codec, repository)]
  })
  return made({ repository, words: [], roots: [], before: new Map(), next: new Map(files) })
}

/**
 * The same root, with the files that go with it made anew on top of what is published now. What was signed of the root
 * stays; what was signed of those files was for something that is past.
 */
export async function refreshed({ proposal, root }: Opened, standing: Standing, making: Making): Promise<Opened> {
  const { codec } = standing
  const edits = await companionsFor(standing, root.signed.body, making)
  const kept = [...proposal.next].filter(([role]) => role === ROOT)
  const next = edits.map((edit): [RoleName, Uint8Array] => [edit.role, unsigned(edit, codec, proposal.repository)])
  const before = await filesBefore(standing, [{ role: ROOT, body: root.signed.body, authorities: [] }, ...edits])
  return made({ ...proposal, before, next: new Map([...kept, ...next]) })
}

function made(proposal: Proposal): Opened {
  const opened = checkProposal(proposal, 'the proposal')
  return { ...opened, proposal: { ...proposal, words: wordsOf(opened) } }
}

function unsigned(edit: Edit, codec: Codec, repository: string): Uint8Array {
  return codec.assemble(named(edit, codec, repository).body, [])
}

/** What is published of the roles that are issued again; and of targets, where it stays under other keys. */
async function filesBefore(standing: Standing, edits: readonly Edit[]): Promise<Files> {
  const files = new Map<RoleName, Uint8Array>()
  const targets = standing.files.get('targets')
  const root = edits.find(({ role }) => role === ROOT)?.body
  const rekeys = root?.type === 'root' && !sameSigners(standing.root, root)
  if (rekeys && targets !== undefined) files.set(TARGETS, targets)
  const others = edits.filter(({ role }) => role !== ROOT && role !== TARGETS)
  return new Map([...files, ...(await publishedFiles(standing, others))])
}

/** What is published of these roles. */
export async function publishedFiles(
  standing: Standing,
  wanted: readonly { readonly role: RoleName }[],
): Promise<Files> {
  const files = new Map<RoleName, Uint8Array>()
  const isDelegated = wanted.some(({ role }) => role !== TARGETS)
  const roles = isDelegated ? await allRoles(standing) : []
  for (const { role } of wanted) {
    const bytes = role === TARGETS ? standing.files.get('targets') : await publishedFile(standing, roles, role)
    if (bytes !== undefined) files.set(role, bytes)
  }
  return files
}

async function publishedFile(standing: Standing, roles: readonly HoldingRole[], role: RoleName): Promise<Uint8Array> {
  const delegator = roles.find(({ file }) => file !== undefined && delegationTo(file, role) !== undefined)?.file
  if (delegator === undefined) throw new Error(`${role} was found below a role that delegates to it`)
  return (await standing.get({ role, delegator })).bytes
}

function sameSigners(a: Root, b: Root): boolean {
  const facts = (root: Root) => {
    const { keys, threshold } = keySetOf(root, TARGETS)
    return [threshold, ...keys.map(({ id }) => id).toSorted()].join()
  }
  return facts(a) === facts(b)
}
