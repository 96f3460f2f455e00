import { TrustError } from '../errors.ts'
import type { KeyId, RoleName } from '../model/ids.ts'
import type { Metadata, PublicKey, RoleKeys, Signed, Verified } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'

/** Whose signatures count for a file: the role's entry in its delegator, and the delegator's keys. */
export type Authority = {
  readonly name: RoleName
  readonly role: RoleKeys
  readonly keys: ReadonlyMap<KeyId, PublicKey>
}

/**
 * The one place where trust is made. Counts distinct public keys of the role with a valid signature over the payload:
 * not signatures, and not key ids, for one key may be listed under several. Throws THRESHOLD.
 */
export function verifyThreshold<M extends Metadata>(
  authority: Authority,
  signed: Signed<M>,
  suite: Suite,
): Verified<M> {
  const have = countSigners(authority, signed, suite)
  const need = authority.role.threshold
  if (have < need) throw new TrustError('THRESHOLD', { role: authority.name, need, have })
  return signed.body as Verified<M>
}

/** The keys of the role that signed: what a history records, and what `status` shows. */
export function signersOf(authority: Authority, signed: Signed<Metadata>, suite: Suite): ReadonlyMap<string, KeyId> {
  const signers = new Map<string, KeyId>()
  const tried = new Set<string>()
  for (const { keyid, sig } of signed.signatures) {
    if (sig.length === 0 || !authority.role.keyids.includes(keyid)) continue
    const key = authority.keys.get(keyid)
    const verifier = key && suite.open(key)
    if (verifier === undefined || signers.has(verifier.identity)) continue
    if (alreadyTried(tried, verifier.identity, sig)) continue
    if (verifier.verify(signed.payload, sig)) signers.set(verifier.identity, keyid)
  }
  return signers
}

function countSigners(authority: Authority, signed: Signed<Metadata>, suite: Suite): number {
  return signersOf(authority, signed, suite).size
}

/** A thousand copies of one wrong signature cost one check, not a thousand. */
function alreadyTried(tried: Set<string>, identity: string, sig: Uint8Array): boolean {
  const attempt = `${identity} ${sig.join(',')}`
  if (tried.has(attempt)) return true
  tried.add(attempt)
  return false
}
