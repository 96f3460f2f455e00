import type { Signer } from '../../keys/signer.ts'

export type OpenedKeys = {
  /** Lends the signer of that name, which `open` makes where none is kept. */
  readonly lend: <T>(name: string, open: () => Signer, use: (signer: Signer) => Promise<T>) => Promise<T>
  /** Closes all that is kept. */
  readonly close: () => void
}

/** `most` of them at once, each for no longer than `forMs` milliseconds after it was used. */
export type Keeping = { readonly most: number; readonly forMs: number }

type Kept = { readonly signer: Signer; readonly timer: NodeJS.Timeout }

/**
 * Keeps signers open for a moment after they were used: to open one costs several times what it costs to sign
 * (ADR 0030). Who uses one has it alone, so that none is closed while it signs; a second one that is opened meanwhile
 * is closed when it comes back.
 */
export function keepOpened({ most, forMs }: Keeping): OpenedKeys {
  const kept = new Map<string, Kept>()

  function take(name: string): Signer | undefined {
    const found = kept.get(name)
    clearTimeout(found?.timer)
    kept.delete(name)
    return found?.signer
  }

  function giveBack(name: string, signer: Signer): void {
    take(name)?.close()
    const timer = setTimeout(() => take(name)?.close(), forMs).unref()
    kept.set(name, { signer, timer })
    const [oldest] = kept.keys()
    if (kept.size > most && oldest !== undefined) take(oldest)?.close()
  }

  return {
    async lend(name, open, use) {
      const signer = take(name) ?? open()
      try {
        const result = await use(signer)
        giveBack(name, signer)
        return result
      } catch (error) {
        signer.close()
        throw error
      }
    },
    close() {
      for (const name of kept.keys()) take(name)?.close()
    },
  }
}
