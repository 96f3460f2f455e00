/**
 * A passphrase in memory. `typed` by a person, or made by a `machine` and read from a file, which is then
 * too random to be guessed and needs less stretching.
 */
export type Passphrase = { readonly bytes: Uint8Array; readonly origin: 'typed' | 'machine' }

/** Where passphrases come from. Never from an argument: other users see the process list. */
export type PassphraseSource = {
  /**
   * One that may open `key`, for people to read, and is not among `tried`; undefined when there is none left.
   * What was given for one key is offered for the next before anybody is asked again.
   */
  readonly unlock: (key: string, tried: ReadonlySet<Passphrase>) => Promise<Passphrase | undefined>
  /**
   * The passphrase for a new key; asked twice where a person types it. `before` is what the key was under elsewhere,
   * and stays so where nobody names another.
   */
  readonly choose: (key: string, before?: Passphrase) => Promise<Passphrase>
  /** Wipes what it read, and gives back a terminal on which somebody is still being asked. */
  readonly close: () => void
}
