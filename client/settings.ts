import { distance } from './nearest.ts'

/** The global settings of a run: the command line first, then the environment. */
export type Settings = {
  readonly home: string | undefined
  readonly server: string | undefined
  readonly ca: string | undefined
  readonly tokenFile: string | undefined
  /** Only from the environment, where no file is named: arguments are there for everybody to see. */
  readonly token: string | undefined
  readonly passphraseFile: string | undefined
  /** Holds the PIN of tokens; never a passphrase, and never the other way round. */
  readonly pinFile: string | undefined
  readonly pkcs11Module: string | undefined
  readonly registryCa: string | undefined
  /** `true`: to this machine only; a list: to these hosts as well. */
  readonly plainHttp: boolean | readonly string[]
  /** What the command line alone says: what the environment says is about this machine, and no other one. */
  readonly given: { readonly home: string | undefined; readonly ca: string | undefined }
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

const PREFIX = 'TAGSEAL_'

/** Of our own variables, one is a secret, and none is another program's to read. */
export function withoutOurs(env: Environment): Record<string, string> {
  const theirs = Object.entries(env).filter(([name]) => !name.startsWith(PREFIX))
  return Object.fromEntries(theirs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

const OURS = [
  'HOME',
  'SERVER',
  'CA',
  'TOKEN',
  'TOKEN_FILE',
  'PASSPHRASE_FILE',
  'PIN_FILE',
  'PKCS11_MODULE',
  'POLICY',
  'AGENT',
]

/**
 * Variables that are close to one of ours and mean nothing, each in a sentence. Those of the server, of signers, and of
 * services of Kubernetes that are called as we are begin alike: what is not close to one of ours is somebody else's.
 */
export function misspelt(env: Environment): readonly string[] {
  // Each value of the real environment that is looked at is a call out of the engine, at every start.
  const alike = Object.keys(env).filter((name) => name.startsWith(PREFIX) && (env[name] ?? '') !== '')
  return alike.flatMap((name) => {
    const rest = name.slice(PREFIX.length)
    if (OURS.includes(rest)) return []
    const most = rest.length < 8 ? 1 : 2
    const meant = OURS.find((each) => distance(rest, each) <= most)
    return meant === undefined ? [] : [`${name} in the environment means nothing; was TAGSEAL_${meant} meant?`]
  })
}

export type Environment = Readonly<Record<string, string | undefined>>
