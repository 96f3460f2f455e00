import type { Dialect } from '../storage/store.ts'
import { notaryRules } from './notary-rules.ts'
import { tufRules } from './rules.ts'
import type { Rules } from './rules.ts'

export const RULES: Readonly<Record<Dialect, Rules>> = { 'tuf-1.0': tufRules, 'notary-v1': notaryRules }
