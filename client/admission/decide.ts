/** From a review to a yes with patches, or a no with words. */
import { isJsonObject, member } from '../../tuf/model/json.ts'
import type { JsonObject } from '../../tuf/model/json.ts'
import { failureOf } from '../exit.ts'
import type { Failure } from '../exit.ts'
import type { Path } from '../pinning/pods.ts'
import { isList } from '../registry/json.ts'
import { printable } from '../registry/errors.ts'
import { nextStep } from '../next-step.ts'
import { AdmissionError } from './errors.ts'
import { imagesOf } from './images.ts'
import type { Wanted } from './images.ts'
import type { Judge, Judged } from './judge.ts'
import type { Review } from './review.ts'
import { podIn } from './workloads.ts'

/** `mutate` writes digests; `validate` comes last and takes no image without one. */
export type Task = 'mutate' | 'validate'
export type Patch = { readonly op: 'replace'; readonly path: string; readonly value: string }
export type Decision =
  | {
      readonly allowed: true
      readonly reason: 'ADMITTED' | 'UNCHANGED' | 'NO_IMAGE' | 'DELETED'
      readonly patches: readonly Patch[]
      readonly warnings: readonly string[]
      readonly images: readonly string[]
    }
  | {
      readonly allowed: false
      readonly status: number
      readonly code: string
      /** For whoever applied it. */
      readonly message: string
      /** For whoever runs this webhook and reads its log. */
      readonly told: string
      readonly images: readonly string[]
    }

export type Deciding = {
  readonly judge: Judge
  /** Kinds that the policy lists beside Kubernetes' own. */
  readonly workloads: readonly string[]
}

const MOST_WORDS = 1000
/** API servers cut what is longer, and what is more. */
const MOST_WARNING = 120
const MOST_WARNINGS = 8

/** Throws AdmissionError for an object that no image can be looked for in. */
export async function decide(review: Review, task: Task, { judge, workloads }: Deciding): Promise<Decision> {
  const nothing = { allowed: true, patches: [], warnings: [], images: [] } as const
  const { object, operation, before } = review
  if (operation === 'DELETE') return { ...nothing, reason: 'DELETED' }
  const pod = podIn(review, workloads)
  if (object === undefined || pod === undefined) return { ...nothing, reason: 'NO_IMAGE' }
  const { wanted, kept } = imagesOf(object, before, pod)
  if (wanted.length === 0) return { ...nothing, reason: kept > 0 ? 'UNCHANGED' : 'NO_IMAGE' }
  const answers = await judgeAll(wanted, judgeFor(review, task, object, judge))
  const refused = answers.filter((answer) => 'failure' in answer)
  const images = wanted.map(({ image }) => image)
  if (refused.length > 0) return refusalOf(refused, images)
  const admitted = answers.filter((answer) => 'judged' in answer)
  return {
    allowed: true,
    reason: 'ADMITTED',
    patches: task === 'mutate' && !isMadeByAnother(review, object) ? admitted.flatMap(patchOf) : [],
    warnings: admitted.flatMap(warningOf).slice(0, MOST_WARNINGS),
    images: admitted.map(({ judged }) => judged.image),
  }
}

type Admitted = { readonly wanted: Wanted; readonly judged: Judged }
type Refused = { readonly wanted: Wanted; readonly failure: Failure }

/** Each text once, however many containers have it. */
async function judgeAll(all: readonly Wanted[], judge: Judge): Promise<readonly (Admitted | Refused)[]> {
  const asked = new Map<string, Promise<Judged>>()
  return await Promise.all(
    all.map(async (wanted) => {
      const asking = asked.get(wanted.image) ?? judge(wanted.image)
      asked.set(wanted.image, asking)
      try {
        return { wanted, judged: await asking }
      } catch (error) {
        return { wanted, failure: failureOf(error) }
      }
    }),
  )
}

function judgeFor(review: Review, task: Task, object: JsonObject, judge: Judge): Judge {
  if (task === 'mutate' || isMadeByAnother(review, object)) return judge
  return async (image) => {
    const judged = await judge(image)
    if (judged.image === image) return judged
    throw new AdmissionError('DIGEST_MISSING', { image, signed: judged.image })
  }
}

/**
 * What a controller made is compared with what it was made from, and made again and again if it differs: a ReplicaSet
 * under its Deployment. It is judged like everything else and left as it is; the pods that come of it get digests.
 */
function isMadeByAnother({ resource }: Review, object: JsonObject): boolean {
  if (resource === 'pods') return false
  const metadata = member(object, 'metadata')
  const owners = isJsonObject(metadata) ? member(metadata, 'ownerReferences') : undefined
  return isList(owners) && owners.some((owner) => isJsonObject(owner) && member(owner, 'controller') === true)
}

function patchOf({ wanted: { image, path }, judged }: Admitted): readonly Patch[] {
  return judged.image === image ? [] : [{ op: 'replace', path: pointerTo(path), value: judged.image }]
}

/** RFC 6901: a member may be called what it likes in a kind that somebody else defined. */
function pointerTo(path: Path): string {
  return path.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

function warningOf({ wanted: { image }, judged: { kind } }: Admitted): readonly string[] {
  if (kind !== 'earlier') return []
  const short = image.slice(image.lastIndexOf('/') + 1).replace(/@.*/, '')
  return [printable(`tagseal: ${short} means another digest by now; this one was signed earlier`, MOST_WARNING)]
}

/** Every image that is refused is named. A no outweighs what could not be found out, and what is a bug of ours. */
function refusalOf(refused: readonly Refused[], images: readonly string[]): Decision {
  const [worst = refused[0]] = refused.filter(({ failure }) => failure.exit !== 3)
  const code = worst?.failure.code ?? 'INTERNAL'
  const said = (hintOf: (failure: Failure) => string | undefined) =>
    printable(
      refused
        .map(({ wanted: { path }, failure }) => `${path.slice(0, -1).join('.')}: ${wordsOf(failure, hintOf(failure))}`)
        .join(' | '),
      MOST_WORDS,
    )
  const message = said((failure) => nextStep(failure, WEBHOOK))
  const status = worst?.failure.exit === 3 ? 503 : 403
  return { allowed: false, status, code, message, told: said(({ hint }) => hint), images }
}

export const WEBHOOK = 'this webhook'

export function wordsOf({ code, message }: Failure, hint: string | undefined): string {
  return `${message} (${code})${hint === undefined ? '' : `; hint: ${hint}`}`
}
