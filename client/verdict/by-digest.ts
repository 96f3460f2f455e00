/** Images that are asked for by digest: what counts is whether a signed tag means it. */
import { failureOf } from '../exit.ts'
import type { Verdicts } from './engine.ts'
import type { Tagged } from './judge.ts'

/** Whether a tag would be admitted now as this digest. Throws where that cannot be found out. */
export async function tagMeans(verdicts: Verdicts, tagged: Tagged, digest: string): Promise<boolean> {
  try {
    const verdict = await verdicts.judge(tagged)
    return verdict.kind === 'signed' && verdict.digest === digest
  } catch (error) {
    if (failureOf(error).exit !== 1) throw error
    return false
  }
}
