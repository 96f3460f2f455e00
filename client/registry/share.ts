import { isRegistryError } from './errors.ts'

/**
 * Does for several askers at once what need be done only once. A failure is everybody's; but where the asker who
 * began it has stopped (its signal's reason comes out, and no RegistryError), the next one begins anew.
 */
export async function share<T>(
  underway: Map<string, Promise<T>>,
  key: string,
  make: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let shared = underway.get(key); shared !== undefined; shared = underway.get(key)) {
    try {
      return await shared
    } catch (error) {
      if (isRegistryError(error)) throw error
      signal?.throwIfAborted()
    }
  }
  const own = make()
  underway.set(key, own)
  try {
    return await own
  } finally {
    underway.delete(key)
  }
}
