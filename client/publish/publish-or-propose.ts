import type { Outcome } from '../proposals/propose.ts'
import type { Plan } from './edit.ts'
import { isPublishError } from './errors.ts'
import { publish } from './publish.ts'
import type { Desk } from './publish.ts'

/**
 * Publishes where the keys that are needed are here; where only some of them are, leaves it on the server for others to
 * sign. Whoever calls it tells the one from the other by `pending`: what pends is not published.
 */
export async function publishOrPropose(desk: Desk, plan: Plan): Promise<Outcome> {
  try {
    return await publish(desk, plan)
  } catch (error) {
    if (!isPublishError(error) || error.code !== 'NO_SIGNING_KEY') throw error
    const { propose } = await import('../proposals/propose.ts')
    return await propose(desk, plan)
  }
}
