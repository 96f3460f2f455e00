/** The trust rules, pure: no disk, network, clock, randomness or Node built-in. Runs in a browser as it is. */
export type * from './model/ids.ts'
export type * from './model/json.ts'
export type * from './model/limits.ts'
export type * from './model/metadata.ts'
export type * from './model/suite.ts'
export type * from './codec/codec.ts'
export type { KeyIdExceptions } from './codec/tuf-keys.ts'
export type * from './verify/states.ts'
export type { Authority } from './verify/threshold.ts'
export type { Found, Wanted } from './verify/search.ts'
export type { WantedFile } from './verify/files.ts'
export type { Delegate } from './verify/delegations.ts'
export type { EditContext, KeySet, RootKeys, TargetsChange } from './edit/roles.ts'
export type { NewDelegation } from './edit/delegations.ts'
export type { AnyTrustError, TrustCode, TrustFailures } from './errors.ts'
export { TrustError, isTrustError } from './errors.ts'
export { ROOT, SNAPSHOT, TARGETS, TIMESTAMP, instant, keyId, roleName, threshold, version } from './model/ids.ts'
export { isJsonList, isJsonObject, member, members } from './model/json.ts'
export { DEFAULT_LIMITS } from './model/limits.ts'
export { REPOSITORY_FIELD, repositoryOf } from './model/repository.ts'
export { decodeJson, encodeCanonical, encodeText, encodeWire } from './codec/json.ts'
export { compareCodePoints } from './codec/order.ts'
export { decodeHex, encodeHex } from './codec/hex.ts'
export { SPEC_VERSION } from './codec/tuf-bodies.ts'
export { codecOf } from './codec/dialect.ts'
export { notaryCodec } from './codec/notary.ts'
export { tufCodec, tufCodecWith } from './codec/tuf.ts'
export { acceptRoot, authorityOf, finishRoot, onlineKeys, openRoot } from './verify/root.ts'
export { acceptTimestamp } from './verify/timestamp.ts'
export { acceptSnapshot } from './verify/snapshot.ts'
export { acceptDelegated, acceptTargets, delegatedAuthority, listedMeta } from './verify/targets.ts'
export { binFor, binNames, delegatesFor, delegationTo, inScope, listedRoles } from './verify/delegations.ts'
export { matchesPath } from './verify/glob.ts'
export { search } from './verify/search.ts'
export { stillTrusted } from './verify/cached.ts'
export { fileName, rootFile, snapshotFile, targetsFile, timestampFile } from './verify/files.ts'
export { signersOf, verifyThreshold } from './verify/threshold.ts'
export { refuseHashes, refuseLength, refuseMismatch } from './verify/checks.ts'
export {
  firstRoot,
  firstTargets,
  keySetOf,
  nextRoot,
  nextSnapshot,
  nextTargets,
  nextTimestamp,
  roleKeys,
} from './edit/roles.ts'
export { succinctBins, withDelegation, withoutDelegation } from './edit/delegations.ts'
export { newRoleName, refusePattern, refuseTag, refuseTargetPath } from './edit/names.ts'
