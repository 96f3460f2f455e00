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
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

/** Of our own variables, one is a secret, and none is another program's to read. */
export function withoutOurs(env: Environment): Record<string, string> {
  const theirs = Object.entries(env).filter(([name]) => !name.startsWith('TAGSEAL_'))
  return Object.fromEntries(theirs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

export type Environment = Readonly<Record<string, string | undefined>>
