import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { Failure } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { warnOfExpiry } from '../publish/expiry.ts'
import { pinned } from '../registry/reference.ts'
import type { View } from '../trust/repository.ts'
import { VerdictError } from '../verdict/errors.ts'
import { defineCommand, flag, many } from './declare.ts'
import type { Answer } from './declare.ts'
import { parseTagged, sayUnsaid } from './images.ts'
import { POLICY_OPTION } from './policy-option.ts'
import type { TaggedImage } from './images.ts'

export const verifyCommand = defineCommand({
  operands: { IMAGE: many('REPO:TAG, or REPO:TAG@sha256:... to have that digest confirmed') },
  options: {
    deep: flag('fetch every manifest and blob from the registry and check it as well'),
    policy: POLICY_OPTION,
  },
  examples: [
    'tagseal verify registry.example.com/team/app:1.4',
    'docker pull "$(tagseal verify registry.example.com/team/app:1.4)"',
  ],
  notes: 'Nothing is printed on stdout unless every image passes.',
  async run(context, input) {
    const images = input.many('IMAGE').map(parseTagged)
    for (const image of images) sayUnsaid(context.terminal, image)
    const verdicts = await Promise.all(images.map((image) => judge(context, image, input.text('policy'))))
    // One after the other: side by side, large layers would keep small manifests waiting beyond all patience.
    for (const [i, verdict] of input.flag('deep') ? verdicts.entries() : []) {
      if ('digest' in verdict) verdicts[i] = await judgeContent(context, verdict)
    }
    return answerOf(context, verdicts)
  },
})

/** What a signature says of an image that passed. */
export type Verified = {
  readonly image: TaggedImage
  readonly digest: string
  readonly length: number
  readonly role: string
  /** What the answer was taken from. */
  readonly view: View | undefined
}
type Verdict = Verified | { readonly image: TaggedImage; readonly failure: Failure; readonly error: unknown }

/** The signed digest of one image. Throws where it is not signed, or not as the digest that was named. */
export async function verifyImage(context: Context, image: TaggedImage, policy: string | undefined): Promise<Verified> {
  const verdicts = await context.verdicts(policy)
  const verdict = await verdicts.judge(image)
  if (verdict.kind === 'unsigned') {
    const { pattern, where } = verdict.rule
    throw new VerdictError('UNSIGNED_BY_RULE', { repository: image.name, rule: pattern, where })
  }
  const { digest, length, role } = verdict
  const standing = await verdicts.standing(image.name)
  return { image, digest, length, role, view: standing?.view }
}

/** Once for each repository, however many of its tags were asked for. */
export function warnOfExpiries(context: Context, verified: readonly Verified[]): void {
  const views = new Map(
    verified.flatMap(({ image, view }) => (view === undefined ? [] : [[image.name, view] as const])),
  )
  for (const [repository, view] of views) warnOfExpiry(context, repository, view)
}

/** Everything below the digest, fetched and hashed. */
async function verifyContent(context: Context, { image, digest, length }: Verified): Promise<void> {
  const { walkImage } = await import('../registry/walk.ts')
  const onProgress = ({ parts, totalParts, bytes }: { parts: number; totalParts: number; bytes: number }) =>
    context.terminal.progress(`${image.text}: checked ${parts} of ${totalParts} parts, ${megabytes(bytes)}`)
  await walkImage(
    await context.registry(),
    image,
    { digest, length },
    { deep: true, onProgress, signal: context.signal },
  )
}

async function judgeContent(context: Context, verified: Verified): Promise<Verdict> {
  try {
    await verifyContent(context, verified)
    return verified
  } catch (error) {
    return { image: verified.image, failure: failureOf(error), error }
  }
}

async function judge(context: Context, image: TaggedImage, policy: string | undefined): Promise<Verdict> {
  try {
    return await verifyImage(context, image, policy)
  } catch (error) {
    return { image, failure: failureOf(error), error }
  }
}

function answerOf(context: Context, verdicts: readonly Verdict[]): Answer {
  const [only] = verdicts
  const failures = verdicts.filter((verdict) => 'failure' in verdict)
  const [first] = failures
  if (verdicts.length === 1 && first !== undefined && only === first) throw first.error
  for (const { image, failure } of context.settings.json ? [] : failures) {
    tellFailure(context.terminal, failure, `${image.text}: `)
  }
  const passed = verdicts.filter((verdict) => 'digest' in verdict)
  warnOfExpiries(context, passed)
  const lines = first === undefined ? passed.map(({ image, digest }) => pinned(image, digest)) : []
  const document = {
    images: verdicts.map(documentOf),
    ...(first === undefined ? {} : { error: failureDocument(first.failure) }),
  }
  return { lines, document, exit: exitOf(failures) }
}

/** A no outweighs an answer that could not be had. */
function exitOf(failures: readonly { readonly failure: Failure }[]): 0 | 1 | 3 {
  if (failures.length === 0) return 0
  return failures.some(({ failure }) => failure.exit === 1) ? 1 : 3
}

function documentOf(verdict: Verdict): object {
  const { image } = verdict
  const named = { image: image.text, repository: image.name, tag: image.tag }
  if ('failure' in verdict) return { ...named, error: failureDocument(verdict.failure) }
  const { digest, length, role } = verdict
  return { ...named, digest, length, role, reference: pinned(image, digest) }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
