/** What keeps people from proposing, signing or publishing a root together, beside metadata that must not be trusted. */
export type CeremonyFailures = {
  /** The file is no proposal as we write them. */
  readonly PROPOSAL_MALFORMED: { readonly file: string; readonly why: string }
  /** What it proposes is nothing that a repository could become by a ceremony. */
  readonly PROPOSAL_UNSOUND: { readonly file: string; readonly why: string }
  /** The words in the file are not what its metadata says: `told` stands there where `meant` should. */
  readonly WORDS_DIFFER: { readonly file: string; readonly told: string; readonly meant: string }
  /** A file that goes with the root has a tag mean what it did not mean before. */
  readonly TAGS_CHANGED: { readonly file: string; readonly role: string; readonly tag: string }
  /** A signature by one of the keys, over something else than what the file proposes. */
  readonly SIGNATURE_FOREIGN: { readonly file: string; readonly role: string; readonly key: string }
  /** A signature by a key that has no say. */
  readonly SIGNER_UNKNOWN: { readonly file: string; readonly role: string; readonly key: string }
  readonly PROPOSALS_DIFFER: { readonly files: readonly string[]; readonly first: string; readonly other: string }
  /** This machine's pin speaks for none of the roots that the proposal comes from. */
  readonly NOT_VOUCHED: { readonly repository: string; readonly file: string }
  /** Somebody knows another root of that version than the one the proposal comes from; `who` says who. */
  readonly OTHER_CHAIN: { readonly repository: string; readonly version: number; readonly who: string }
  /** Another root was published since. */
  readonly PROPOSAL_STALE: { readonly repository: string; readonly version: number; readonly published: number }
  /** A file that goes with the root was published by others since; the root itself still fits. */
  readonly FILES_STALE: { readonly repository: string; readonly role: string; readonly version: number }
  /** `keys` are those that have not signed, as people know them. */
  readonly SIGNATURES_MISSING: {
    readonly role: string
    readonly need: number
    readonly have: number
    readonly keys: readonly string[]
  }
  readonly NO_KEY_FITS: { readonly repository: string; readonly keys: readonly string[] }
  readonly NOT_CONFIRMED: { readonly repository: string }
  /** The dialect has no way to write it. */
  readonly FORMAT_LIMIT: { readonly role: string; readonly threshold: number }
}
export type CeremonyCode = keyof CeremonyFailures

const SENTENCE: { readonly [C in CeremonyCode]: (d: CeremonyFailures[C]) => string } = {
  PROPOSAL_MALFORMED: (d) => `${d.file} is no proposal: ${d.why}`,
  PROPOSAL_UNSOUND: (d) => `${d.file} proposes what must not be: ${d.why}`,
  WORDS_DIFFER: (d) => `${d.file} says "${d.told}" where its metadata says "${d.meant}"`,
  TAGS_CHANGED: (d) => `${d.file} would have ${d.role} say something new of the tag ${d.tag}`,
  SIGNATURE_FOREIGN: (d) => `the signature of ${d.key} in ${d.file} is over something else than ${d.role}`,
  SIGNER_UNKNOWN: (d) => `${d.file} has a signature on ${d.role} by ${d.key}, which has no say in it`,
  PROPOSALS_DIFFER: (d) => `${d.files.join(' and ')} are not the same proposal: "${d.first}" and "${d.other}"`,
  NOT_VOUCHED: (d) => `the pin of this machine for ${d.repository} speaks for none of the roots in ${d.file}`,
  OTHER_CHAIN: (d) => `${d.who} has another root ${d.version} of ${d.repository} than this proposal comes from`,
  PROPOSAL_STALE: (d) => `root ${d.version} of ${d.repository} is proposed, and root ${d.published} is another one`,
  FILES_STALE: (d) => `${d.role} of ${d.repository} was published since this was proposed as version ${d.version}`,
  SIGNATURES_MISSING: (d) => `${d.role} needs ${d.need} signatures and has ${d.have}; not yet: ${d.keys.join(', ')}`,
  NO_KEY_FITS: (d) => `none of the keys here has a say in this proposal for ${d.repository}`,
  NOT_CONFIRMED: (d) => `the proposal for ${d.repository} was not signed: nobody said yes`,
  FORMAT_LIMIT: (d) => `a repository of Notary knows no threshold above 1, and ${d.role} would have ${d.threshold}`,
}

const HINT: { readonly [C in CeremonyCode]: (d: CeremonyFailures[C]) => string } = {
  PROPOSAL_MALFORMED: () => 'get it again from whoever proposed it: tagseal root propose REPO --out FILE',
  PROPOSAL_UNSOUND: () => 'do not sign it; ask whoever proposed it, by another way than the file came',
  WORDS_DIFFER: () => 'somebody altered the file: do not sign it, and ask whoever handed it to you',
  TAGS_CHANGED: () => 'somebody altered the file: what tags mean is signed by "tagseal sign" and by nothing else',
  SIGNATURE_FOREIGN: () => 'the file was altered after that key signed, or the signature was copied: do not use it',
  SIGNER_UNKNOWN: () => 'somebody added it: do not use the file',
  PROPOSALS_DIFFER: () => 'tagseal root review FILE shows each; compare the fingerprint with the others',
  NOT_VOUCHED: () => 'compare "tagseal trust list" with the root keys that the owner of the repository published',
  OTHER_CHAIN: () => 'do not sign it, and ask whoever proposed it',
  PROPOSAL_STALE: (d) => `propose it anew on top of what is published: tagseal root propose ${d.repository}`,
  FILES_STALE: (d) =>
    `tagseal root propose ${d.repository} --refresh FILE makes it anew and keeps the signatures on the root`,
  SIGNATURES_MISSING: () => 'tagseal root status FILE says who is missing; each of them runs tagseal root sign FILE',
  NO_KEY_FITS: (d) => `tagseal key list; one of these is asked for: ${d.keys.join(', ')}`,
  NOT_CONFIRMED: () => 'run it again and answer yes, or give --yes where nobody is there to answer',
  FORMAT_LIMIT: () => 'several keys may be listed, and each of them signs alone; a TUF 1.0 repository has thresholds',
}

/** A ceremony that does not go on. Branch on `code`. */
export class CeremonyError<C extends CeremonyCode = CeremonyCode> extends Error {
  override readonly name = 'CeremonyError'
  readonly code: C
  readonly detail: CeremonyFailures[C]
  constructor(code: C, detail: CeremonyFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  get hint(): string {
    return HINT[this.code](this.detail)
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
type AnyCeremonyError = { readonly [C in CeremonyCode]: CeremonyError<C> }[CeremonyCode]

export function isCeremonyError(error: unknown): error is AnyCeremonyError {
  return error instanceof CeremonyError
}
