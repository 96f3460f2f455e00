/** Files that name images, and the same files with digests. */
import { basename, dirname, resolve } from 'node:path'
import { usage } from '../commands/errors.ts'
import { readUserFile } from '../files.ts'
import { imagesInDockerfile } from './dockerfile.ts'
import { malformed } from './named.ts'
import type { Named, Values } from './named.ts'
import { filesOfCompose, imagesInYaml } from './yaml-file.ts'

export type Source = { readonly path: string; readonly text: string; readonly images: readonly Named[] }

const LARGEST = 4 * 1024 * 1024
const MOST_IMAGES = 10_000

/** Throws FILE_UNREADABLE, FILE_MALFORMED with the line, and USAGE for files of no known kind. */
export async function readSource(path: string, values: Values): Promise<Source> {
  const bytes = await readUserFile(path, LARGEST)
  const text = decode(bytes, path)
  const images = kindOf(path)(text, path, values)
  if (images.length > MOST_IMAGES) throw malformed(path, 1, `it names more than ${MOST_IMAGES} images`)
  return { path, text, images }
}

/** What a file takes in has to be among them, or its images would go unseen. Throws FILE_MALFORMED with the line. */
export function refuseUnnamed(sources: readonly Source[]): void {
  const given = new Set(sources.map(({ path }) => resolve(path)))
  for (const { path, text } of sources) {
    if (kindOf(path) !== imagesInYaml) continue
    for (const other of filesOfCompose(text, path)) {
      if (given.has(resolve(dirname(path), other.path))) continue
      throw malformed(path, other.line, `it takes in ${other.path}; name that file as well`)
    }
  }
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed(path, 1, 'it is no UTF-8', cause)
  }
}

function kindOf(path: string): typeof imagesInYaml {
  const name = basename(path).toLowerCase()
  if (/\.(?:ya?ml|json)$/.test(name)) return imagesInYaml
  if (/(?:^|[._-])(?:dockerfile|containerfile)(?:$|[._-])/.test(name)) return imagesInDockerfile
  throw usage(
    `${path} is neither a Dockerfile nor YAML, by its name`,
    'tagseal pin Dockerfile compose.yaml manifests.yaml',
  )
}

export type Replacement = { readonly named: Named; readonly image: string }

/** Everything else in the file stays as it is, byte for byte. */
export function rewritten({ text }: Source, replacements: readonly Replacement[]): string {
  const places = new Map(
    replacements.flatMap(({ named, image }) => (named.place ? [[named.place.start, { ...named.place, image }]] : [])),
  )
  let result = ''
  let from = 0
  for (const { start, end, quote, image } of [...places.values()].toSorted((a, b) => a.start - b.start)) {
    result += `${text.slice(from, start)}${quote}${image}${quote}`
    from = end
  }
  return result + text.slice(from)
}
