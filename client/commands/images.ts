import { parseImage } from '../registry/reference.ts'
import type { ImageReference } from '../registry/reference.ts'
import type { Terminal } from '../terminal.ts'
import { usage } from './errors.ts'

/** An image whose tag somebody named: what signatures are about. `digest` where it was named as well. */
export type TaggedImage = ImageReference & { readonly tag: string; readonly text: string }

/** Throws USAGE for an image by digest alone: a signature says what a tag means. */
export function parseTagged(text: string): TaggedImage {
  const image = parseImage(text)
  const { tag } = image
  if (tag === undefined) {
    throw usage(
      `${text} names no tag, and tags are what is signed`,
      `name one: ${image.name}:TAG@${image.digest ?? ''}`,
    )
  }
  return { ...image, tag, text }
}

/** The same for what cannot be taken back by asking again. Throws USAGE where `latest` is only what was left unsaid. */
export function parseSpelledOut(text: string): TaggedImage {
  const image = parseTagged(text)
  if (!isUnsaid(image)) return image
  const { name } = image
  throw usage(
    `${text} names no tag`,
    `name it, also where it is latest: ${name}:latest; tagseal list ${name} shows the tags`,
  )
}

/** Whether `latest` is only docker's word for a tag that nobody named. */
export function isUnsaid({ tag, text }: TaggedImage): boolean {
  return tag === 'latest' && !/:latest(?:@|$)/.test(text)
}

/** Docker says so as well, and who means another tag should not have to find out by its digest. */
export function sayUnsaid({ note }: Pick<Terminal, 'note'>, image: TaggedImage): void {
  if (isUnsaid(image)) note(`${image.text} names no tag: ${image.name}:latest is meant`)
}

/** The images of each repository, in the order in which they were named, each once. */
export function byRepository<T extends TaggedImage>(images: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const image of images) {
    const group = groups.get(image.name) ?? []
    const twin = group.find(({ tag }) => tag === image.tag)
    if (twin === undefined) group.push(image)
    else if (twin.digest !== image.digest)
      throw usage(`${image.name}:${image.tag} is named twice, with different digests`)
    groups.set(image.name, group)
  }
  return groups
}
