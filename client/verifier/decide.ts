/** A question of containerd's, put to the verdict engine. */
import type { ExitCode } from '../exit.ts'
import { failureOf } from '../exit.ts'
import { refuseOtherSize } from '../registry/digest.ts'
import { printable } from '../registry/errors.ts'
import { pinned, printImage } from '../registry/reference.ts'
import { tagMeans } from '../verdict/by-digest.ts'
import type { Verdicts } from '../verdict/engine.ts'
import { VerdictError } from '../verdict/errors.ts'
import { collectDigests } from '../verdict/signed-digests.ts'
import type { SignedDigests } from '../verdict/signed-digests.ts'
import type { Standing } from '../verdict/warm.ts'
import type { Question } from './question.ts'

/** `reason` is one line for whoever pulls. Only 0 lets the image in. */
export type Decision = { readonly exit: ExitCode; readonly code: string; readonly reason: string }
/** Never rejects. */
export type Decide = (question: Question) => Promise<Decision>

const MOST_WORDS = 1000

/** Says why an image is admitted, and throws where it is not. */
export function openAdmitting(verdicts: Verdicts): (question: Question) => Promise<string> {
  const collected = new WeakMap<Standing, Promise<SignedDigests>>()

  function digestsOf(standing: Standing): Promise<SignedDigests> {
    const known = collected.get(standing) ?? collectDigests(standing.view)
    collected.set(standing, known)
    known.catch(() => collected.delete(standing))
    return known
  }

  /** What the tag means now and nothing else: that it meant the digest once is what a rollback looks like. */
  async function admitTag({ image, digest, size }: Question, tag: string): Promise<string> {
    const verdict = await verdicts.judge({ name: image.name, tag, digest })
    if (verdict.kind === 'unsigned') return `${printImage(image)} need not be signed, by ${verdict.rule.where}`
    refuseOtherSize(printImage(image), verdict.length, size)
    const { root, snapshot } = verdict.versions
    return `${printImage(image)} is signed as ${digest} by ${verdict.role} (root ${root}, snapshot ${snapshot})`
  }

  async function admitDigest({ image: { name }, digest }: Question): Promise<string> {
    const standing = await verdicts.standing(name)
    if (standing === undefined) return `${name} need not be signed`
    const { byDigest } = await digestsOf(standing)
    for (const tag of byDigest.get(digest)?.tags ?? []) {
      if (await tagMeans(verdicts, { name, tag }, digest)) return `${name}:${tag} is signed as ${digest}`
    }
    if (await verdicts.wasSigned(name, digest)) return `${pinned({ name }, digest)} was signed, and is not revoked`
    throw new VerdictError('DIGEST_NOT_SIGNED', { repository: name, digest })
  }

  return async (question) => {
    const { tag, digest } = question.image
    return digest === undefined && tag !== undefined ? await admitTag(question, tag) : await admitDigest(question)
  }
}

export function openDeciding(verdicts: Verdicts): Decide {
  const admit = openAdmitting(verdicts)
  return async (question) => {
    try {
      return { exit: 0, code: 'ADMITTED', reason: printable(await admit(question), MOST_WORDS) }
    } catch (error) {
      return refusal(error)
    }
  }
}

/** Whatever went wrong is a no. */
export function refusal(error: unknown): Decision {
  const { code, message, hint, exit } = failureOf(error)
  const words = `refused: ${message} (${code})${hint === undefined ? '' : `; ${hint}`}`
  return { exit: exit === 0 ? 3 : exit, code, reason: printable(words, MOST_WORDS) }
}
