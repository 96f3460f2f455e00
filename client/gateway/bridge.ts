/**
 * From signed tags to what podman, CRI-O and skopeo check by themselves: signatures by a key of this gateway, each of
 * which says that one digest is one tag. Nothing is signed that would not be admitted under that tag at this moment.
 *
 * These signatures have no end: whoever is shown a copy of one takes it for as long as the key is trusted. That a tag
 * moved on is only seen by those who come through the gateway.
 */
import type { Signer } from '../../keys/signer.ts'
import { digestOf } from '../registry/digest.ts'
import { VerdictError } from '../verdict/errors.ts'
import type { Admission, Ask } from './admission.ts'
import { attachedTo, attachmentOf, EMPTY_CONFIG, payloadOf } from './attachment.ts'
import type { SignedPayload } from './attachment.ts'
import type { Opened } from './manifests.ts'

export type Bridge = {
  /**
   * Signatures for every tag that leads now to the digest that this one is made from; undefined: it is made from none, or
   * nothing has to be signed here. Throws where no tag leads there, or nothing can be found out.
   */
  readonly attachment: (ask: Ask, tag: string) => Promise<Attached | undefined>
  /** A part of what was made here; undefined: it is none of ours. */
  readonly part: (ask: Ask, digest: string) => Uint8Array | undefined
  /** The same for what another gateway made, once nothing that is signed leads to a digest. Throws `error` otherwise. */
  readonly partOfOthers: (ask: Ask, digest: string, error: unknown) => Promise<Uint8Array>
}
export type Attached = { readonly manifest: Opened; readonly tags: readonly string[] }

type Leads = Awaited<ReturnType<Admission['leads']>>

/** Statements that are remembered, and their signatures; what is forgotten is made again. */
const MOST_KEPT = 8192
const CONFIG_DIGEST = digestOf(EMPTY_CONFIG)

export function openBridge(signers: readonly Signer[], admission: Pick<Admission, 'tagsTo' | 'leads'>): Bridge {
  /** In the order of their last use. That a signature was made earlier tells nobody anything: there is no time in it. */
  const signatures = new Map<string, Promise<readonly SignedPayload[]>>()
  /** By repository and digest. They are worth nothing without a signature, so that nobody judges whoever asks for one. */
  const payloads = new Map<string, Uint8Array>()
  const found = new WeakMap<Leads, ReadonlyMap<string, Uint8Array>>()

  function sign({ repository: { name } }: Ask, tag: string, digest: string): Promise<readonly SignedPayload[]> {
    const payload = payloadOf({ image: `${name}:${tag}`, digest })
    remember(payloads, `${name} ${digestOf(payload)}`, payload)
    const key = `${name}:${tag} ${digest}`
    const made = signatures.get(key) ?? Promise.all(signers.map((signer) => signWith(signer, payload)))
    made.catch(() => signatures.delete(key)) // a token that was not there may be there the next time
    return remember(signatures, key, made)
  }

  async function signAll(ask: Ask, tags: readonly string[], digest: string): Promise<readonly SignedPayload[]> {
    return (await Promise.all(tags.map((tag) => sign(ask, tag, digest)))).flat()
  }

  function payloadsOf({ repository: { name } }: Ask, leads: Leads): ReadonlyMap<string, Uint8Array> {
    const known = found.get(leads)
    if (known !== undefined) return known
    const made = leads.map(({ tag, digest }) => payloadOf({ image: `${name}:${tag}`, digest }))
    const byDigest = new Map(made.map((payload) => [digestOf(payload), payload]))
    found.set(leads, byDigest)
    return byDigest
  }

  return {
    async attachment(ask, tag) {
      const digest = ask.rule.kind === 'signed' ? attachedTo(tag) : undefined
      if (digest === undefined) return undefined
      await signAll(ask, await admission.tagsTo(ask, digest), digest)
      const tags = await admission.tagsTo(ask, digest) // somebody may have had to find a token meanwhile
      return { tags, manifest: attachmentOf(await signAll(ask, tags, digest)) }
    },
    part({ repository: { name }, rule }, digest) {
      if (rule.kind !== 'signed') return undefined
      return digest === CONFIG_DIGEST ? EMPTY_CONFIG : payloads.get(`${name} ${digest}`)
    },
    async partOfOthers(ask, digest, error) {
      const isUnknown = error instanceof VerdictError && error.code === 'DIGEST_NOT_SIGNED'
      const payload = isUnknown ? payloadsOf(ask, await admission.leads(ask)).get(digest) : undefined
      if (payload === undefined) throw error
      return payload
    },
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): T {
  map.delete(key) // and put back behind the others: a Map remembers the order
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= MOST_KEPT) break
    map.delete(oldest)
  }
  return value
}

async function signWith(signer: Signer, payload: Uint8Array): Promise<SignedPayload> {
  return { payload, signature: await signer.sign(payload) }
}
