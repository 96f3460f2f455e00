import { planUndelegation } from '../publish/delegating.ts'
import { openDesk } from '../publish/desk.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { parseRepo } from '../registry/reference.ts'
import { defineCommand, flag, one } from './declare.ts'
import { withPending } from './pending.ts'
import { givenDelegation } from './role-names.ts'

export const delegationRemoveCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag'), ROLE: one('the name of the delegated role') },
  options: { 'allow-pending': flag('exit with 0 also where this waits for the signatures of others') },
  examples: ['tagseal delegation remove registry.example.com/team/app releases'],
  notes: 'The tags that only this role signed are not signed any more.',
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const role = givenDelegation(input.one('ROLE'))
    const desk = await openDesk(context, repository)
    let lost: readonly string[] = []
    try {
      const plan = planUndelegation(repository, role, context, (tags) => (lost = tags))
      const { pending } = await publishOrPropose(desk, plan)
      if (pending !== undefined) {
        const answer = { lines: [], document: { repository, removed: null, tags: [] } }
        return withPending(context, input.flag('allow-pending'), [{ repository, pending }], answer)
      }
    } finally {
      desk.close()
    }
    if (lost.length > 0)
      context.terminal.warn(
        `${role} had signed ${lost.length === 1 ? '1 tag' : `${lost.length} tags`}: ${lost.slice(0, 10).join(', ')}`,
      )
    return { lines: [`removed ${role} from ${repository}`], document: { repository, removed: role, tags: lost } }
  },
})
