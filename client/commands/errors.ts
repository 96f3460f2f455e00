/** What keeps a command from its work, beside what the layers below it refuse. */
export type CommandFailures = {
  /** The command line itself is wrong; `why` is a sentence for whoever typed it. */
  readonly USAGE: { readonly why: string; readonly next?: string }
  /** `rule`: where the rule of a policy stands that decides. */
  readonly NO_SERVER: { readonly repository: string; readonly rule?: string }
  readonly FILE_UNREADABLE: { readonly path: string; readonly why: string }
  /** Something is there that would be overwritten. */
  readonly FILE_EXISTS: { readonly path: string }
  readonly FILE_MALFORMED: { readonly path: string; readonly why: string; readonly next?: string }
  /** `isPinned`: on this machine. `server`: what is typed behind `--server`. */
  readonly REPOSITORY_EXISTS: {
    readonly repository: string
    readonly version: number
    readonly isPinned: boolean
    readonly server: string
  }
  /** `expected` is what the caller named, `signed` what the signatures say. */
  readonly DIGEST_DIFFERS: { readonly image: string; readonly expected: string; readonly signed: string }
  /** Roles whose keys are not here go on signing a tag that should be revoked. */
  readonly STILL_SIGNED: { readonly image: string; readonly roles: readonly string[] }
  /** So many root keys are in other hands that these can speak for the repository as well as its owner. */
  readonly ROOT_LOST: { readonly repository: string; readonly stolen: number; readonly threshold: number }
  /**
   * A key that was to leave many repositories is still in some. `passes`: nothing but time stands in the way. `next`: the
   * hint that is the same for all of them.
   */
  readonly LEFT_UNDONE: {
    readonly key: string
    readonly undone: number
    readonly repositories: number
    readonly passes: boolean
    readonly next?: string
  }
  /** A key left every repository that is known, and servers may have others. */
  readonly NOT_LISTED: { readonly key: string; readonly servers: readonly string[] }
  /** A play came out otherwise than it may: either the drill or what it drills is broken. */
  readonly DRILL_FAILED: { readonly what: string }
  readonly ENGINE_MISSING: { readonly tried: string }
  readonly ENGINE_FAILED: { readonly engine: string; readonly why: string }
  /** From this home: `what` is a repository, or a key that leaves many; `holder` a process. */
  readonly ROTATION_RUNNING: { readonly what: string; readonly holder: string }
  /** Of the server and of this machine, as dates; `since`: what was meant, by the one that is behind. */
  readonly CLOCKS_DIFFER: {
    readonly server: string
    readonly theirs: string
    readonly ours: string
    readonly since: string
  }
  readonly INTERRUPTED: Record<string, never>
  readonly INTERNAL: { readonly why: string }
  readonly IO: { readonly what: string; readonly why: string; readonly next?: string }
}
export type CommandCode = keyof CommandFailures

const SENTENCE: { readonly [C in CommandCode]: (d: CommandFailures[C]) => string } = {
  USAGE: (d) => d.why,
  NO_SERVER: (d) => `no trust server is named for ${d.repository}`,
  FILE_UNREADABLE: (d) => `${d.path} cannot be read: ${d.why}`,
  FILE_EXISTS: (d) => `${d.path} is there already, and is not overwritten`,
  FILE_MALFORMED: (d) => `${d.path} cannot be used: ${d.why}`,
  REPOSITORY_EXISTS: (d) => `${d.repository} already has trust data (root version ${d.version})`,
  DIGEST_DIFFERS: (d) => `${d.image} is signed as ${d.signed}, not as ${d.expected}`,
  STILL_SIGNED: (d) => `${d.image} is still signed by ${d.roles.join(', ')}, whose keys are not here`,
  ROOT_LOST: (d) =>
    `whoever has ${d.stolen} of the root keys of ${d.repository}, of which ${d.threshold} suffice, can replace every other key; no signature brings back clients that believe them`,
  LEFT_UNDONE: (d) => `${d.undone} of ${d.repositories} repositories may still list ${d.key}`,
  NOT_LISTED: (d) => `other repositories may list ${d.key}: there is no list of those on ${d.servers.join(', ')}`,
  DRILL_FAILED: (d) => `the drill failed: ${d.what}`,
  ENGINE_MISSING: (d) => `none of ${d.tried} is installed`,
  ENGINE_FAILED: (d) => `${d.engine} failed: ${d.why}`,
  ROTATION_RUNNING: (d) => `${d.what} is being rotated from this home already, by ${d.holder}`,
  CLOCKS_DIFFER: (d) => `it is ${d.ours} here, and ${d.theirs} at ${d.server}, which dated what was changed`,
  INTERRUPTED: () => 'interrupted',
  INTERNAL: (d) => `internal error: ${d.why}`,
  IO: (d) => `${d.what}: ${d.why}`,
}

