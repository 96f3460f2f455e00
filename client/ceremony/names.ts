/**
 * What people call the keys of a root (ADR 0024): a signed member of the root itself, so that whoever reviews the next
 * root sees the names that a threshold of holders agreed on, and no file on the way can rename a key.
 */
import { isKeyName } from '../../keys/keystore/key-file.ts'
import { isJsonObject, member } from '../../tuf/index.ts'
import type { Root } from '../../tuf/index.ts'

const FIELD = 'x-tagseal-key-names'

/** By key id. */
export type KeyNames = ReadonlyMap<string, string>

/** The names that a root gives its keys; none where they are not as we write them. */
export function namesIn({ unknown, keys }: Pick<Root, 'unknown' | 'keys'>): KeyNames {
  const value = unknown.get(FIELD)
  const names = new Map<string, string>()
  for (const id of isJsonObject(value) ? keys.keys() : []) {
    const name = isJsonObject(value) ? member(value, id) : undefined
    if (typeof name === 'string' && isKeyName(name)) names.set(id, name)
  }
  return names
}

/** The root with these names for its keys, and with none for any other. */
export function withNames(root: Root, names: KeyNames): Root {
  const unknown = new Map(root.unknown)
  unknown.delete(FIELD)
  const kept = [...names].filter(([id]) => [...root.keys.keys()].some((key) => key === id))
  if (kept.length > 0) unknown.set(FIELD, Object.fromEntries(kept))
  return { ...root, unknown }
}
