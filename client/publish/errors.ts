import { tokenHint } from '../http-errors.ts'

/** What keeps a change from being published, beside metadata that must not be trusted. */
export type PublishFailures = {
  /**
   * `keys` are the ids that would count, `have` how many of them are here. `repository` where other roles might have
   * signed in place of this one, had their keys been here.
   */
  readonly NO_SIGNING_KEY: {
    readonly role: string
    readonly need: number
    readonly have: number
    readonly keys: readonly string[]
    readonly repository?: string
    /** The tag that nobody here may sign, where roles beside `role` might: `others`, and `keys` are those of all of them. */
    readonly tag?: string
    readonly others?: readonly string[]
    /** What the keys here may sign in place of `tag`. */
    readonly allowed?: readonly Allowed[]
    /** The delegated role that was to get other keys. */
    readonly replacing?: string
    /** The command that asks the holders of the other root keys. */
    readonly proposing?: string
  }
  /** The key that was named signs nothing here. */
  readonly KEY_NOT_IN_ROLE: { readonly role: string; readonly key: string; readonly repository?: string }
  /** Left on the server until others have signed it too; nothing is published. */
  readonly APPROVAL_PENDING: {
    readonly repository: string
    readonly proposal: string
    readonly roles: readonly Waiting[]
  }
  /** What pends under that name changes something that approving does not show, or what nobody may. */
  readonly PROPOSAL_UNFIT: { readonly proposal: string; readonly why: string }
  /** The server gave other bytes than those that the name stands for. */
  readonly PROPOSAL_ALTERED: { readonly proposal: string; readonly got: string }
  /** Only whoever began it takes it back, and an administrator. */
  readonly PROPOSAL_OF_OTHERS: { readonly proposal: string; readonly by: string | undefined }
  /** Others published in its place. */
  readonly PROPOSAL_STALE: { readonly repository: string; readonly proposal: string; readonly role: string }
  /** The keys that would be left could never meet the threshold. */
  readonly TOO_FEW_KEYS: {
    readonly repository: string
    readonly role: string
    readonly threshold: number
    readonly left: number
  }
  readonly UNKNOWN_ROLE: { readonly repository: string; readonly role: string }
  /** No role whose keys are here may sign this tag. */
  readonly TAG_OUT_OF_SCOPE: { readonly repository: string; readonly tag: string; readonly role: string }
  /** Another role is asked first; `same` where it says of the tag what was to be said. */
  readonly TAG_SHADOWED: {
    readonly repository: string
    readonly tag: string
    readonly role: string
    readonly by: string
    readonly same: boolean
  }
  /** The registry's tag no longer means the digest that was about to be signed. */
  readonly TAG_MOVED: { readonly image: string; readonly digest: string; readonly now: string }
  /** Somebody else signed the same tag, for another digest, while this ran. */
  readonly TAG_CHANGED: { readonly image: string; readonly wanted: string; readonly signed: string }
  readonly CONFLICT: { readonly repository: string; readonly attempts: number; readonly milliseconds: number }
  /** The server will not take it. `reason` is its own code, `why` its own words. */
  readonly UPDATE_REFUSED: { readonly repository: string; readonly reason: string; readonly why: string }
  /**
   * `why`: in the server's words, which tell a token that has ended from one that it never knew. `sent`: where the token
   * came from that it was given.
   */
  readonly UNAUTHORIZED: { readonly server: string; readonly why: string; readonly sent?: string }
  readonly DENIED: { readonly server: string; readonly repository: string }
  /** `reason` is its own code, `why` its own words. */
  readonly SERVER_FAILED: {
    readonly server: string
    readonly repository: string
    readonly status: number
    readonly reason: string
    readonly why: string
  }
  readonly NOT_THERE: { readonly server: string; readonly why: string }
  readonly BAD_ANSWER: { readonly server: string; readonly why: string }
}
/** How far a file is from being published; `missing` are ids of keys that could sign it next. */
export type Waiting = {
  readonly role: string
  readonly need: number
  readonly have: number
  readonly missing: readonly string[]
}
/** A delegated role, and the patterns of its tags. */
export type Allowed = { readonly role: string; readonly patterns: readonly string[] }
export type PublishCode = keyof PublishFailures

