import { isTrustError } from '../../tuf/index.ts'
import type { WantedFile } from '../../tuf/index.ts'
import { cameAlong } from './fetch.ts'
import type { MetadataSource } from './fetch.ts'

export type Sources = MetadataSource | readonly MetadataSource[]
export type Accepted<T> = { readonly bytes: Uint8Array; readonly value: T }

export type Wish<T> = {
  readonly file: WantedFile
  /** Throws where the bytes are not to be trusted. */
  readonly accept: (bytes: Uint8Array) => T
  readonly signal: AbortSignal | undefined
}
type Outcome<T> = { readonly accepted?: Accepted<T>; readonly absent: boolean; readonly failure: Error | undefined }

/** A file that must be there. undefined where every source that answered says it is not. */
export async function fetchNeeded<T>(sources: Sources, wish: Wish<T>): Promise<Accepted<T> | undefined> {
  const { accepted, failure } = await fetchFirst(sources, wish)
  if (accepted === undefined && failure !== undefined) throw failure
  return accepted
}

/**
 * A file that may not exist yet. undefined where one source says that it does not and none has a good one; then what
 * the other sources answered does not matter. With a single source, its error is an error and no absence.
 */
export async function fetchNext<T>(sources: Sources, wish: Wish<T>): Promise<Accepted<T> | undefined> {
  const { accepted, absent, failure } = await fetchFirst(sources, wish)
  if (accepted === undefined && !absent && failure !== undefined) throw failure
  return accepted
}

/** The first source with a file that is accepted wins: one that lies or fails costs a request and decides nothing. */
async function fetchFirst<T>(sources: Sources, wish: Wish<T>): Promise<Outcome<T>> {
  const failures: Error[] = []
  let absent = false
  for (const source of asList(sources)) {
    try {
      const accepted = await fetchFrom(source, wish)
      if (accepted !== undefined) return { accepted, absent, failure: undefined }
      absent = true
    } catch (error) {
      wish.signal?.throwIfAborted()
      failures.push(error instanceof Error ? error : new Error(String(error)))
    }
  }
  return { absent, failure: failures.find(isTrustError) ?? failures[0] }
}

async function fetchFrom<T>(source: MetadataSource, wish: Wish<T>): Promise<Accepted<T> | undefined> {
  const { file, accept, signal } = wish
  const bytes = await source.get(file.name, file.maxBytes, signal)
  if (bytes === undefined) return undefined
  try {
    return { bytes, value: accept(bytes) }
  } catch (error) {
    // A cache that keeps what it must not keep may have sent it along. What is asked for by its name decides.
    if (!isTrustError(error) || !cameAlong(bytes)) throw error
    return await fetchFrom(source, wish)
  }
}

function asList(sources: Sources): readonly MetadataSource[] {
  return 'get' in sources ? [sources] : sources
}
