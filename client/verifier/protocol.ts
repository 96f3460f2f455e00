/**
 * What a verifier and an agent say to each other: one line of JSON each, and the connection ends.
 *
 * Both are of one machine and one version at most apart, and neither believes the other blindly: what is not exactly as
 * written here is no answer, and no answer is a no.
 */
import { isJsonObject, member } from '../../tuf/model/json.ts'
import { isDigest } from '../registry/digest.ts'
import { parseStrictJson } from '../registry/json.ts'
import { parseImage, printImage } from '../registry/reference.ts'
import type { Decision } from './decide.ts'
import { isSize, question } from './question.ts'
import type { Question } from './question.ts'

/** Bytes of a line. */
export const LONGEST_LINE = 16 * 1024
const VERSION = 1

export function printQuestion({ image, digest, size }: Question): string {
  return `${JSON.stringify({ version: VERSION, image: printImage(image), digest, size })}\n`
}

/** Throws what is no question. */
export function parseQuestion(line: Uint8Array): Question {
  const [image, digest, size] = membersOf(line, ['image', 'digest', 'size'])
  if (typeof image !== 'string' || typeof digest !== 'string' || !isDigest(digest) || !isSize(size)) {
    throw new Error('it asks for no image')
  }
  return question(parseImage(image), digest, size)
}

export function printDecision({ exit, code, reason }: Decision): string {
  return `${JSON.stringify({ version: VERSION, exit, code, reason })}\n`
}

/** Throws what is no decision. */
export function parseDecision(line: Uint8Array): Decision {
  const [exit, code, reason] = membersOf(line, ['exit', 'code', 'reason'])
  const known = ([0, 1, 2, 3] as const).find((one) => one === exit)
  if (known === undefined || typeof code !== 'string' || typeof reason !== 'string')
    throw new Error('it decides nothing')
  if ((known === 0) !== (code === 'ADMITTED')) throw new Error('it says both yes and no')
  return { exit: known, code, reason }
}

function membersOf(line: Uint8Array, names: readonly string[]) {
  const root = parseStrictJson(line)
  if (!isJsonObject(root) || member(root, 'version') !== VERSION) throw new Error('it speaks another version')
  return names.map((name) => member(root, name))
}
