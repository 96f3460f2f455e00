import { fingerprint } from '../trust/anchor.ts'
import { pinFor } from '../trust/pins.ts'
import type { Pin, PinRule } from '../trust/pins.ts'
import { keptCa } from '../trust/server-ca.ts'
import type { ServerCa } from '../trust/server-ca.ts'
import { VerdictError } from './errors.ts'

/** What a policy says of the repositories that its pattern matches. */
export type Rule = SignedRule | UnsignedRule | RefusingRule

type Common = {
  /** As it is written, for messages. */
  readonly pattern: string
  /** Where it is written: `policy.yaml:12:5`. */
  readonly where: string
}

export type SignedRule = Common & {
  readonly kind: 'signed'
  readonly pin: Pin
  /** The pattern fits several repositories. */
  readonly sharedPin: boolean
  /** Where their trust metadata is; undefined where the caller knows. */
  readonly server: string | undefined
  /** The authorities that this server, and no other, is to show itself by; undefined: those of this run. */
  readonly serverCa: ServerCa | undefined
  /** Holds the token for that server, and no other; undefined: the one of this run, where there is one. */
  readonly tokenFile: string | undefined
  /** The roles whose word counts; undefined: every role's. */
  readonly roles: ReadonlySet<string> | undefined
  /** Every one of these must have signed the same digest. */
  readonly require: readonly string[]
  /** How many keys the signing role must need, at least. */
  readonly threshold: number
  /** How old an answer may be, in milliseconds since its refresh began. */
  readonly maxAge: number
  /** A digest that a tag meant before stays admissible, until the tag is revoked. */
  readonly signedOnce: boolean
}

/** Somebody wrote down that nothing of it has to be signed. */
export type UnsignedRule = Common & { readonly kind: 'unsigned' }
export type RefusingRule = Common & { readonly kind: 'refuse' }

/** The rule of a repository. Throws where there is none: the default refuses. */
export type Policy = { readonly ruleFor: (repository: string) => Rule }

const HOUR_MS = 3_600_000

/** This machine's pins as a policy: everything must be signed, and every role's word counts. */
export function policyOfPins(pins: readonly PinRule[], path: string): Policy {
  return {
    ruleFor(repository) {
      const rule = pinFor(pins, repository)
      const { pattern, pin, server } = rule
      return {
        kind: 'signed',
        pattern: pattern.text,
        where: path,
        pin,
        sharedPin: !pattern.literal,
        server,
        serverCa: keptCa(rule),
        tokenFile: undefined,
        roles: undefined,
        require: [],
        threshold: 1,
        maxAge: HOUR_MS,
        signedOnce: false,
      }
    },
  }
}

/** The rule under which something must be signed; undefined where the policy says that nothing has to be. Throws. */
export function signedRule(policy: Policy, repository: string): SignedRule | undefined {
  const rule = policy.ruleFor(repository)
  if (rule.kind === 'refuse')
    throw new VerdictError('REFUSED_BY_RULE', { repository, rule: rule.pattern, where: rule.where })
  return rule.kind === 'signed' ? rule : undefined
}

/** Whether two rules say the same, wherever they are written. */
export function isSameRule(a: SignedRule, b: SignedRule): boolean {
  return a === b || meaningOf(a) === meaningOf(b)
}

function meaningOf({
  pin,
  sharedPin,
  server,
  serverCa,
  tokenFile,
  roles,
  require,
  threshold,
  maxAge,
  signedOnce,
}: SignedRule): string {
  return JSON.stringify([
    fingerprint(pin),
    sharedPin,
    server,
    serverCa?.pem,
    serverCa?.yields,
    tokenFile,
    roles && [...roles],
    require,
    threshold,
    maxAge,
    signedOnce,
  ])
}
