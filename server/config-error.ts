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
  /** The kernel takes no longer ones; see `readers/socket.ts`. */
  readonly SOCKET_PATH_TOO_LONG: { readonly path: string }
  /** The folder has a database, so online keys, and there is nothing to open them with. */
  readonly KEK_NEEDED: { readonly data: string }
  /** A folder that was named for a server's, and is none. */
  readonly NO_DATABASE: { readonly data: string }
  readonly BACKUP_EXISTS: { readonly path: string }
  readonly BACKUP_UNUSABLE: { readonly path: string; readonly why: string }
  readonly NOT_RESTORED: { readonly data: string }
  /** Nothing tells what was published since the backup. */
  readonly LOSS_UNKNOWN: { readonly data: string }
}
export type ConfigCode = keyof ConfigFailures

const SENTENCE: { readonly [C in ConfigCode]: (d: ConfigFailures[C]) => string } = {
  SETTING_UNKNOWN: (d) => `${d.path}: no setting ${d.name}${d.meant === undefined ? '' : `; was ${d.meant} meant?`}`,
  SETTING_INVALID: (d) => `${d.name} is ${JSON.stringify(d.got)} and must be ${d.wanted}`,
  SETTING_MISSING: (d) => `${d.name} is missing, although ${d.because}`,
  CONFIG_UNREADABLE: (d) => `${d.path} cannot be used: ${d.why}`,
  OPEN_BEYOND_LOOPBACK: (d) => `--open would let anybody who reaches ${d.listen} publish; it is for loopback only`,
  PLAIN_HTTP_REFUSED: (d) => `plain http on ${d.listen} would send tokens in the clear`,
  TLS_UNUSABLE: (d) => `${d.path} cannot be used for TLS: ${d.why}`,
  LISTEN_FAILED: (d) => `cannot listen on ${d.listen}: ${d.why}`,
  SOCKET_PATH_TOO_LONG: (d) => `${d.path} is too long for a socket`,
  KEK_NEEDED: (d) => `${d.data} holds sealed keys and there is no key-encryption key`,
  NO_DATABASE: (d) => `${d.data} has no database of tagseal-server`,
  BACKUP_EXISTS: (d) => `${d.path} is there already, and is not overwritten`,
  BACKUP_UNUSABLE: (d) => `${d.path} cannot be used as a backup: ${d.why}`,
  NOT_RESTORED: (d) => `${d.data} was not restored, and nothing is awaited in it`,
  LOSS_UNKNOWN: (d) => `nothing in ${d.data} tells what was published since the backup`,
}

/** What to do next. */
const HINT: { readonly [C in ConfigCode]: (d: ConfigFailures[C]) => string } = {
  SETTING_UNKNOWN: (d) =>
    d.meant === undefined
      ? 'take it out; tagseal-server --help names the first ones'
      : `write ${d.meant}, or take it out`,
  SETTING_INVALID: () => 'options win over TAGSEAL_SERVER_... in the environment, and those over the file of --config',
  SETTING_MISSING: (d) => `give ${d.name} as well, or neither of them`,
  CONFIG_UNREADABLE: (d) => `check the name, the permissions and the contents of ${d.path}`,
  OPEN_BEYOND_LOOPBACK: () =>
    'leave --open out and make tokens: tagseal-server token create; or --listen 127.0.0.1:4480',
  PLAIN_HTTP_REFUSED: () => 'give --tls-cert and --tls-key, or --plain-http where something in front speaks TLS',
  TLS_UNUSABLE: () => 'give PEM files that this user can read: the chain as --tls-cert, its private key as --tls-key',
  LISTEN_FAILED: (d) => LISTEN_HINT.get(d.why) ?? 'end what is there, or name another place with --listen',
  SOCKET_PATH_TOO_LONG: () => 'name a shorter folder with --data DIR, or do without readers: --readers 0',
  KEK_NEEDED: (d) =>
    `put back ${d.data}/kek, or give it by --kek-file, the systemd credential tagseal-kek or TAGSEAL_SERVER_KEK`,
  NO_DATABASE: () => 'name the folder of the server with --data DIR',
  BACKUP_EXISTS: () => 'name another file with --out, or move that one away',
  BACKUP_UNUSABLE: () => 'check the disk and the permissions; a backup is what "tagseal-server backup" wrote, whole',
  NOT_RESTORED: () =>
    'start the server; where its folder was put back by other means, say so first: tagseal-server restore --declare',
  LOSS_UNKNOWN: () =>
    'put back the marks (marks.db) if they are anywhere, or say --accept-loss: clients that saw more refuse until its ' +
    'owner publishes it again, and others cannot tell',
}

/** By what the system says. */
const LISTEN_HINT: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'another process listens there: end it, or name another port with --listen HOST:PORT'],
  ['EACCES', 'this user may not: name a port above 1023 with --listen HOST:PORT'],
  ['EADDRNOTAVAIL', 'this machine has no such address: name one that it has with --listen HOST:PORT'],
  ['ENOTFOUND', 'nobody knows that host: name an address of this machine with --listen HOST:PORT'],
])

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

  get hint(): string {
    return HINT[this.code](this.detail)
  }
}