const SENTENCE: { readonly [C in PublishCode]: (d: PublishFailures[C]) => string } = {
  NO_SIGNING_KEY: (d) =>
    d.allowed !== undefined
      ? `the keys here may sign ${d.allowed.map(allowedText).join(', ')}, not ${d.tag}`
      : d.others === undefined
        ? `${d.role} needs ${d.need} of its keys to sign, and ${hereText(d.have)}`
        : `no key here counts for a role that may sign ${d.tag}: ${[d.role, ...d.others].join(', ')}`,
  KEY_NOT_IN_ROLE: (d) => `key ${d.key} is none of the keys of ${d.role}`,
  APPROVAL_PENDING: (d) =>
    `proposal ${d.proposal} of ${d.repository} waits for others: ${d.roles.map(waitingText).join('; ')}`,
  PROPOSAL_UNFIT: (d) => `proposal ${d.proposal} is not to be signed: ${d.why}`,
  PROPOSAL_ALTERED: (d) => `what the server gives as proposal ${d.proposal} is ${d.got}`,
  PROPOSAL_OF_OTHERS: (d) =>
    `proposal ${d.proposal} was begun with ${d.by === undefined ? 'another token' : `the token ${d.by}`}, and is not ours to take back`,
  PROPOSAL_STALE: (d) =>
    `proposal ${d.proposal} comes too late: another version of ${d.role} was published in its place`,
  TOO_FEW_KEYS: (d) => `${d.role} needs ${d.threshold} of its keys to sign, and ${d.left} would be left`,
  UNKNOWN_ROLE: (d) => `${d.repository} has no role ${d.role}`,
  TAG_OUT_OF_SCOPE: (d) => `${d.role} may not sign the tag ${d.tag} of ${d.repository}`,
  TAG_SHADOWED: (d) =>
    `${d.by} is asked for ${d.tag} before ${d.role} is, and ${d.same ? 'signs the same digest' : 'says something else'}`,
  TAG_MOVED: (d) => `${d.image} was ${d.digest} and is ${d.now} now`,
  TAG_CHANGED: (d) => `somebody else signed ${d.image} as ${d.signed} while this ran, and not as ${d.wanted}`,
  CONFLICT: (d) =>
    `others kept publishing to ${d.repository}: given up after ${d.attempts} attempts in ${Math.round(d.milliseconds / 1000)} s`,
  UPDATE_REFUSED: (d) => `the server refused the update of ${d.repository}: ${d.why} (${d.reason})`,
  UNAUTHORIZED: (d) =>
    d.sent === undefined
      ? `${d.server} asks for a token: ${d.why}`
      : `${d.server} does not take the token in ${d.sent}: ${d.why}`,
  DENIED: (d) => `the token may not publish to ${d.repository} on ${d.server}`,
  SERVER_FAILED: (d) => `${d.server} answered with status ${d.status}: ${d.why} (${d.reason})`,
  NOT_THERE: (d) => `${d.server} does not have it: ${d.why}`,
  BAD_ANSWER: (d) => `${d.server} gave an answer that makes no sense: ${d.why}`,
}

function hereText(have: number): string {
  if (have === 0) return 'none of them is here'
  return `${have} of them ${have === 1 ? 'is' : 'are'} here`
}

const MOST_PATTERNS = 8

function allowedText({ role, patterns }: Allowed): string {
  const more = patterns.length > MOST_PATTERNS ? [`${patterns.length - MOST_PATTERNS} more`] : []
  return `${[...patterns.slice(0, MOST_PATTERNS), ...more].join(' and ')} (${role})`
}

function waitingText({ role, need, have, missing }: Waiting): string {
  return `${role} has ${have} of ${need} signatures, and ${missing.map((id) => id.slice(0, 12)).join(' or ')} can sign next`
}

const HINT: { readonly [C in PublishCode]: (d: PublishFailures[C]) => string } = {
  NO_SIGNING_KEY: keyHint,
  KEY_NOT_IN_ROLE: ({ repository = 'REPO' }) => `tagseal status ${repository} shows the keys of every role`,
  APPROVAL_PENDING: (d) => `whoever holds one of those keys: tagseal approve ${d.repository} ${d.proposal}`,
  PROPOSAL_UNFIT: () => 'ask whoever began it; "tagseal approve REPO PROPOSAL --withdraw" takes it back',
  PROPOSAL_ALTERED: () => 'sign nothing that this server shows before you know why',
  PROPOSAL_OF_OTHERS: () => 'use that token, or one that allows admin; unsigned, it ends by itself',
  PROPOSAL_STALE: (d) => `tagseal approve ${d.repository} ${d.proposal} --renew makes it again on top of what is there`,
  TOO_FEW_KEYS: (d) =>
    `give it another key first: tagseal delegation add ${d.repository} ${d.role} --key FILE; or take the role away: ` +
    `tagseal delegation remove ${d.repository} ${d.role}`,
  UNKNOWN_ROLE: (d) => `tagseal delegation list ${d.repository}`,
  TAG_OUT_OF_SCOPE: (d) => `tagseal delegation list ${d.repository} shows what ${d.role} may sign`,
  TAG_SHADOWED: (d) =>
    `${d.same ? 'nothing needs to be signed; ' : ''}tagseal revoke ${d.repository}:${d.tag} takes the tag out of ${d.by}, ` +
    `with the keys of ${d.by}`,
  TAG_MOVED: (d) => `sign what you pushed by its digest: tagseal sign ${d.image} --digest ${d.digest}`,
  TAG_CHANGED: (d) => `tagseal history ${d.image} shows who signed what; sign again if yours is meant`,
  CONFLICT: () => 'try again; nothing was published',
  UPDATE_REFUSED: (d) =>
    d.reason === 'ROOT_CERTIFICATE'
      ? `renew the root first: tagseal rotate ${d.repository} root --key ID`
      : 'nothing was published; tagseal status ' + d.repository + ' shows what is there',
  UNAUTHORIZED: tokenHint,
  NOT_THERE: () => 'check the name and the server',
  DENIED: () => "ask the server's owner: tagseal-server token create --repo PATTERN --allow pull,push",
  SERVER_FAILED: (d) =>
    d.reason === 'SIGNING_UNAVAILABLE'
      ? signingHint(d)
      : d.reason === 'RESTORED'
        ? 'the operator of the server goes on with "tagseal-server restore --resume", then try again'
        : 'try again; if it stays, its log has the same request id',
  BAD_ANSWER: () => 'is that the URL of the trust server? --server URL names another',
}

