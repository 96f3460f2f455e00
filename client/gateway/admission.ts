/** What may be given out: a tag by its signature, a digest because a signed one leads to it, and nothing else. */
import { failureOf } from '../exit.ts'
import type { PolicyRule } from '../policy/policy.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/reference.ts'
import { tagMeans } from '../verdict/by-digest.ts'
import type { Verdict, Verdicts } from '../verdict/engine.ts'
import { VerdictError } from '../verdict/errors.ts'
import type { Standing } from '../verdict/warm.ts'
import type { Said } from './blobs.ts'
import { GatewayError } from './errors.ts'
import type { Manifests, Opened } from './manifests.ts'
import { openShelf } from './shelf.ts'
import type { Part, Shelf } from './shelf.ts'
import { collectDigests, stateOf } from '../verdict/signed-digests.ts'
import type { SignedDigests } from '../verdict/signed-digests.ts'
import type { Upstreams } from './upstreams.ts'

/** A repository under the rule that counted when the request came. */
export type Ask = { readonly repository: RepositoryName; readonly rule: PolicyRule }

export type Admission = {
  readonly tag: (ask: Ask, tag: string) => Promise<Admitted>
  readonly manifest: (ask: Ask, digest: string) => Promise<Opened>
  /** As those say it who are admitted. */
  readonly blob: (ask: Ask, digest: string) => Promise<Said<Part>>
  /** Every tag that `tag` would admit, in order; with those of the registry where the rule says so. */
  readonly tags: (ask: Ask) => Promise<readonly string[]>
  /** Whether a digest would be admitted, by what is known already. */
  readonly isAdmitted: (ask: Ask, digest: string) => Promise<boolean>
  /** The tags that mean a manifest now, or an index that leads to it. Throws DIGEST_NOT_SIGNED where there are none. */
  readonly tagsTo: (ask: Ask, digest: string) => Promise<readonly string[]>
  /** Which tags lead to which manifests, by what is known already; nobody judged them. The same list while that is so. */
  readonly leads: (ask: Ask) => Promise<readonly Lead[]>
}

export type Lead = { readonly tag: string; readonly digest: string }

export type Admitted = { readonly manifest: Opened; readonly verdict: Verdict }

type Known = {
  readonly shelf: Shelf
  /** Tags that were seen to mean a digest: whether they still do is asked. */
  readonly hints: Map<string, string>
  collected: { readonly state: string; readonly digests: Promise<SignedDigests> } | undefined
  /** By digest: when the way down from it may be looked for again, on the clock that nobody sets. */
  readonly walked: Map<string, number>
  walking: Promise<void> | undefined
  leads: { readonly state: string; readonly list: readonly Lead[] } | undefined
}

export type AdmissionOptions = {
  readonly verdicts: Verdicts
  readonly manifests: Manifests
  readonly upstreams: Upstreams
  readonly monotonic: () => number
}

/** Parts that are remembered; the repository that was not asked for longest is forgotten first, and learnt again. */
const MOST_PARTS = 250_000
const MOST_REPOSITORIES = 4096
/** Digests of a repository that are remembered as signed or not; clients may ask for any. */
const MOST_ANSWERS = 4096
/** Manifests that one question may have fetched to find the way to a digest. */
const MOST_WALKED = 1024
const WALK_AGAIN_MS = 30_000
const DEEPEST = 4
/** Of one manifest: each of them is one more signature for engines to fetch. The one that was asked for last is among them. */
const MOST_TAGS = 128
const MOST_LEADS = 4096

