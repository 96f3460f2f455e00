/** From the images that files name to what is signed, all tags of a repository from one state of it. */
import { failureOf } from '../exit.ts'
import type { Failure } from '../exit.ts'
import { parseImage } from '../registry/reference.ts'
import type { ImageReference } from '../registry/reference.ts'
import { openAdmitting } from '../verifier/decide.ts'
import type { Verdicts } from '../verdict/engine.ts'
import { LockError } from './errors.ts'
import type { Lock, Locked, State } from './lock.ts'
import type { Named } from './named.ts'

/** `locked` is undefined where nothing is to be locked: by its rule it need not be signed, or it is named by digest alone. */
export type Resolved = { readonly named: Named; readonly image: ImageReference; readonly locked: Locked | undefined }
export type Refused = { readonly named: Named; readonly failure: Failure }
export type Resolution = {
  readonly resolved: readonly Resolved[]
  readonly refused: readonly Refused[]
  readonly lock: Lock
}

/** A state that changes under way is read anew; one that never holds still is none. */
const TRIES = 3

/** `anew`: digests that files name already are replaced, and so need not be what is signed. */
export async function resolveAll(verdicts: Verdicts, all: readonly Named[], anew: boolean): Promise<Resolution> {
  const refused: Refused[] = []
  const groups = new Map<string, { named: Named; image: ImageReference }[]>()
  for (const named of all) {
    try {
      const image = parseImage(named.image)
      const group = groups.get(image.name) ?? []
      group.push({ named, image })
      groups.set(image.name, group)
    } catch (error) {
      refused.push({ named, failure: failureOf(error) })
    }
  }
  const resolved: Resolved[] = []
  const repositories = new Map<string, State>()
  for (const [name, group] of groups) {
    const { states, answers } = await resolveSettled(verdicts, name, group, anew)
    for (const answer of answers) {
      if ('failure' in answer) refused.push(answer)
      else resolved.push(answer)
    }
    const [state] = states
    if (state !== undefined) repositories.set(name, state)
  }
  const images = new Map<string, Locked>()
  for (const { image, locked } of resolved) if (locked !== undefined) images.set(keyOf(image), locked)
  return { resolved, refused, lock: { repositories, images } }
}

export function keyOf({ name, tag = '' }: ImageReference): string {
  return `${name}:${tag}`
}

type Group = readonly { readonly named: Named; readonly image: ImageReference }[]
type Settled = { readonly states: readonly State[]; readonly answers: readonly (Resolved | Refused)[] }

async function resolveSettled(verdicts: Verdicts, name: string, group: Group, anew: boolean): Promise<Settled> {
  for (let tries = 0; tries < TRIES; tries++) {
    const settled = await resolveGroup(verdicts, group, anew)
    const [first] = settled.states
    const isOne = settled.states.every(({ root, snapshot }) => root === first?.root && snapshot === first.snapshot)
    if (isOne) return { states: first === undefined ? [] : [first], answers: settled.answers }
  }
  throw new LockError('STATE_MOVED', { repository: name })
}

async function resolveGroup(verdicts: Verdicts, group: Group, anew: boolean): Promise<Settled> {
  const states: State[] = []
  const answers: (Resolved | Refused)[] = []
  for (const { named, image } of group) {
    try {
      answers.push({ named, image, locked: await resolveOne(verdicts, image, anew, states) })
    } catch (error) {
      answers.push({ named, failure: withWay(failureOf(error)) })
    }
  }
  return { states, answers }
}

/** A digest in a file is most often one that was signed when it was written there. */
function withWay(failure: Failure): Failure {
  if (failure.code !== 'DIGEST_DIFFERS') return failure
  return { ...failure, hint: 'tagseal pin --write FILE... takes what is signed now; look at what changes' }
}

async function resolveOne(
  verdicts: Verdicts,
  image: ImageReference,
  anew: boolean,
  states: State[],
): Promise<Locked | undefined> {
  const { name, tag, digest } = image
  if (tag === undefined) return await confirmDigest(verdicts, image)
  const verdict = await verdicts.judge({ name, tag, ...(anew ? {} : { digest }) })
  if (verdict.kind === 'unsigned') return undefined
  const { root, snapshot } = verdict.versions
  states.push({ root, snapshot })
  return { digest: verdict.digest, length: verdict.length, role: verdict.role }
}

/** Pinned already: what is left to ask is whether it may still be used. */
async function confirmDigest(verdicts: Verdicts, image: ImageReference): Promise<undefined> {
  const { digest = '' } = image
  await openAdmitting(verdicts)({ image, digest, size: 0 })
  return undefined
}
