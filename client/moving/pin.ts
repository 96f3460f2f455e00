import { sameBytes } from '../../keys/bytes.ts'
import { authorityOf, ROOT, signersOf, threshold } from '../../tuf/index.ts'
import type { KeyId, PublicKey, WalkingRoot } from '../../tuf/index.ts'
import { MovingError } from './errors.ts'

/** Whose word the old roots are taken on. */
export type MovingPin = { readonly meets: (trust: WalkingRoot, bytes: Uint8Array) => boolean; readonly given: boolean }

/** That very file. */
export function rootPin(root: Uint8Array): MovingPin {
  return { given: true, meets: (_trust, bytes) => sameBytes(bytes, root) }
}

/** A root that so many of these keys signed, each named as `notary key list` names it, or as the root does. */
export function keysPin(ids: readonly string[], need: number): MovingPin {
  return {
    given: true,
    meets(trust, bytes) {
      const { codec, suite } = trust
      const named = (key: PublicKey) => codec.keyNames(key, suite).some((name) => ids.includes(name))
      const keyids = [...trust.root.keys.values()].filter(named).map(({ id }) => id)
      return signersAmong(trust, bytes, keyids) >= need
    },
  }
}

/** The old server's own word. */
export const TOFU_PIN: MovingPin = { given: true, meets: () => true }
export const NO_PIN: MovingPin = { given: false, meets: () => false }

/** Throws PIN_NEEDED and PIN_NOT_FOUND. */
export function refuseUnpinned(
  repository: string,
  pin: MovingPin,
  trust: WalkingRoot | undefined,
  met: boolean,
): WalkingRoot {
  const found = trust === undefined ? [] : rootKeyNames(trust)
  if (trust !== undefined && met) return trust
  throw new MovingError(pin.given ? 'PIN_NOT_FOUND' : 'PIN_NEEDED', { repository, found })
}

/** The keys of a root, as `notary key list` names them. */
export function rootKeyNames({ root, codec, suite }: WalkingRoot): readonly string[] {
  const { keys, role } = authorityOf(root, ROOT)
  return role.keyids.flatMap((id) => {
    const key = keys.get(id)
    return key === undefined ? [] : [codec.keyNames(key, suite).at(-1) ?? id]
  })
}

function signersAmong(
  { root, codec, suite, limits }: WalkingRoot,
  bytes: Uint8Array,
  keyids: readonly KeyId[],
): number {
  const role = { keyids, threshold: threshold(1), unknown: new Map() }
  return signersOf({ name: ROOT, role, keys: root.keys }, codec.decode('root', bytes, { suite, limits }), suite).size
}
