/** The global settings of a run: the command line first, then the environment. */
export type Settings = {
  readonly home: string | undefined
  readonly server: string | undefined
  readonly ca: string | undefined
  readonly tokenFile: string | undefined
  /** Only from the environment, where no file is named: arguments are there for everybody to see. */
  readonly token: string | undefined
  readonly passphraseFile: string | undefined
  readonly registryCa: string | undefined
  /** `true`: to this machine only; a list: to these hosts as well. */
  readonly plainHttp: boolean | readonly string[]
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

export type Environment = Readonly<Record<string, string | undefined>>
