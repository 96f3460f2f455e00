/** What keys are called on a token or by a program, and how storage says which one it means. */
import type { OnlineRole } from '../../keys/online.ts'
import { randomName } from '../../keys/random.ts'
import type { FoundKey } from '../../keys/signers/custodian.ts'
import { formatUri, parseUri } from '../../keys/signers/pkcs11/uri.ts'

/**
 * How references of one kind are taken apart. `place` is what the settings say, and the only thing that ever says which
 * module is loaded and which program runs: whoever can write to the database must not choose that.
 */
export type KeyNames = {
  /** The reference of a key that shall be made. */
  readonly fresh: (place: string, label: string) => string
  /** What is kept of it. */
  readonly kept: (found: FoundKey, label: string) => string
  /** The reference of a key that was kept; undefined for one from another place. */
  readonly again: (place: string, kept: string) => string | undefined
}

export const KEY_NAMES: Readonly<Record<'pkcs11' | 'exec', KeyNames>> = {
  pkcs11: {
    fresh: (place, label) => formatUri({ ...parseUri(place), object: label }),
    kept({ reference }) {
      const { token, object, id } = parseUri(reference)
      return formatUri({ ...defined({ token, object }), ...(id !== undefined && { id }) })
    },
    again(place, kept) {
      if (!kept.startsWith('pkcs11:')) return undefined
      const [here, key] = [parseUri(place), parseUri(kept)]
      return here.token !== undefined && here.token !== key.token ? undefined : formatUri({ ...key, ...here })
    },
  },
  exec: {
    fresh: withArgument,
    kept: (_found, label) => `exec:${label}`,
    again: (place, kept) => (kept.startsWith('exec:') ? withArgument(place, kept.slice('exec:'.length)) : undefined),
  },
}

/** Tells people what it is for, fits into a file name, and is no other key's. */
export function newLabel({ repository, role }: OnlineRole): string {
  return `${role}-${repository.replaceAll(/[^A-Za-z0-9.-]/g, '_').slice(0, 120)}-${randomName()}`
}

/** The label is the program's last argument; a key that all share has none. */
function withArgument(place: string, label: string): string {
  if (label === '') return place
  return `${place}${place.includes('?') ? '&' : '?'}arg=${encodeURIComponent(label)}`
}

function defined(texts: { readonly token: string | undefined; readonly object: string | undefined }) {
  const { token, object } = texts
  return { ...(token !== undefined && { token }), ...(object !== undefined && { object }) }
}
