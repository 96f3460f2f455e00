import type { DelegatedRole } from '../../tuf/index.ts'
import { warnOfExpiry } from '../publish/expiry.ts'
import { lifetimeIn, lifetimeText } from '../publish/lifetime.ts'
import { allRoles } from '../publish/standing.ts'
import type { HoldingRole } from '../publish/standing.ts'
import { parseRepo } from '../registry/reference.ts'
import { defineCommand, one } from './declare.ts'
import { pathsOf, pathsText } from './delegation-paths.ts'
import { shortId } from './key-document.ts'
import { tableOf } from './table-text.ts'

export const delegationListCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag') },
  options: {},
  examples: ['tagseal delegation list registry.example.com/team/app'],
  async run(context, input) {
    const { name } = parseRepo(input.one('REPO'))
    const standing = await (await context.repository(name)).refresh(context.signal)
    const delegations = delegationsIn(await allRoles(standing))
    warnOfExpiry(context, name, standing)
    if (delegations.length === 0) context.terminal.note(`${name} delegates to nobody: targets signs every tag`)
    return {
      lines: tableOf(delegations.map(lineOf)),
      document: { repository: name, delegations: delegations.map(documentOf) },
    }
  },
})

type Delegation = { readonly by: string; readonly entry: DelegatedRole; readonly version: number | undefined }

/** In the order of the search. */
function delegationsIn(roles: readonly HoldingRole[]): readonly Delegation[] {
  return roles.flatMap(({ name: by, file }) =>
    (file?.delegations?.roles ?? []).map((entry) => {
      return { by, entry, version: roles.find(({ name }) => name === entry.name)?.file?.version }
    }),
  )
}

function lineOf({ by, entry, version }: Delegation): readonly string[] {
  const published = version === undefined ? 'not published' : `version ${version}`
  const keys = `${entry.threshold} of ${entry.keyids.length}: ${entry.keyids.map(shortId).join(', ')}`
  const lifetime = lifetimeIn({ role: entry })
  const notes = [
    ...(entry.terminating ? ['terminating'] : []),
    ...(lifetime === undefined ? [] : [`for ${lifetimeText(lifetime)}`]),
  ]
  const paths = `${pathsText(entry)}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`
  return [entry.name, `by ${by}`, published, keys, paths]
}

function documentOf({ by, entry, version }: Delegation): object {
  const { name: role, threshold, keyids: keys, terminating } = entry
  const lifetime = lifetimeIn({ role: entry })
  return {
    role,
    by,
    threshold,
    keys,
    paths: pathsOf(entry),
    terminating,
    ...(lifetime === undefined ? {} : { lifetime: lifetime / 1000 }),
    version: version ?? null,
  }
}
