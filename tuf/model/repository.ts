import { TrustError } from '../errors.ts'
import type { Root, Targets } from './metadata.ts'

/**
 * The member of a root, and of targets files, that names the repository it was made for. TUF has no such member and its clients keep it as an
 * unknown one. Without it, metadata of one repository could be served for another that the same keys sign (ADR 0009).
 */
export const REPOSITORY_FIELD = 'x-tagseal-repository'

/** The repository a file says it belongs to. Only believe it of a verified one; another type than text is MALFORMED. */
export function repositoryOf({ type, unknown }: Root | Targets): string | undefined {
  const named = unknown.get(REPOSITORY_FIELD)
  if (named === undefined || typeof named === 'string') return named
  throw new TrustError('MALFORMED', { what: `${type}: ${REPOSITORY_FIELD}`, got: typeof named })
}
