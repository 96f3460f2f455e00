import { join } from 'node:path'
import { isKeyError } from '../keys/errors.ts'
import type { Kek } from '../keys/kek.ts'
import { loadKek, makeKekFile } from '../keys/keystore/kek.ts'
import { randomBytes } from '../keys/random.ts'
import { seal, unseal } from '../keys/sealed.ts'
import { ConfigError } from './config-error.ts'
import type { SettingStore } from './storage/store.ts'

const CHECK = 'kek check'
const PURPOSE = [CHECK]

/** Where it is proven: the settings of a database. */
type Proving = { readonly settings: Pick<SettingStore, 'get' | 'settle'> }

export type KekSources = {
  readonly data: string
  readonly file?: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * The key-encryption key of this folder, proven to be the one that its keys are sealed under. Made where nothing was
 * sealed yet; otherwise its absence is an error, for a new one would open none of them. Throws ConfigError, KeyError.
 */
export async function openKek(store: Proving, { data, file, env }: KekSources): Promise<Kek> {
  const own = join(data, 'kek')
  const check = await store.settings.get(CHECK)
  const given = await loadKek({ env, fallback: own, ...(file === undefined ? {} : { file }) })
  if (given === undefined && check !== undefined) throw new ConfigError('KEK_NEEDED', { data })
  const kek = given ?? (await makeKekFile(own))
  if (check === undefined) await store.settings.settle(CHECK, seal(kek, PURPOSE, randomBytes(16)))
  await proveKek(store, kek)
  return kek
}

/** A sentence where what is sealed here does not open with this key. */
export async function whyNoKeys(store: Proving, kek: Kek): Promise<string | undefined> {
  try {
    await proveKek(store, kek)
    return undefined
  } catch (error) {
    if (!isKeyError(error)) throw error
    return 'its signing keys cannot be opened'
  }
}

/** Throws KeyError unless what is sealed here opens with this key. */
async function proveKek(store: Proving, kek: Kek): Promise<void> {
  unseal(kek, PURPOSE, (await store.settings.get(CHECK)) ?? new Uint8Array()).fill(0)
}
