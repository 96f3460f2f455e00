/** The image that this machine found whole in its registry a moment ago: a burst of tags for it looks once. */
import { hash } from '../../keys/digest.ts'
import type { TrustCache } from '../trust/cache.ts'
import { isClientError } from '../trust/errors.ts'
import { isMomentAgo } from '../trust/moment.ts'

export type Checked = { readonly digest: string; readonly length: number }

/** No suffix `.json`: everything with it in the folder is TUF metadata. */
const FILE = 'checked'

type Memory = Pick<TrustCache, 'load' | 'store'>

/** Remembers that this digest, and everything it refers to, was there. `now` in milliseconds. */
export async function rememberChecked(cache: Memory, now: number, { digest, length }: Checked): Promise<void> {
  const text = `${now} ${digest} ${length}`
  try {
    await cache.store(FILE, Buffer.from(`${hash('sha256', Buffer.from(text))} ${text}`))
  } catch (error) {
    if (!isClientError(error)) throw error // the next one looks again, and that is all
  }
}

/** undefined where it was another digest, more than a minute ago, or where nothing undamaged tells. */
export async function checkedNow(cache: Memory, now: number, digest: string): Promise<Checked | undefined> {
  const bytes = await cache.load(FILE)
  const [, sum, text = '', at, found, length] =
    /^([0-9a-f]{64}) ((\d{1,15}) (\S+) (\d{1,15}))$/.exec(Buffer.from(bytes ?? []).toString('latin1')) ?? []
  if (found !== digest || !isMomentAgo(Number(at), now) || sum !== hash('sha256', Buffer.from(text))) return undefined
  return { digest, length: Number(length) }
}
