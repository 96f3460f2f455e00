/** What containerd asks: may this name be pulled as this digest? */
import { isJsonObject, member } from '../../tuf/model/json.ts'
import type { Json } from '../../tuf/model/json.ts'
import { isDigest } from '../registry/digest.ts'
import { JsonRefused, parseStrictJson } from '../registry/json.ts'
import { parseImage, printImage } from '../registry/reference.ts'
import type { ImageReference } from '../registry/reference.ts'
import { VerifierError } from './errors.ts'

/** `size` in bytes, as the registry told it. */
export type Question = { readonly image: ImageReference; readonly digest: string; readonly size: number }

/** The arguments that containerd gives, and what it writes to stdin. */
export type Written = {
  readonly name: string | undefined
  readonly digest: string | undefined
  readonly mediaType: string | undefined
  readonly descriptor: Uint8Array
}

const DESCRIPTOR = 'application/vnd.oci.descriptor.v1+json'

/** Every part must be there, and none may contradict another. Throws QUESTION_MALFORMED, OTHER_DIGEST, REFERENCE_INVALID. */
export function readQuestion({ name, digest, mediaType, descriptor }: Written): Question {
  if (name === undefined) throw malformed('-name', 'it is missing')
  if (digest === undefined || !isDigest(digest)) throw malformed('-digest', 'it is no digest that can be checked')
  if (mediaType !== DESCRIPTOR) throw malformed('-stdin-media-type', `only ${DESCRIPTOR} is known`)
  const { digest: described, size } = readDescriptor(descriptor)
  if (described !== digest) throw malformed('the descriptor', `it is of ${described}, and -digest says ${digest}`)
  return question(parseImage(name), digest, size)
}

/** A name that carries a digest means that one and no other. Throws OTHER_DIGEST. */
export function question(image: ImageReference, digest: string, size: number): Question {
  if (image.digest === undefined || image.digest === digest) return { image, digest, size }
  throw new VerifierError('OTHER_DIGEST', { image: printImage(image), digest })
}

function readDescriptor(bytes: Uint8Array): { readonly digest: string; readonly size: number } {
  const root = parse(bytes)
  const [digest, size, mediaType] = ['digest', 'size', 'mediaType'].map((name) =>
    isJsonObject(root) ? member(root, name) : undefined,
  )
  if (typeof digest !== 'string' || typeof mediaType !== 'string' || !isSize(size)) {
    throw malformed('the descriptor', 'it has no mediaType, digest and size')
  }
  return { digest, size }
}

function parse(bytes: Uint8Array): Json {
  try {
    return parseStrictJson(bytes)
  } catch (cause) {
    if (cause instanceof JsonRefused) throw malformed('the descriptor', cause.message, cause)
    throw cause
  }
}

/** Of a size that no image has nothing follows. */
export function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function malformed(what: string, why: string, cause?: unknown): VerifierError {
  return new VerifierError('QUESTION_MALFORMED', { what, why }, cause === undefined ? {} : { cause })
}
