import type { DelegatedRole } from '../../tuf/index.ts'

/** What a delegated role may sign: patterns of tags, or what tags begin with; of another tool's hash prefixes, those. */
export function pathsOf({ scope }: Pick<DelegatedRole, 'scope'>): readonly string[] {
  switch (scope.kind) {
    case 'paths':
      return scope.paths
    case 'path-prefixes':
      return scope.prefixes
    case 'hash-prefixes':
      return scope.prefixes.map((prefix) => `sha256 ${prefix}...`)
  }
}

/** The same for people. */
export function pathsText(role: Pick<DelegatedRole, 'scope'>): string {
  const paths = pathsOf(role)
  if (paths.includes(EVERYTHING[role.scope.kind])) return 'every tag'
  if (paths.length === 0) return 'no tag'
  return paths.map((path) => (role.scope.kind === 'path-prefixes' ? JSON.stringify(path) : path)).join(' ')
}

const EVERYTHING: Readonly<Record<DelegatedRole['scope']['kind'], string>> = {
  paths: '*',
  'path-prefixes': '',
  'hash-prefixes': 'sha256 ...',
}
