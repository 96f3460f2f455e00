import type { Context } from '../context.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { text } from './declare.ts'
import { usage } from './errors.ts'

/** The same for every command that admits images. */
export const POLICY_OPTION = text('FILE', 'the policy (TAGSEAL_POLICY; policy.yaml beside the pins, where it is there)')

/** For commands that pins alone are not enough for. Throws USAGE where there is no policy. */
export async function demandPolicy(context: Context, file: string | undefined): Promise<FilePolicy> {
  const policy = await context.policy(file)
  if (policy !== undefined) return policy
  throw usage(`there is no policy in ${context.paths.policy}`, 'name one: --policy FILE')
}
