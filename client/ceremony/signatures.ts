/** Who has to sign a proposal, who has, and who may not. */
import { keySetOf, ROOT, signersOf } from '../../tuf/index.ts'
import type { Authority, Judge, KeyId, PublicKey, RoleName, Root, Signature, WalkingRoot } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import { CeremonyError } from './errors.ts'
import { namesIn } from './names.ts'
import type { KeyNames } from './names.ts'
import { partsOf } from './opened.ts'
import type { Demand, Opened, Part } from './opened.ts'

export type Tally = Demand & {
  readonly role: RoleName
  /** With its version: `targets 3`. */
  readonly file: string
  readonly need: number
  readonly signed: readonly KeyId[]
  /** Any of these may still sign. */
  readonly missing: readonly KeyId[]
}

export function demandsOnRoot(judge: Judge, chain: readonly WalkingRoot[], next: Root): readonly Demand[] {
  const followed = chain.at(-1)?.root
  return [followed, next].flatMap((root) =>
    root === undefined ? [] : [{ by: `root ${root.version}`, authority: judge.codec.rootAuthority(root, judge) }],
  )
}

/** How far each demand is met. */
export function tallyOf(opened: Opened): readonly Tally[] {
  const { suite } = opened.judge
  return partsOf(opened).flatMap(({ role, signed, demands }) =>
    demands.map((demand) => {
      const { keyids, threshold } = demand.authority.role
      const signers = signersOf(demand.authority, signed, suite)
      const isIn = (id: KeyId) => {
        const key = demand.authority.keys.get(id)
        return key !== undefined && signers.has(suite.open(key)?.identity ?? '')
      }
      return {
        ...demand,
        role,
        file: `${role} ${signed.body.version}`,
        need: threshold,
        signed: [...signers.values()],
        missing: keyids.filter((id) => !isIn(id)),
      }
    }),
  )
}

export function isMet({ need, signed }: Tally): boolean {
  return signed.length >= need
}

/** Throws SIGNATURES_MISSING for the first file that nobody would take yet. */
export function refuseMissing(opened: Opened): void {
  const open = tallyOf(opened).find((tally) => !isMet(tally))
  if (open === undefined) return
  const { file: role, need, signed, missing } = open
  const keys = missing.map((id) => callOf(opened, id))
  throw new CeremonyError('SIGNATURES_MISSING', { role, need, have: signed.length, keys })
}

/**
 * Every signature must be a valid one of a key that has a say: one that is not shows that somebody altered the file,
 * and where it came from is a question for people. Throws SIGNER_UNKNOWN and SIGNATURE_FOREIGN.
 */
export function refuseForeign(opened: Opened): void {
  for (const part of partsOf(opened)) {
    const keys = keysFor(opened, part)
    for (const signature of part.signed.signatures) refuseOne(opened, part, signature, keys.get(signature.keyid))
  }
}

function refuseOne(
  opened: Opened,
  { role, signed }: Part,
  { keyid, sig, scheme }: Signature,
  key: PublicKey | undefined,
): void {
  const at = { file: opened.file, role: `${role} ${signed.body.version}`, key: callOf(opened, keyid) }
  if (key === undefined) throw new CeremonyError('SIGNER_UNKNOWN', at)
  const fits = scheme === undefined || scheme === key.scheme
  if (!fits || opened.judge.suite.open(key)?.verify(signed.payload, sig) !== true)
    throw new CeremonyError('SIGNATURE_FOREIGN', at)
}

/**
 * The keys whose signatures may stand on a file. Old clients of Notary know older roots alone, and are brought along by
 * signatures of those.
 */
export function keysFor(
  { judge, chain }: Pick<Opened, 'judge' | 'chain'>,
  { role, demands }: Part,
): ReadonlyMap<KeyId, PublicKey> {
  const older =
    role === ROOT && customsOf(judge.codec).oldRootsSign ? chain.flatMap(({ root }) => keySetOf(root, ROOT).keys) : []
  const asked = demands.flatMap(({ authority }) => keysIn(authority))
  return new Map([...older, ...asked].map((key) => [key.id, key]))
}

function keysIn({ role, keys }: Authority): readonly PublicKey[] {
  return role.keyids.flatMap((id) => keys.get(id) ?? [])
}

/** How people know a key: by its name, where the roots give it one, and enough of its id to tell it from others. */
export function callOf(opened: Pick<Opened, 'chain' | 'root'>, id: string): string {
  const name = namesOf(opened).get(id)
  return name === undefined ? id.slice(0, 64) : `${name} (${id.slice(0, 12)})`
}

/** A name that the followed root gave stays, whatever the new one says: more people signed that. */
export function namesOf({ chain, root }: Pick<Opened, 'chain' | 'root'>): KeyNames {
  const followed = chain.at(-1)?.root
  return new Map([...namesIn(root.signed.body), ...(followed === undefined ? [] : namesIn(followed))])
}
