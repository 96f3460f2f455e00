/**
 * The one place where an image is admitted or refused: reference, policy and trusted state in, digest and evidence or
 * a coded refusal out. Every command and every service that lets images through asks here.
 */
import type { Repository, View } from '../trust/repository.ts'
import { VerdictError } from './errors.ts'
import { judgeTag } from './judge.ts'
import type { Evidence, Tagged } from './judge.ts'
import { openPast } from './past.ts'
import type { Past } from './past.ts'
import { isSameRule, signedRule } from './rule.ts'
import type { Policy, SignedRule } from './rule.ts'
import { openSteady } from './steady.ts'
import type { Clocks } from './steady.ts'
import { openWarm } from './warm.ts'
import type { Standing, Warm } from './warm.ts'

/** `admitted` by signatures, or because the policy says that nothing of it has to be signed. */
export type Verdict =
  | (Evidence & { readonly kind: 'signed'; readonly rule: SignedRule; readonly goodUntil: number })
  | { readonly kind: 'unsigned'; readonly rule: { readonly pattern: string; readonly where: string } }

export type Asked = Tagged & { readonly digest?: string | undefined }

export type VerdictOptions = Clocks & {
  readonly policy: Policy
  /** `clock` is what it has to judge by. */
  readonly open: (repository: string, rule: SignedRule, clock: () => number) => Promise<Repository>
  readonly background: boolean
  readonly signal: AbortSignal
  readonly failed?: ((repository: string, error: unknown) => void) | undefined
  /** Told of the state that an answer came from. */
  readonly answered?: ((repository: string, view: View) => void) | undefined
}

export type Verdicts = {
  /** Throws VerdictError, TrustError or ClientError where the image is refused or nothing can be found out. */
  readonly judge: (image: Asked) => Promise<Verdict>
  /** The state that verdicts on a repository are taken from; undefined where nothing of it has to be signed. Throws. */
  readonly standing: (repository: string) => Promise<Standing | undefined>
  /** Whether a digest is admissible that a tag meant once, and that no tag means now. */
  readonly wasSigned: (repository: string, digest: string) => Promise<boolean>
  /** From now on this policy counts. What stays as it was in it stays warm; everything else is forgotten. */
  readonly adopt: (policy: Policy) => void
  readonly close: () => void
}

/** Repositories kept at once; the one that was not asked for longest goes first. */
const MOST_WARM = 4096
/** Tags of a repository that are looked up again when it is refreshed. */
const MOST_PREPARED = 256

type Kept = {
  readonly rule: SignedRule
  readonly warm: Promise<Opened>
  ready: Opened | undefined
}
type Opened = Warm & { readonly past: Past }