const HINT: { readonly [C in CommandCode]: (d: CommandFailures[C]) => string } = {
  USAGE: (d) => d.next ?? '',
  FILE_UNREADABLE: (d) => `check the name and the permissions of ${d.path}`,
  FILE_EXISTS: () => 'name another file or folder, or move that one away',
  NO_SERVER: ({ rule }) =>
    rule !== undefined
      ? `write "server: https://trust.example.com" into the rule at ${rule}`
      : 'give --server URL or TAGSEAL_SERVER, or keep it with the pin: tagseal trust add PATTERN --server URL',
  REPOSITORY_EXISTS: (d) =>
    d.isPinned
      ? `this machine pins it already: tagseal status ${d.repository} shows how it stands, tagseal sign ${d.repository}:TAG signs`
      : `to use it from here: tagseal trust add ${d.repository} --key ID --server ${d.server}, with the root key id its owner printed`,
  DIGEST_DIFFERS: () => 'do not use the digest that was given, unless you know why it differs',
  STILL_SIGNED: (d) => `have whoever holds those keys run: tagseal revoke ${d.image}`,
  ROOT_LOST: () => 'run the commands above in their order; what every pin names decides from then on',
  LEFT_UNDONE: (d) => `${firstStep(d)}run the same command again: it goes on where it ended, with the same new key`,
  NOT_LISTED: () =>
    'run the same command again with a token that allows admin, or with --repositories FILE that names all of them',
  DRILL_FAILED: () => 'run it again with --verbose; --server-program FILE names another tagseal-server',
  ENGINE_MISSING: () => 'install one, or have skopeo write a folder: --engine skopeo --output DIR',
  ENGINE_FAILED: () => 'the image passed; see that the engine works by itself, or name another with --engine',
  INTERNAL: () => 'this is a bug in tagseal; run it again with --verbose and report what it prints',
  FILE_MALFORMED: (d) => d.next ?? `mend ${d.path}, or name another file`,
  ROTATION_RUNNING: () => 'wait until that run has ended, and see what it did before you run it again',
  CLOCKS_DIFFER: (d) => `set the clock that is wrong, or name the moment itself: --since ${d.since}`,
  INTERRUPTED: () => 'run it again: nothing is half done',
  IO: (d) => d.next ?? `check ${d.what}, and who may use it`,
}

/** What is refused is refused again, until somebody does something about it. */
function firstStep({ passes, next }: CommandFailures['LEFT_UNDONE']): string {
  if (passes) return ''
  if (next !== undefined) return `${next}; then `
  return 'mend what is said of each (--json has a hint for every one); then '
}

/** A command that could not be carried out. Branch on `code`. */
export class CommandError<C extends CommandCode = CommandCode> extends Error {
  override readonly name = 'CommandError'
  readonly code: C
  readonly detail: CommandFailures[C]
  constructor(code: C, detail: CommandFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  get hint(): string | undefined {
    return HINT[this.code](this.detail) || undefined
  }
}

export function usage(why: string, next?: string): CommandError<'USAGE'> {
  return new CommandError('USAGE', { why, ...(next === undefined ? {} : { next }) })
}