/** The key is lost only where its signer is there and does not have it. */
function signingHint({ why, repository }: PublishFailures['SERVER_FAILED']): string {
  if (/cannot be reached|gave no answer/.test(why)) {
    return 'does the signer of that server run? its operator starts it (tagseal-server signer), then try again'
  }
  const [, code] = /its signer refused: ([A-Z_]{1,40})/.exec(why) ?? []
  if (code === 'VERSION_TOO_FAR') {
    return "its operator lets the signer go further, with the versions in the signer's log: tagseal-server signer advance"
  }
  if (code !== undefined && code !== 'KEY_NOT_HELD') {
    return `its operator finds ${code} in the log of the signer, and in docs/errors.md`
  }
  return `its log says why; if its key is lost for good, this gives it new ones: tagseal rotate ${repository} timestamp --compromised`
}

function keyHint(d: PublishFailures['NO_SIGNING_KEY']): string {
  const { allowed, others, keys, repository, replacing } = d
  const list = `tagseal delegation list ${repository} shows who ${allowed === undefined ? 'else ' : ''}signs which tags`
  if (allowed !== undefined) {
    const holders = [d.role, ...(others ?? [])].join(' or ')
    return `ask whoever holds ${holders} to sign it, or to delegate it to a role of these keys; ${list}`
  }
  return [
    ...(keys.length === 0
      ? []
      : [`tagseal key list; one of these is needed: ${keys.map((id) => id.slice(0, 12)).join(', ')}`]),
    ...(repository === undefined || replacing !== undefined ? [] : [list]),
    ...(others === undefined ? lostHint(d) : ['if a key here was one of them once, ask whoever delegates to its role']),
  ].join('; ')
}

/** Whoever lists a key can list another in its place; nobody does that for the root but its own holders. */
function lostHint({
  role,
  need,
  have,
  replacing,
  repository = 'REPO',
  proposing = `tagseal rotate ${repository} ROLE --propose FILE`,
}: PublishFailures['NO_SIGNING_KEY']): readonly string[] {
  if (replacing !== undefined && need > 1) {
    return [`whoever has one of them begins it, and the others approve: tagseal rotate ${repository} ${replacing}`]
  }
  if (replacing !== undefined) return [`ask whoever has it to run: tagseal rotate ${repository} ${replacing}`]
  const by = role === 'targets' ? 'with the root keys' : 'with the keys of whoever delegates to it'
  const ask = have === 0 ? ['ask whoever holds it'] : []
  if (role !== 'root') return [...ask, `if it is lost: tagseal rotate ${repository} ${role}, ${by}`]
  return [
    ...ask,
    `where the others are elsewhere, propose it to them: ${proposing}`,
    `if one of several is lost: tagseal rotate ${repository} root --lost ID, where enough of the others are`,
  ]
}

/** A change that was not published. Branch on `code`. */
export class PublishError<C extends PublishCode = PublishCode> extends Error {
  override readonly name = 'PublishError'
  readonly code: C
  readonly detail: PublishFailures[C]
  constructor(code: C, detail: PublishFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  get hint(): string | undefined {
    return HINT[this.code](this.detail) || undefined
  }
}

export type AnyPublishError = { readonly [C in PublishCode]: PublishError<C> }[PublishCode]

export function isPublishError(error: unknown): error is AnyPublishError {
  return error instanceof PublishError
}
