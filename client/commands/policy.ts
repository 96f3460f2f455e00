import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { Failure } from '../exit.ts'
import { failureDocument } from '../failure-text.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { parseImage, pinned } from '../registry/reference.ts'
import type { ImageReference } from '../registry/reference.ts'
import type { PolicyRule } from '../policy/policy.ts'
import type { Verdict, Verdicts } from '../verdict/engine.ts'
import { VerdictError } from '../verdict/errors.ts'
import { openAdmitting } from '../verifier/decide.ts'
import { any, defineCommand, flag, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { demandGivenFiles } from './given-files.ts'
import { demandPolicy, POLICY_OPTION } from './policy-option.ts'

export const policyTestCommand = defineCommand({
  operands: { IMAGE: any('REPO:TAG, with @sha256:... or that alone; with none the file is checked') },
  options: {
    policy: POLICY_OPTION,
    namespace: text('NAME', 'what counts in this Kubernetes namespace'),
    rules: flag('say which rule decides, and ask no trust server'),
  },
  examples: [
    'tagseal policy test --policy policy.yaml',
    'tagseal policy test --policy policy.yaml registry.example.com/team/app:1.4',
  ],
  notes:
    'Exits with 1 where an image would be refused. Judged as the gateway and the verifier judge, and with --namespace as the webhook; of REPO:TAG@DIGEST it says what the others make, where that differs. No registry is asked, so that of what lies below a signed index nothing is known.',
  async run(context, input) {
    await demandGivenFiles(context)
    const written = await demandPolicy(context, input.text('policy'))
    const namespace = input.text('namespace')
    const policy = namespace === undefined ? written : written.inNamespace(namespace)
    const registry = namespace === undefined ? policy.defaultRegistry : undefined
    const images = input.many('IMAGE').map((image) => readImage(image, registry))
    if (images.length === 0) {
      warnOfNoServer(context, policy)
      const line = `${policy.path}: ${countText(policy.rules)}, nothing wrong with it`
      return { lines: [line], document: { policy: policy.path, rules: policy.rules, images: [] } }
    }
    const plug = namespace === undefined ? 'gateway' : 'webhook'
    const judge = input.flag('rules') ? undefined : openJudge(await context.verdictsBy(policy), plug)
    return answerOf(policy, await Promise.all(images.map((image) => explain(context, policy, image, judge))))
  },
})

type NamedImage = ImageReference & { readonly text: string }
/** `earlier`: its tag means another digest by now; `digest`: asked for without a tag. */
type Outcome = Verdict | { readonly kind: 'earlier' | 'digest'; readonly digest: string; readonly why: string }

/** As the gateway reads a name: one without a registry is of the policy's. */
function readImage(text: string, defaultRegistry: string | undefined): NamedImage {
  const [first = '', ...rest] = text.split('/')
  const namesRegistry = rest.length > 0 && (/[.:A-Z]/.test(first) || first === 'localhost')
  if (defaultRegistry === undefined || namesRegistry) return { ...parseImage(text), text }
  const full = `${defaultRegistry}/${text}`
  return { ...parseImage(full), text: `${text} (${full})` }
}

function countText(rules: number): string {
  if (rules === 0) return '0 rules, so that every image is refused'
  return rules === 1 ? '1 rule' : `${rules} rules`
}

function warnOfNoServer({ terminal, settings }: Context, { withoutServer }: FilePolicy): void {
  if (settings.server !== undefined) return
  for (const where of withoutServer) terminal.warn(`${where}: this rule has a pin and no "server: URL" to ask`)
}

type Explained = {
  readonly image: NamedImage
  readonly matching: ReturnType<FilePolicy['matching']>
  readonly rule: PolicyRule | undefined
  readonly outcome: Outcome | Failure | undefined
  /** What the plugs that were not asked about make of it, where that is not the same. */
  readonly elsewhere: Outcome | Failure | undefined
}
type Judged = { readonly outcome: Outcome | Failure; readonly elsewhere?: Outcome | Failure }
type Judge = (image: NamedImage) => Promise<Judged>
/** Engines ask a gateway, and containerd its verifier, for the digest alone where a name has one. */
type Plug = 'gateway' | 'webhook'

function openJudge(verdicts: Verdicts, plug: Plug): Judge {
  const admit = openAdmitting(verdicts)

  const byDigest = async (image: NamedImage, digest: string): Promise<Outcome> => ({
    kind: 'digest',
    digest,
    why: await admit({ image, digest, size: 0 }),
  })

  /** A digest beside a tag has to be what the tag means, or did. */
  const byTag = async ({ name, tag, digest }: Tagged): Promise<Outcome> => {
    try {
      return await verdicts.judge({ name, tag, digest })
    } catch (error) {
      if (digest === undefined || failureOf(error).code !== 'DIGEST_DIFFERS') throw error
      if (!(await verdicts.wasSigned(name, digest))) throw error
      return { kind: 'earlier', digest, why: `${tag} means another digest by now, and signedOnce lets this one stay` }
    }
  }

  return async (image) => {
    const { name, tag, digest } = image
    if (tag === undefined) return { outcome: await byDigest(image, digest ?? '') }
    const tagged = await settled(byTag({ name, tag, digest }))
    if (digest === undefined || !isFailure(tagged) || tagged.exit !== 1) return { outcome: tagged }
    const alone = await settled(byDigest(image, digest))
    if (isFailure(alone)) return { outcome: tagged } // refused by all, and the tag's reason says more
    return plug === 'gateway' ? { outcome: alone, elsewhere: tagged } : { outcome: tagged, elsewhere: alone }
  }
}

type Tagged = { readonly name: string; readonly tag: string; readonly digest: string | undefined }

async function settled(outcome: Promise<Outcome>): Promise<Outcome | Failure> {
  try {
    return await outcome
  } catch (error) {
    return failureOf(error)
  }
}

function isFailure(outcome: Outcome | Failure): outcome is Failure {
  return 'exit' in outcome
}

/** What decides, and then what it decides. */
async function explain(
  { terminal }: Context,
  policy: FilePolicy,
  image: NamedImage,
  judge: Judge | undefined,
): Promise<Explained> {
  const matching = policy.matching(image.name)
  const known = { image, matching, elsewhere: undefined }
  let rule: PolicyRule | undefined
  try {
    rule = policy.ruleFor(image.name)
    if (judge === undefined && rule.kind !== 'refuse') return { ...known, rule, outcome: undefined }
    if (judge === undefined) return { ...known, rule, outcome: refusedBy(image, rule) }
    terminal.detail(`${image.text}: asking ${rule.kind === 'signed' ? (rule.server ?? 'the trust server') : 'nobody'}`)
    return { ...known, rule, ...(await judge(image)) }
  } catch (error) {
    return { ...known, rule, outcome: failureOf(error) }
  }
}

function refusedBy({ name }: NamedImage, { pattern, where }: PolicyRule): Failure {
  return failureOf(new VerdictError('REFUSED_BY_RULE', { repository: name, rule: pattern, where }))
}

function answerOf({ path }: FilePolicy, explained: readonly Explained[]): Answer {
  const failures = explained.flatMap(({ outcome }) => (outcome !== undefined && 'exit' in outcome ? [outcome] : []))
  const exit = failures.length === 0 ? 0 : failures.some((failure) => failure.exit !== 3) ? 1 : 3
  return {
    lines: explained.flatMap(linesOf),
    document: { policy: path, images: explained.map(documentOf) },
    exit,
  }
}

function linesOf({ image, matching, rule, outcome, elsewhere }: Explained): readonly string[] {
  const [decides, ...others] = matching
  return [
    `${image.text}: ${outcomeText(image, rule, outcome)}`,
    ...(decides === undefined
      ? ['  no rule matches']
      : [`  ${decides.where} decides: ${decides.pattern} is the most specific pattern that matches`]),
    ...(outcome !== undefined && isFailure(outcome) && outcome.hint !== undefined ? [`  hint: ${outcome.hint}`] : []),
    ...(rule?.kind === 'signed' ? [`  ${termsOf(rule)}`] : []),
    ...(elsewhere === undefined ? [] : [`  ${elsewhereText(elsewhere)}`]),
    ...others.map(({ pattern, where }) =>
      pattern === decides?.pattern
        ? `  ${where} matches as well and is for every namespace: the rule of one comes before it`
        : `  ${where} matches as well and is less specific: ${pattern}`,
    ),
  ]
}

function elsewhereText(outcome: Outcome | Failure): string {
  if (isFailure(outcome)) return `a webhook looks at the tag as well, and refuses: ${outcome.message} (${outcome.code})`
  const why = 'why' in outcome ? outcome.why : 'it is signed'
  return `gateway and verifier are asked for the digest alone, and admit it: ${why}`
}

function outcomeText(image: NamedImage, rule: PolicyRule | undefined, outcome: Explained['outcome']): string {
  if (outcome === undefined) return rule?.kind === 'unsigned' ? 'admitted unsigned' : 'has to be signed'
  if ('exit' in outcome) return `refused: ${outcome.message} (${outcome.code})`
  if (outcome.kind === 'unsigned') return 'admitted unsigned: the rule asks for no signature'
  if (outcome.kind !== 'signed') return `admitted: ${outcome.why}`
  return `admitted as ${pinned(image, outcome.digest)}, signed by ${outcome.role}`
}

function termsOf(rule: PolicyRule & { readonly kind: 'signed' }): string {
  const { pin, server, serverCa, roles, require, threshold, maxAge } = rule
  const keys = pin.kind === 'keys' ? `${pin.threshold} of ${pin.keyids.length} pinned keys` : `a pinned ${pin.kind}`
  return [
    `trusts ${keys} at ${server ?? 'the server of this run'}`,
    ...(serverCa === undefined ? [] : [`whose certificate the authority in ${serverCa.from} has to vouch for`]),
    roles === undefined ? 'every role counts' : `${[...roles].join(', ')} count`,
    ...(require.length === 0 ? [] : [`${require.join(', ')} must have signed as well`]),
    ...(threshold === 1 ? [] : [`by roles that need ${threshold} keys`]),
    `no older than ${maxAge / 1000} s`,
  ].join('; ')
}

function documentOf({ elsewhere, ...explained }: Explained): object {
  if (elsewhere === undefined) return verdictOf(explained)
  const other = isFailure(elsewhere)
    ? { plugs: ['webhook'], admitted: false, error: failureDocument(elsewhere) }
    : { plugs: ['gateway', 'verifier'], admitted: true }
  return { ...verdictOf(explained), elsewhere: other }
}

function verdictOf({ image, matching, rule, outcome }: Omit<Explained, 'elsewhere'>): object {
  const named = { image: image.text, repository: image.name, tag: image.tag, rules: matching }
  if (outcome === undefined) return { ...named, kind: rule?.kind }
  if ('exit' in outcome) return { ...named, admitted: false, error: failureDocument(outcome) }
  if (outcome.kind === 'unsigned') return { ...named, admitted: true, kind: 'unsigned' }
  if (outcome.kind !== 'signed') return { ...named, admitted: true, kind: outcome.kind, digest: outcome.digest }
  const { digest, role, versions, goodUntil } = outcome
  return { ...named, admitted: true, kind: 'signed', digest, role, versions, goodUntil }
}
