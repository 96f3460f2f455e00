import type { ServedFiles } from '../serve/files.ts'
import type { ReadingStore } from '../storage/store.ts'

type Proof = { readonly at: number; readonly revision: number }

/** Repositories of which it is remembered what was proven. */
const MOST = 10_000

/**
 * Files in memory that another process may have replaced by now. Before each answer the database is asked whether
 * anything was committed since, and then whether it was in this repository: so nobody is ever served what was true
 * before a publish that was acknowledged before they asked.
 */
export function provenFiles(store: Pick<ReadingStore, 'commits' | 'revision'>, files: ServedFiles): ServedFiles {
  const proven = new Map<string, Proof>()
  return {
    ...files,
    async get(repository, file, toPublish) {
      prove(repository, store.commits())
      return files.get(repository, file, toPublish)
    },
    inMemory() {
      const at = store.commits()
      const find = files.inMemory()
      return (repository, file) => {
        prove(repository, at)
        return find(repository, file)
      }
    },
  }

  function prove(repository: string, at: number): void {
    const before = proven.get(repository)
    if (before?.at === at) return
    const revision = store.revision(repository)
    if (before?.revision !== revision) forget(repository)
    if (revision === undefined) return
    proven.set(repository, { at, revision })
    if (proven.size > MOST) forget(proven.keys().next().value ?? repository)
  }

  /** What is not proven is not kept either. */
  function forget(repository: string): void {
    proven.delete(repository)
    files.changed(repository)
  }
}
