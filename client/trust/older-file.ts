/** Versions of a role's file that no snapshot lists any more: each is still there under its number. */
import { isTrustError, repositoryOf, verifyThreshold } from '../../tuf/index.ts'
import type { Authority, RoleName, Targets } from '../../tuf/index.ts'
import { isClientError } from './errors.ts'
import type { View } from './repository.ts'

/** Bytes of one version of a role's file, from whoever has them; undefined where nobody does. */
export type FetchVersion = (role: RoleName, version: number) => Promise<Uint8Array | undefined>

/** Signed by the keys of today, so that what a key signed which has left since counts no more; undefined where it is not. */
export async function openOlder(
  view: View,
  authority: Authority,
  version: number,
  fetch: FetchVersion,
): Promise<Targets | undefined> {
  try {
    const bytes = await fetch(authority.name, version)
    if (bytes === undefined) return undefined
    const file = verifyThreshold(authority, view.codec.decode('targets', bytes, view), view.suite)
    return file.version === version && isOf(view, file) ? file : undefined
  } catch (error) {
    if (isTrustError(error) || isClientError(error)) return undefined
    throw error
  }
}

/** What names no repository is as much of ours as the keys are apart that signed it. */
function isOf(view: View, file: Targets): boolean {
  const [repository, named] = [repositoryOf(view.root), repositoryOf(file)]
  return repository === undefined || named === undefined || named === repository
}
