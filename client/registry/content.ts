import { isTag, type RepositoryName } from './reference.ts'

/** Content as its parent lists it. `size` in bytes. */
export type Content = { readonly digest: string; readonly size: number; readonly mediaType?: string }

export type Manifest = { readonly bytes: Uint8Array; readonly mediaType: string }

/** What a tag means to the registry at this moment. `digest` was computed from the bytes it sent. */
export type Resolved = { readonly digest: string; readonly length: number; readonly mediaType: string }

/** Where a registry keeps content. */
export type Kind = 'manifest' | 'blob'

/** Takes bytes in order, each chunk until what it gives is settled: then its memory is used again. Whoever is slow slows the download, not the memory. */
export type Sink = (chunk: Uint8Array) => void | Promise<void>

/** How content is called in messages: by its tag, or by its digest. */
export function nameOf({ name }: RepositoryName, id: string): string {
  return isTag(id) ? `${name}:${id}` : `${name}@${id}`
}
