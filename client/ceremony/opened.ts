import type { Authority, Judge, RoleName, Root, Signed, Targets, WalkingRoot } from '../../tuf/index.ts'
import type { CeremonyError } from './errors.ts'
import type { Proposal } from './proposal.ts'

/** Whose signatures a file needs, and how many: a root those of the root before it and its own. */
export type Demand = {
  /** Whose word it is: `root 3`. */
  readonly by: string
  readonly authority: Authority
}

/** One file that is to be published, and whose signatures it needs. */
export type PartOf<M extends Root | Targets> = {
  readonly role: RoleName
  readonly signed: Signed<M>
  readonly demands: readonly Demand[]
}
export type Part = PartOf<Root> | PartOf<Targets>

/** A proposal as it was found to be when it was checked against itself (`open.ts`). */
export type Opened = {
  /** For people. */
  readonly file: string
  readonly proposal: Proposal
  /** Tells this proposal from every other one, whoever signed it so far: for people to compare. */
  readonly fingerprint: string
  readonly judge: Judge
  /** The links of the chain, each accepted by the one before; the last is the root that is followed. */
  readonly chain: readonly WalkingRoot[]
  readonly root: PartOf<Root>
  /** The targets roles that go with it, whoever delegates before the role it delegates to. */
  readonly companions: readonly Companion[]
  /** Targets that stay as they are published, where they must count under other keys than before. */
  readonly staying: Targets | undefined
}

export type Companion = PartOf<Targets> & {
  /** What the role says now; undefined where the repository is founded. */
  readonly before: Targets | undefined
}

/** What a part is judged by, and how a refusal of it is made. */
export type Question = {
  readonly judge: Judge
  readonly chain: readonly WalkingRoot[]
  readonly proposal: Proposal
  readonly file: string
  readonly unsound: (why: string) => CeremonyError
}

export function partsOf({ root, companions }: Pick<Opened, 'root' | 'companions'>): readonly Part[] {
  return [root, ...companions]
}

/** The root that the new one follows; undefined where the repository is founded. */
export function followedBy({ chain }: Pick<Opened, 'chain'>): WalkingRoot | undefined {
  return chain.at(-1)
}

/** What was signed of a link of the chain. */
export function payloadOf({ codec, rootBytes, suite, limits }: WalkingRoot): Uint8Array {
  return codec.decode('root', rootBytes, { suite, limits }).payload
}