export function openVerdicts(options: VerdictOptions): Verdicts {
  const kept = new Map<string, Kept>()
  let { policy } = options

  function warmFor(name: string, rule: SignedRule): Kept {
    const known = kept.get(name)
    if (known !== undefined && isSameRule(known.rule, rule)) {
      kept.delete(name) // and put back behind the others: a Map remembers the order
      kept.set(name, known)
      return known
    }
    if (known !== undefined) drop(name, known)
    const made: Kept = { rule, warm: openOne(name, rule), ready: undefined }
    made.warm.then(
      (warm) => (made.ready = warm),
      () => kept.get(name) === made && kept.delete(name),
    )
    kept.set(name, made)
    for (const [oldest, one] of kept) {
      if (kept.size <= MOST_WARM) break
      drop(oldest, one)
    }
    return made
  }

  async function openOne(name: string, rule: SignedRule): Promise<Opened> {
    const { background, signal, clock, monotonic, failed } = options
    const steady = openSteady({ clock, monotonic })
    const repository = await options.open(name, rule, steady.now)
    const warm = openWarm({
      repository,
      maxAge: rule.maxAge,
      background,
      signal,
      steady,
      monotonic,
      prepare: (next, before) => prepare(name, rule, next, before),
      failed: (error) => failed?.(name, error),
    })
    return { ...warm, past: openPast((role, version) => repository.fetchVersion(role, version, signal)) }
  }

  function drop(name: string, { warm }: Kept): void {
    kept.delete(name)
    warm.then(
      (opened) => opened.close(),
      () => undefined, // whoever asked for it was told
    )
  }

  /** Nobody may ever ask for it again, and what its rule trusted would be refreshed by that for ever. */
  function stands(rule: SignedRule, name: string): boolean {
    try {
      const now = signedRule(policy, name)
      return now !== undefined && isSameRule(rule, now)
    } catch {
      return false // refused now: whoever asks is told why
    }
  }

  /** A state for one more question, which took part in no answer that has become too old meanwhile. */
  async function ask<T>(
    name: string,
    rule: SignedRule,
    question: (known: Standing, warm: Opened) => Promise<T>,
  ): Promise<T> {
    const one = warmFor(name, rule)
    const warm = one.ready ?? (await one.warm)
    const known = warm.peek() ?? (await warm.standing())
    const answer = await question(known, warm)
    return warm.isGood(known) ? answer : await question(await warm.standing(), warm)
  }

  return {
    async judge({ name, tag, digest }) {
      const rule = signedRule(policy, name)
      if (rule === undefined) return { kind: 'unsigned', rule: policy.ruleFor(name) }
      return await ask(name, rule, async (known, warm) => {
        const evidence = await answerFor(known, rule, { name, tag })
        options.answered?.(name, known.view)
        refuseOtherDigest({ name, tag, digest }, evidence.digest)
        return { ...evidence, kind: 'signed', rule, goodUntil: warm.goodUntil(known) }
      })
    },
    async standing(name) {
      const rule = signedRule(policy, name)
      if (rule === undefined) return undefined
      const known = await ask(name, rule, async (state) => state)
      options.answered?.(name, known.view)
      return known
    },
    async wasSigned(name, digest) {
      const rule = signedRule(policy, name)
      if (rule?.signedOnce !== true || rule.require.length > 0) return false // of the others nobody knows what they meant then
      return await ask(name, rule, async (known, { past }) => await meantOnce(known, rule, name, digest, past))
    },
    adopt(next) {
      policy = next
      for (const [name, one] of kept) if (!stands(one.rule, name)) drop(name, one)
    },
    close() {
      for (const [name, one] of kept) drop(name, one)
    },
  }
}

/** The tag must be one that would be admitted now, by the word of the same role. */
async function meantOnce(
  known: Standing,
  rule: SignedRule,
  name: string,
  digest: string,
  past: Past,
): Promise<boolean> {
  for (const [role, earlier] of await past.of(known.view)) {
    for (const tag of earlier.get(digest) ?? []) {
      const answer = await Promise.allSettled([answerFor(known, rule, { name, tag })])
      if (answer.some((one) => one.status === 'fulfilled' && one.value.role === role)) return true
    }
  }
  return false
}

function refuseOtherDigest({ name, tag, digest }: Asked, signed: string): void {
  if (digest === undefined || digest === signed) return
  throw new VerdictError('DIGEST_DIFFERS', { image: `${name}:${tag}`, expected: digest, signed })
}

/** Once for each tag of a state; what went wrong is asked again. */
function answerFor({ view, answers }: Standing, rule: SignedRule, { name, tag }: Tagged): Promise<Evidence> {
  const known = answers.get(tag)
  if (known !== undefined) return known
  const made = judgeTag(view, rule, { name, tag })
  answers.set(tag, made)
  made.catch(() => answers.delete(tag))
  return made
}

/** So that a new state is as quick with what is asked again and again as the one before it was. */
async function prepare(name: string, rule: SignedRule, next: Standing, { answers }: Standing): Promise<void> {
  const tags = [...answers.keys()].slice(-MOST_PREPARED)
  await Promise.allSettled(tags.map((tag) => answerFor(next, rule, { name, tag })))
}
