/** Which keys of this machine a proposal waits for, and their signatures. */
import type { Keystore } from '../../keys/keystore/keystore.ts'
import { isKeyError } from '../../keys/errors.ts'
import { signAs } from '../../keys/public-key.ts'
import type { PublicKey, RoleName, Signature } from '../../tuf/index.ts'
import { PublishError } from '../publish/errors.ts'
import { keystoreIdOf } from '../publish/keyring.ts'
import { CeremonyError } from './errors.ts'
import { withSignatures } from './merge.ts'
import { partsOf } from './opened.ts'
import type { Opened, Part } from './opened.ts'
import { callOf, keysFor } from './signatures.ts'

/** One signature that a key here can give. `wanted` is how the keystore knows the key. */
export type Chore = {
  readonly role: RoleName
  readonly payload: Uint8Array
  readonly key: PublicKey
  readonly wanted: string
  readonly done: boolean
}

/**
 * What keys of this machine can sign, or have signed: every one that fits, or those that are named, and then each must
 * fit. Nobody is asked for a passphrase. Throws NO_KEY_FITS, KEY_NOT_IN_ROLE and KEY_NOT_FOUND.
 */
export async function choresFor(
  opened: Opened,
  keystore: Keystore,
  named: readonly string[],
): Promise<readonly Chore[]> {
  const all = partsOf(opened).flatMap((part) => choresOn(opened, part, named.length > 0))
  const ids = await Promise.all(named.map(async (name) => await idFor(name, keystore, all)))
  const here = new Set(named.length > 0 ? ids : (await keystore.index()).map(({ id }) => id))
  const chores = all.filter(({ wanted }) => here.has(wanted))
  const stranger = named.find((_, i) => !chores.some(({ wanted }) => wanted === ids[i]))
  if (stranger !== undefined) throw new PublishError('KEY_NOT_IN_ROLE', { role: 'root', key: stranger })
  if (chores.length > 0) return chores
  const keys = [...new Set(all.map(({ key }) => callOf(opened, key.id)))]
  throw new CeremonyError('NO_KEY_FITS', { repository: opened.proposal.repository, keys })
}

/** Throws what a signer throws; then nothing was signed at all. */
export async function signChores(opened: Opened, chores: readonly Chore[], keystore: Keystore): Promise<Opened> {
  const added = new Map<RoleName, Signature[]>()
  for (const wanted of new Set(chores.map((chore) => chore.wanted))) {
    const signer = await keystore.open(wanted)
    try {
      for (const { role, payload, key } of chores.filter((chore) => chore.wanted === wanted)) {
        added.set(role, [...(added.get(role) ?? []), await signAs(key, signer, payload)])
      }
    } finally {
      signer.close()
    }
  }
  return withSignatures(opened, added)
}

/** A key that only older roots list signs where it is named, and not by itself. */
function choresOn(opened: Opened, part: Part, older: boolean): readonly Chore[] {
  const { role, signed, demands } = part
  const asked = new Set(demands.flatMap(({ authority }) => authority.role.keyids))
  return [...keysFor(opened, part).values()]
    .filter(({ id }) => older || asked.has(id))
    .flatMap((key) => {
      const wanted = keystoreIdOf(key)
      const done = signed.signatures.some(({ keyid }) => keyid === key.id)
      return wanted === undefined ? [] : [{ role, payload: signed.payload, key, wanted, done }]
    })
}

/** A key may be named by its id in the metadata too, which that of a certificate may be. */
async function idFor(name: string, keystore: Keystore, chores: readonly Chore[]): Promise<string> {
  try {
    return (await keystore.find(name)).id
  } catch (error) {
    const known = chores.find(({ key }) => key.id === name)
    if (known !== undefined && isKeyError(error) && error.code === 'KEY_NOT_FOUND') return known.wanted
    throw error
  }
}
