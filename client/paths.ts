import { join } from 'node:path'
import { usage } from './commands/errors.ts'
import type { Environment } from './settings.ts'

/** Where this user's keys, pins, rules and memory are. */
export type Paths = { readonly keys: string; readonly trust: string; readonly policy: string; readonly state: string }

/** Everything below one folder where one is named; else the folders of the XDG base directory specification. Throws USAGE. */
export function pathsFor(home: string | undefined, env: Environment, homeDirectory: string | undefined): Paths {
  if (home !== undefined)
    return {
      keys: join(home, 'keys'),
      trust: join(home, 'trust.json'),
      policy: join(home, 'policy.yaml'),
      state: join(home, 'state'),
    }
  const folder = (variable: string, otherwise: string) => {
    const named = env[variable]
    // The specification has relative paths ignored.
    if (named?.startsWith('/')) return join(named, 'tagseal')
    if (homeDirectory !== undefined) return join(homeDirectory, otherwise, 'tagseal')
    throw usage('this user has no home directory', 'say where keys, pins and state are: --home DIR or TAGSEAL_HOME')
  }
  return {
    keys: join(folder('XDG_DATA_HOME', '.local/share'), 'keys'),
    trust: join(folder('XDG_CONFIG_HOME', '.config'), 'trust.json'),
    policy: join(folder('XDG_CONFIG_HOME', '.config'), 'policy.yaml'),
    state: folder('XDG_STATE_HOME', '.local/state'),
  }
}
