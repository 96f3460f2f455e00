import type { Terminal } from '../terminal.ts'

/** Roles that were left behind: their new keys have signed nothing yet. */
export function sayUnsigned(terminal: Terminal, repository: string, roles: readonly string[]): void {
  for (const role of roles)
    terminal.warn(
      `clients refuse the tags of ${role} until its new keys sign: tagseal sign ${repository}:TAG --role ${role}`,
    )
}
