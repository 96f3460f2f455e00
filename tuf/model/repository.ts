import { TrustError } from '../errors.ts'
import type { Root } from './metadata.ts'

/**
 * The member of a root that names the repository it was made for. TUF has no such member and its clients keep it as an
 * unknown one. Without it, metadata of one repository could be served for another that the same keys sign (ADR 0009).
 */
export const REPOSITORY_FIELD = 'x-tagseal-repository'

/** The repository a root says it belongs to. Only believe it of a verified root; another type than text is MALFORMED. */
export function repositoryOf(root: Root): string | undefined {
  const named = root.unknown.get(REPOSITORY_FIELD)
  if (named === undefined || typeof named === 'string') return named
  throw new TrustError('MALFORMED', { what: `root: ${REPOSITORY_FIELD}`, got: typeof named })
}