export function openAdmission({ verdicts, manifests, upstreams, monotonic }: AdmissionOptions): Admission {
  const repositories = new Map<string, Known>()
  const tops = new WeakMap<Standing, Map<string, Promise<boolean>>>()

  function knownOf({ repository: { name } }: Ask): Known {
    const known = repositories.get(name) ?? {
      shelf: openShelf(),
      hints: new Map(),
      collected: undefined,
      walked: new Map(),
      walking: undefined,
      leads: undefined,
    }
    repositories.delete(name)
    repositories.set(name, known)
    let parts = 0
    for (const { shelf } of repositories.values()) parts += shelf.size()
    for (const [oldest, { shelf }] of repositories) {
      if ((parts <= MOST_PARTS && repositories.size <= MOST_REPOSITORIES) || oldest === name) break
      parts -= shelf.size()
      repositories.delete(oldest)
    }
    return known
  }

  async function openTop(ask: Ask, digest: string, size: number | undefined, known?: Known): Promise<Opened> {
    const opened = await manifests.open(await upstreams.placeOf(ask.rule, ask.repository), { digest, size })
    const { shelf } = known ?? knownOf(ask)
    shelf.addTop(digest, opened.bytes.length)
    shelf.learn(opened)
    return opened
  }

  function remembered({ repository: { name } }: Ask, digest: string): readonly Part[] {
    return repositories.get(name)?.shelf.find(digest) ?? []
  }

  /** Whether a signed tag means this digest now. */
  async function isTop(ask: Ask, known: Known, digest: string): Promise<boolean> {
    const standing = await verdicts.standing(ask.repository.name)
    if (standing === undefined) return true // the rule became one that asks for no signature
    const answers = tops.get(standing) ?? new Map<string, Promise<boolean>>()
    tops.set(standing, answers)
    const answered = answers.get(digest)
    if (answered !== undefined) return await answered
    const answer = meansNow(ask, known, standing, digest)
    answers.set(digest, answer)
    answer.catch(() => answers.delete(digest))
    forgetOldest(answers, MOST_ANSWERS)
    return await answer
  }

  async function meansNow(ask: Ask, known: Known, standing: Standing, digest: string): Promise<boolean> {
    const hint = known.hints.get(digest)
    const { name } = ask.repository
    if (hint !== undefined && (await tagMeans(verdicts, { name, tag: hint }, digest))) return true
    const { byDigest } = await digestsOf(known, standing)
    for (const tag of byDigest.get(digest)?.tags ?? []) {
      if (await tagMeans(verdicts, { name, tag }, digest)) return true
    }
    return await verdicts.wasSigned(name, digest)
  }

  function digestsOf(known: Known, { view }: Standing): Promise<SignedDigests> {
    const state = stateOf(view)
    if (known.collected?.state === state) return known.collected.digests
    const digests = collectDigests(view)
    known.collected = { state, digests }
    digests.catch(() => (known.collected = undefined))
    return digests
  }

  /** The parts that a digest which counts now leads to. */
  async function admitted(ask: Ask, known: Known, digest: string): Promise<readonly Part[]> {
    const found: Part[] = []
    for (const part of known.shelf.find(digest)) if (await hasTop(ask, known, part)) found.push(part)
    return found
  }

  async function hasTop(ask: Ask, known: Known, { tops: all }: Part): Promise<boolean> {
    for (const top of all) if (await isTop(ask, known, top)) return true
    return false
  }

  async function demand(ask: Ask, digest: string): Promise<readonly Part[]> {
    await verdicts.standing(ask.repository.name) // of names that somebody made up nothing is remembered
    const known = knownOf(ask)
    const here = await admitted(ask, known, digest)
    const parts = here.length > 0 ? here : await look(ask, known, digest)
    if (parts.length > 0) return parts
    throw new VerdictError('DIGEST_NOT_SIGNED', { repository: ask.repository.name, digest })
  }

  /** For whoever did not come by the tag, or came by another gateway: the signed digests are gone down from, once each. */
  async function look(ask: Ask, known: Known, digest: string): Promise<readonly Part[]> {
    const standing = await verdicts.standing(ask.repository.name)
    if (standing === undefined) return []
    const { byDigest } = await digestsOf(known, standing)
    if (await isTop(ask, known, digest)) return await shelve(ask, known, digest, byDigest.get(digest)?.length)
    known.walking ??= walkAll(ask, known, byDigest).finally(() => (known.walking = undefined))
    await known.walking
    return await admitted(ask, known, digest)
  }

  /** Of a digest that was signed once nobody here knows how long it is; its manifest says so. */
  async function shelve(ask: Ask, known: Known, digest: string, size: number | undefined): Promise<readonly Part[]> {
    if (size === undefined) await openTop(ask, digest, undefined, known)
    else known.shelf.addTop(digest, size)
    return known.shelf.find(digest)
  }

  async function walkAll(ask: Ask, known: Known, byDigest: SignedDigests['byDigest']): Promise<void> {
    let left = MOST_WALKED
    for (const [digest, { length }] of byDigest) {
      if (left <= 0) return
      if (monotonic() < (known.walked.get(digest) ?? 0) || !(await isTop(ask, known, digest))) continue
      known.walked.set(digest, Number.POSITIVE_INFINITY)
      try {
        left -= await walk(ask, known, digest, length)
      } catch (error) {
        failureOf(error) // what cannot be gone down from admits nothing; it is tried again after a while
        known.walked.set(digest, monotonic() + WALK_AGAIN_MS)
        left -= 1
      }
    }
  }

  async function walk(ask: Ask, known: Known, digest: string, size: number): Promise<number> {
    const place = await upstreams.placeOf(ask.rule, ask.repository)
    const below = async (opened: Opened, depth: number): Promise<number> => {
      known.shelf.learn(opened)
      if (opened.kind !== 'index' || depth >= DEEPEST) return 1
      let count = 1
      for (const child of opened.children) {
        if (known.shelf.find(child.digest).every(({ blob }) => !blob))
          count += await below(await manifests.open(place, child), depth + 1)
      }
      return count
    }
    return await below(await openTop(ask, digest, size, known), 0)
  }

  async function openUnsigned(ask: Ask, tag: string): Promise<Opened> {
    const { registry, ref } = await upstreams.placeOf(ask.rule, ask.repository)
    const resolved = await registry.resolveTag({ ...ref, tag })
    if (resolved === undefined) throw new RegistryError('UNKNOWN_MANIFEST', { what: `${ask.repository.name}:${tag}` })
    return await openTop(ask, resolved.digest, resolved.length)
  }

  /** Where two say two sizes of it, its hash decides alone. */
  async function openPart(ask: Ask, digest: string, parts: readonly Part[]): Promise<Opened> {
    const [first, another] = parts.filter(({ manifest }) => manifest)
    if (first === undefined) throw new GatewayError('OTHER_KIND', { digest, kind: 'manifest' })
    const size = another === undefined ? first.size : undefined
    const opened = await manifests.open(await upstreams.placeOf(ask.rule, ask.repository), { digest, size })
    knownOf(ask).shelf.learn(opened)
    return opened
  }

  return {
    async tag(ask, tag) {
      const verdict = await verdicts.judge({ name: ask.repository.name, tag })
      if (verdict.kind === 'unsigned') return { verdict, manifest: await openUnsigned(ask, tag) }
      const known = knownOf(ask)
      known.hints.set(verdict.digest, tag)
      return { verdict, manifest: await openTop(ask, verdict.digest, verdict.length) }
    },
    async manifest(ask, digest) {
      refuseByRule(ask)
      const parts = ask.rule.kind === 'signed' ? await demand(ask, digest) : remembered(ask, digest)
      return parts.length === 0 ? await openTop(ask, digest, undefined) : await openPart(ask, digest, parts)
    },
    async blob(ask, digest) {
      refuseByRule(ask)
      const parts = ask.rule.kind === 'signed' ? await demand(ask, digest) : remembered(ask, digest)
      if (parts.length === 0) throw new RegistryError('UNKNOWN_BLOB', { what: `${ask.repository.name}@${digest}` })
      const [first, ...others] = parts.filter(({ blob }) => blob)
      if (first === undefined) throw new GatewayError('OTHER_KIND', { digest, kind: 'blob' })
      return [first, ...others]
    },
    async tags(ask) {
      refuseByRule(ask)
      const signed = ask.rule.kind === 'signed' ? await signedTags(ask) : []
      if (!ask.rule.allTags) return signed
      const { registry, ref } = await upstreams.placeOf(ask.rule, ask.repository)
      return [...new Set([...signed, ...((await registry.tags(ref)) ?? [])])].toSorted(byBytes)
    },
    async isAdmitted(ask, digest) {
      refuseByRule(ask)
      if (ask.rule.kind === 'unsigned') return true
      const known = knownOf(ask)
      return (await admitted(ask, known, digest)).length > 0 || (await isTop(ask, known, digest))
    },
    async tagsTo(ask, digest) {
      refuseByRule(ask)
      const { name } = ask.repository
      const standing = await verdicts.standing(name)
      const parts = standing === undefined ? [] : await demand(ask, digest)
      const above = parts.flatMap(({ manifest, tops: all }) => (manifest ? [...all] : []))
      const tags = above.length === 0 ? [] : await tagsOver(ask, standing, new Set([digest, ...above]))
      if (tags.length === 0) throw new VerdictError('DIGEST_NOT_SIGNED', { repository: name, digest })
      return tags
    },
    async leads(ask) {
      refuseByRule(ask)
      const standing = await verdicts.standing(ask.repository.name)
      if (standing === undefined) return []
      const known = knownOf(ask)
      const state = `${stateOf(standing.view)} ${known.shelf.size()}`
      if (known.leads?.state !== state) {
        const { byDigest } = await digestsOf(known, standing)
        known.leads = { state, list: [...leadsIn(known.shelf, byDigest)] }
      }
      return known.leads.list
    },
  }

  /** What a digest was signed for once does not count here, whatever the rule says: it is no tag's now. */
  async function tagsOver(
    ask: Ask,
    standing: Standing | undefined,
    above: ReadonlySet<string>,
  ): Promise<readonly string[]> {
    if (standing === undefined) return []
    const known = knownOf(ask)
    const { byDigest } = await digestsOf(known, standing)
    const found = new Set<string>()
    for (const top of above) {
      const hint = known.hints.get(top)
      for (const tag of [...(hint === undefined ? [] : [hint]), ...(byDigest.get(top)?.tags ?? [])]) {
        if (found.size === MOST_TAGS) break
        if (await tagMeans(verdicts, { name: ask.repository.name, tag }, top)) found.add(tag)
      }
    }
    return [...found].toSorted(byBytes)
  }

  async function signedTags(ask: Ask): Promise<readonly string[]> {
    const standing = await verdicts.standing(ask.repository.name)
    if (standing === undefined) return []
    const { tags } = await digestsOf(knownOf(ask), standing)
    const found: string[] = []
    for (const tag of tags) if (await isSigned(ask, tag)) found.push(tag)
    return found.toSorted(byBytes)
  }

  async function isSigned({ repository: { name } }: Ask, tag: string): Promise<boolean> {
    try {
      return (await verdicts.judge({ name, tag })).kind === 'signed'
    } catch (error) {
      if (failureOf(error).exit !== 1) throw error
      return false
    }
  }
}

function* leadsIn(shelf: Shelf, byDigest: SignedDigests['byDigest']): Generator<Lead, void, undefined> {
  let left = MOST_LEADS
  for (const { digest, manifest, tops } of shelf.parts()) {
    if (!manifest) continue
    for (const top of tops) {
      for (const tag of byDigest.get(top)?.tags ?? []) {
        if (left-- === 0) return
        yield { tag, digest }
      }
    }
  }
}

function forgetOldest<K>(map: Map<K, unknown>, most: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= most) break
    map.delete(oldest)
  }
}

function refuseByRule({ repository, rule }: Ask): void {
  if (rule.kind === 'refuse')
    throw new VerdictError('REFUSED_BY_RULE', { repository: repository.name, rule: rule.pattern, where: rule.where })
}

/** As the distribution specification orders tags. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
