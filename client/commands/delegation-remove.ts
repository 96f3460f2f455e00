import type { PublicKey, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { planKeyRemoval, planUndelegation } from '../publish/delegating.ts'
import { openDesk } from '../publish/desk.ts'
import { publicKeyOf } from '../publish/found.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { parseRepo } from '../registry/reference.ts'
import { defineCommand, flag, list, one } from './declare.ts'
import type { Answer } from './declare.ts'
import { givenKey } from './given-keys.ts'
import { shortId } from './key-document.ts'
import { sayUnsigned } from './say-unsigned.ts'
import { withPending } from './pending.ts'
import { givenDelegation } from './role-names.ts'

export const delegationRemoveCommand = defineCommand({
  operands: { REPO: one('the image repository, without a tag'), ROLE: one('the name of the delegated role') },
  options: {
    key: list('F', 'take only this key out of the role: its id, or as delegation add takes it; may be repeated'),
    'allow-pending': flag('exit with 0 also where this waits for the signatures of others'),
  },
  examples: [
    'tagseal delegation remove registry.example.com/team/app releases',
    'tagseal delegation remove registry.example.com/team/app releases --key 4f0a9c1e2b3d',
  ],
  notes:
    'The tags that only this role signed are not signed any more. With --key the role stays: what only that key had signed ' +
    'is refused until another key of the role has signed it, which happens here where enough of them are on this machine.',
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const role = givenDelegation(input.one('ROLE'))
    if (input.list('key').length > 0) {
      return await removeKeys(context, repository, role, input.list('key'), input.flag('allow-pending'))
    }
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

async function removeKeys(
  context: Context,
  repository: string,
  role: RoleName,
  given: readonly string[],
  allowPending: boolean,
): Promise<Answer> {
  const desk = await openDesk(context, repository)
  let removed: readonly string[] = []
  try {
    const { codec, suite } = await desk.look()
    const ids = given.filter((each) => KEY_ID.test(each))
    const others = await Promise.all(given.filter((each) => !KEY_ID.test(each)).map((each) => givenKey(context, each)))
    const identities = new Set(others.map((key) => suite.open(publicKeyOf(key, codec, suite))?.identity))
    const isMeant = (key: PublicKey) =>
      ids.some((id) => key.id.startsWith(id)) || identities.has(suite.open(key)?.identity)
    const found = (keys: readonly PublicKey[]) => (removed = keys.map(({ id }) => id))
    const plan = planKeyRemoval({ repository, role, isMeant, canSign: desk.keyring.canSign, found }, context)
    const { unsigned, pending } = await publishOrPropose(desk, plan)
    const document = { repository, role, removedKeys: removed }
    if (pending !== undefined) {
      return withPending(context, allowPending, [{ repository, pending }], { lines: [], document })
    }
    sayUnsigned(context.terminal, repository, unsigned)
    return { lines: removed.map((id) => `${role} of ${repository} has no longer the key ${shortId(id)}`), document }
  } finally {
    desk.close()
  }
}

/** Of a key of the role, which need not be on this machine; enough characters that they name one. */
const KEY_ID = /^[0-9a-f]{12,64}$/
