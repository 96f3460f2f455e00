import { join } from 'node:path'
import type { Environment } from './settings.ts'

/** Where this user's keys, pins and memory are. */
export type Paths = { readonly keys: string; readonly trust: string; readonly state: string }

/** Everything below one folder where one is named; else the folders of the XDG base directory specification. */
export function pathsFor(home: string | undefined, env: Environment, homeDirectory: string): Paths {
  if (home !== undefined)
    return { keys: join(home, 'keys'), trust: join(home, 'trust.json'), state: join(home, 'state') }
  const folder = (variable: string, otherwise: string) => {
    const named = env[variable]
    // The specification has relative paths ignored.
    return join(named?.startsWith('/') ? named : join(homeDirectory, otherwise), 'tagseal')
  }
  return {
    keys: join(folder('XDG_DATA_HOME', '.local/share'), 'keys'),
    trust: join(folder('XDG_CONFIG_HOME', '.config'), 'trust.json'),
    state: folder('XDG_STATE_HOME', '.local/state'),
  }
}
