import type { Context } from '../context.ts'
import { authorityOf, roleName, ROOT, SNAPSHOT, TIMESTAMP } from '../../tuf/index.ts'
import type { Authority, Codec, RoleName } from '../../tuf/index.ts'
import { namesIn } from '../ceremony/names.ts'
import type { KeyNames } from '../ceremony/names.ts'
import { allBins, BINS } from '../publish/layout.ts'
import { expiryText, inDays, isExpiring, verbOf } from '../publish/expiry.ts'
import type { Dated } from '../publish/expiry.ts'
import { keystoreIdOf } from '../publish/keyring.ts'
import { lifetimeIn } from '../publish/lifetime.ts'
import { allRoles } from '../publish/standing.ts'
import type { HoldingRole, Standing } from '../publish/standing.ts'
import { proposalsWaiting } from '../proposals/waiting.ts'
import { parseRepo } from '../registry/reference.ts'
import { defineCommand, one } from './declare.ts'
import { shortId } from './key-document.ts'
import { tableOf } from './table-text.ts'

export const statusCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag') },
  options: {},
  examples: ['tagseal status registry.example.com/team/app'],
  notes: 'A warning begins when a fifth of a lifetime is left.',
  async run(context, input) {
    const { name } = parseRepo(input.one('REPO'))
    const standing = await (await context.repository(name)).refreshToPublish(context.signal)
    const api = await context.api(name)
    const { server } = api
    const proposals = await proposalsWaiting(api)
    const now = context.clock()
    const roles = await rolesOf(standing)
    const { codec } = standing
    const names = namesIn(standing.root)
    const here = await keysHere(context, roles)
    for (const role of roles) {
      const file = datedOf(role)
      if (file !== undefined && isExpiring(file, codec, now)) context.terminal.warn(expiryText(file, name, now))
    }
    if (proposals !== undefined && proposals > 0) {
      const wait = proposals === 1 ? '1 proposal waits' : `${proposals} proposals wait`
      context.terminal.note(`${wait} for signatures: tagseal approve ${name} --list`)
    }
    return {
      lines: tableOf(roles.map((role) => lineOf(role, (id) => calledBy(id, names, here), now))),
      document: {
        repository: name,
        server,
        proposals: proposals ?? null,
        names: Object.fromEntries(names),
        here: Object.fromEntries(here),
        roles: roles.map((role) => documentOf(role, codec, now)),
      },
    }
  },
})

type Role = {
  readonly name: RoleName
  readonly authority: Authority
  /** undefined for a delegated role that nobody has published yet. */
  readonly published: { readonly version: number; readonly expires: number; readonly tags?: number } | undefined
}

async function rolesOf(standing: Standing): Promise<readonly Role[]> {
  const { root, timestamp, snapshot } = standing
  const all = await allRoles(standing)
  const bins = new Set(allBins(all.find(({ name }) => name === BINS)?.file))
  const holding = all.filter(({ name }) => !bins.has(name)).map(roleOf)
  return [
    { name: ROOT, authority: authorityOf(root, ROOT), published: root },
    ...holding,
    ...inOne(all.filter(({ name }) => bins.has(name)).map(roleOf)),
    { name: SNAPSHOT, authority: authorityOf(root, SNAPSHOT), published: snapshot },
    { name: TIMESTAMP, authority: authorityOf(root, TIMESTAMP), published: timestamp },
  ]
}

function roleOf({ name, authority, file }: HoldingRole): Role {
  const published = file && { version: file.version, expires: file.expires, tags: file.targets.size }
  return { name, authority, published }
}

/** The hash bins of a large repository as one: the newest version, the first expiry, all tags. */
function inOne(bins: readonly Role[]): readonly Role[] {
  const [first] = bins
  const published = bins.flatMap((bin) => bin.published ?? [])
  if (first === undefined || published.length === 0) return []
  return [
    {
      name: roleName(`${bins.length} bins`),
      authority: first.authority,
      published: {
        version: Math.max(...published.map(({ version }) => version)),
        expires: Math.min(...published.map(({ expires }) => expires)),
        tags: published.reduce((sum, { tags = 0 }) => sum + tags, 0),
      },
    },
  ]
}

function datedOf({ name, authority, published }: Role): Dated | undefined {
  return published && { name, expires: published.expires, lifetime: lifetimeIn(authority) }
}

/** By the id that a role lists, how "key list" calls those that are on this machine: Notary has ids of its own. */
async function keysHere(context: Context, roles: readonly Role[]): Promise<ReadonlyMap<string, string>> {
  const own = new Set((await (await context.keystore()).index()).map(({ id }) => id))
  return new Map(
    roles.flatMap(({ authority: { role, keys } }) =>
      role.keyids.flatMap((id) => {
        const ours = keystoreIdOf(keys.get(id))
        return ours !== undefined && own.has(ours) ? [[id, ours] as const] : []
      }),
    ),
  )
}

function lineOf(role: Role, called: (id: string) => string, now: number): readonly string[] {
  const { keyids, threshold } = role.authority.role
  const keys = `${threshold} of ${keyids.length}: ${keyids.map(called).join(', ')}`
  if (role.published === undefined) return [role.name, 'not published', '', '', keys]
  const { version, expires, tags } = role.published
  const size = tags === undefined ? '' : `${tags} ${tags === 1 ? 'tag' : 'tags'}`
  return [
    role.name,
    `version ${version}`,
    size,
    `${verbOf({ ...role, expires }, now)} ${new Date(expires).toISOString().slice(0, 10)} (${inDays({ ...role, expires }, now)})`,
    keys,
  ]
}

/** What the holders of the root call it, if anything, and "key list" where that has another id for it. */
function calledBy(id: string, names: KeyNames, here: ReadonlyMap<string, string>): string {
  const [name, ours] = [names.get(id), here.get(id)]
  const own = ours === undefined || ours === id ? '' : ` (here ${shortId(ours)})`
  return `${name === undefined ? shortId(id) : `${name} (${shortId(id)})`}${own}`
}

function documentOf(role: Role, codec: Codec, now: number): object {
  const { keyids, threshold } = role.authority.role
  const keys = { threshold, keys: keyids }
  if (role.published === undefined) return { role: role.name, published: false, ...keys }
  const { version, expires, tags } = role.published
  return {
    role: role.name,
    published: true,
    version,
    expires: new Date(expires).toISOString(),
    expiring: isExpiring({ name: role.name, expires, lifetime: lifetimeIn(role.authority) }, codec, now),
    ...(tags === undefined ? {} : { tags }),
    ...keys,
  }
}
