import { TrustError } from '../errors.ts'
import type { Authority } from '../model/authority.ts'
import type { KeyId } from '../model/ids.ts'
import type { Metadata, Signed, Verified } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'

/**
 * The one place where trust is made. Counts distinct public keys of the role with a valid signature over the payload:
 * not signatures, and not key ids, for one key may be listed under several. Throws THRESHOLD.
 */
export function verifyThreshold<M extends Metadata>(
  authority: Authority,
  signed: Signed<M>,
  suite: Suite,
): Verified<M> {
  const have = signersOf(authority, signed, suite).size
  const need = authority.role.threshold
  if (have < need) throw new TrustError('THRESHOLD', { role: authority.name, need, have })
  return signed.body as Verified<M>
}

/**
 * The distinct keys of the role that signed, by identity, each with the id it signed under. What a threshold counts,
 * and what a history records.
 */
export function signersOf(authority: Authority, signed: Signed<Metadata>, suite: Suite): ReadonlyMap<string, KeyId> {
  const trusted = new Set(authority.role.keyids)
  const signers = new Map<string, KeyId>()
  for (const { keyid, sig, scheme } of signed.signatures) {
    const key = trusted.has(keyid) ? authority.keys.get(keyid) : undefined
    if (scheme !== undefined && scheme !== key?.scheme) continue
    // An empty signature is a place kept free for somebody who has not signed yet.
    const verifier = key === undefined || sig.length === 0 ? undefined : suite.open(key)
    if (verifier === undefined || signers.has(verifier.identity)) continue
    if (verifier.verify(signed.payload, sig)) signers.set(verifier.identity, keyid)
  }
  return signers
}
