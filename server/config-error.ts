/** Why the server does not start as it was told to. */
export type ConfigFailures = {
  readonly SETTING_UNKNOWN: { readonly name: string; readonly path: string; readonly meant?: string }
  readonly SETTING_INVALID: { readonly name: string; readonly got: string; readonly wanted: string }
  readonly SETTING_MISSING: { readonly name: string; readonly because: string }
  readonly CONFIG_UNREADABLE: { readonly path: string; readonly why: string }
  readonly OPEN_BEYOND_LOOPBACK: { readonly listen: string }
  readonly PLAIN_HTTP_REFUSED: { readonly listen: string }
  readonly TLS_UNUSABLE: { readonly path: string; readonly why: string }
  readonly LISTEN_FAILED: { readonly listen: string; readonly why: string }
  /** The folder has a database, so online keys, and there is nothing to open them with. */
  readonly KEK_NEEDED: { readonly data: string }
}
export type ConfigCode = keyof ConfigFailures

const SENTENCE: { readonly [C in ConfigCode]: (d: ConfigFailures[C]) => string } = {
  SETTING_UNKNOWN: (d) => `${d.path}: no setting ${d.name}${d.meant === undefined ? '' : `; was ${d.meant} meant?`}`,
  SETTING_INVALID: (d) => `${d.name} is ${JSON.stringify(d.got)} and must be ${d.wanted}`,
  SETTING_MISSING: (d) => `${d.name} is missing, although ${d.because}`,
  CONFIG_UNREADABLE: (d) => `${d.path} cannot be used: ${d.why}`,
  OPEN_BEYOND_LOOPBACK: (d) => `--open would let anybody who reaches ${d.listen} publish; it is for loopback only`,
  PLAIN_HTTP_REFUSED: (d) =>
    `plain http on ${d.listen} would send tokens in the clear; give --tls-cert and --tls-key, or --plain-http where something in front speaks TLS`,
  TLS_UNUSABLE: (d) => `${d.path} cannot be used for TLS: ${d.why}`,
  LISTEN_FAILED: (d) => `cannot listen on ${d.listen}: ${d.why}`,
  KEK_NEEDED: (d) =>
    `${d.data} holds sealed keys and there is no key-encryption key: put back ${d.data}/kek, or give it by --kek-file, the systemd credential tagseal-kek or TAGSEAL_SERVER_KEK`,
}

/** A server that was told something it must not or cannot do. Branch on `code`. */
export class ConfigError<C extends ConfigCode = ConfigCode> extends Error {
  override readonly name = 'ConfigError'
  readonly code: C
  readonly detail: ConfigFailures[C]
  constructor(code: C, detail: ConfigFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }
}
