import type { DelegatedRole } from '../../tuf/index.ts'

/** What a delegated role may sign, as patterns of tags; a scope that another tool wrote as hash prefixes, as those. */
export function pathsOf({ scope }: Pick<DelegatedRole, 'scope'>): readonly string[] {
  return scope.kind === 'paths' ? scope.paths : scope.prefixes.map((prefix) => `sha256 ${prefix}...`)
}
