import type { Context } from '../context.ts'
import { warnOfExpiry } from '../publish/expiry.ts'
import { holderOf } from '../publish/place.ts'
import { allRoles, counts, rolesFor } from '../publish/standing.ts'
import type { Standing } from '../publish/standing.ts'
import { parseRepo } from '../registry/reference.ts'
import { digestOf } from '../trust/repository.ts'
import { defineCommand, one } from './declare.ts'
import { tableOf } from './table-text.ts'

export const listCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag') },
  options: {},
  examples: ['tagseal list registry.example.com/team/app'],
  async run(context, input) {
    const { name } = parseRepo(input.one('REPO'))
    const tags = await signedTags(context, name)
    if (tags.length === 0) context.terminal.note(`${name} has no signed tags yet`)
    return {
      lines: tableOf(tags.map(({ tag, digest, role }) => [tag, digest, role])),
      document: { repository: name, tags },
    }
  },
})

type SignedTag = { readonly tag: string; readonly digest: string; readonly length: number; readonly role: string }

async function signedTags(context: Context, repository: string): Promise<readonly SignedTag[]> {
  const standing = await (await context.repository(repository)).refresh(context.signal)
  const roles = await allRoles(standing)
  warnOfExpiry(context, repository, standing)
  const tags = new Set(roles.flatMap(({ file }) => [...(file?.targets.keys() ?? [])]))
  const signed = await Promise.all([...tags].map((tag) => effective(standing, tag)))
  return signed.filter((tag) => tag !== undefined).toSorted((a, b) => byName(a.tag, b.tag))
}

/** As clients find it: a tag that its role may not speak for, or that another role says first, is not that one. */
async function effective(standing: Standing, tag: string): Promise<SignedTag | undefined> {
  const holder = holderOf(await rolesFor(standing, tag), tag)
  const target = holder?.file?.targets.get(tag)
  if (holder === undefined || target === undefined || !counts(standing, holder)) return undefined
  return { tag, digest: digestOf({ path: tag, target }), length: target.length, role: holder.name }
}

/** 1.9 before 1.10. */
function byName(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
