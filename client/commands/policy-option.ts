import { text } from './declare.ts'

/** The same for every command that admits images. */
export const POLICY_OPTION = text('FILE', 'the policy (TAGSEAL_POLICY; policy.yaml beside the pins, where it is there)')
