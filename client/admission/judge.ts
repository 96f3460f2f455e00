/** One image of an object, put to the verdict engine. */
import { failureOf } from '../exit.ts'
import { parseImage, printImage } from '../registry/reference.ts'
import { openAdmitting } from '../verifier/decide.ts'
import type { Verdicts } from '../verdict/engine.ts'

export type Judged = {
  /** The image as it may run: by its digest, where it has to be signed. */
  readonly image: string
  /** `earlier`: its tag means another digest by now, and the policy lets this one stay. */
  readonly kind: 'signed' | 'unsigned' | 'earlier'
}
export type Judge = (image: string) => Promise<Judged>

/** Throws whatever the verdict throws, and REFERENCE_INVALID. */
export function openJudge(verdicts: Verdicts): Judge {
  const admit = openAdmitting(verdicts)

  return async (text) => {
    const image = parseImage(text)
    const { name, tag, digest } = image
    if (tag === undefined) {
      await admit({ image, digest: digest ?? '', size: 0 })
      return { image: text, kind: 'signed' }
    }
    try {
      const verdict = await verdicts.judge({ name, tag, digest })
      if (verdict.kind === 'unsigned') return { image: text, kind: 'unsigned' }
      return { image: digest === undefined ? printImage({ ...image, digest: verdict.digest }) : text, kind: 'signed' }
    } catch (error) {
      if (digest === undefined || failureOf(error).code !== 'DIGEST_DIFFERS') throw error
      if (!(await verdicts.wasSigned(name, digest))) throw error
      return { image: text, kind: 'earlier' }
    }
  }
}
