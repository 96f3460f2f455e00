import { decodeJson, isJsonObject, isTrustError, member } from '../../tuf/index.ts'
import type { Json } from '../../tuf/index.ts'
import { readUserFile } from '../files.ts'
import { CommandError } from './errors.ts'

/** What a build says it pushed, and under which names. */
export type BuildMetadata = { readonly digest: string; readonly names: readonly string[] }

const MAX_FILE = 16 * 1024 * 1024

/** Reads what `docker buildx build --metadata-file` writes (also buildctl's). Throws FILE_MALFORMED. */
export async function readBuildMetadata(path: string): Promise<BuildMetadata> {
  const root = parse(path, await readUserFile(path, MAX_FILE))
  if (!isJsonObject(root)) throw malformed(path, 'it is no JSON object')
  const digest = textOf(member(root, 'containerimage.digest')) ?? descriptorDigest(root)
  if (digest === undefined) throw malformed(path, 'it names no containerimage.digest: was the image pushed (--push)?')
  const names = (textOf(member(root, 'image.name')) ?? '').split(',').map((name) => name.trim())
  return { digest, names: names.filter((name) => name !== '') }
}

function descriptorDigest(root: Parameters<typeof member>[0]): string | undefined {
  const descriptor = member(root, 'containerimage.descriptor')
  return isJsonObject(descriptor) ? textOf(member(descriptor, 'digest')) : undefined
}

/** Attestations in the file are of no concern here and may be deeply nested. */
function parse(path: string, bytes: Uint8Array): Json {
  try {
    return decodeJson(bytes, { depth: 128, what: 'build metadata' })
  } catch (error) {
    if (isTrustError(error)) throw malformed(path, error.message)
    throw error
  }
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function malformed(path: string, why: string): CommandError {
  return new CommandError('FILE_MALFORMED', { path, why })
}
