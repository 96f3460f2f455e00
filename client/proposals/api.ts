/** What the server keeps of publishes that wait for signatures. Nothing of an answer is believed here. */
import {
  decodeHex,
  encodeHex,
  encodeText,
  isJsonObject,
  isTrustError,
  keyId,
  member,
  roleName,
} from '../../tuf/index.ts'
import type { Json, JsonObject, RoleName, Signature } from '../../tuf/index.ts'
import type { HttpRequest } from '../http.ts'
import { multipart } from '../multipart.ts'
import { PublishError } from '../publish/errors.ts'
import { instantOf, listOf, problemOf, textOf } from '../server-answers.ts'
import type { Reply } from '../server-answers.ts'

type Head = {
  readonly id: string
  readonly createdAt: number
  readonly expiresAt: number
  /** The name of the token that began it. */
  readonly by: string | undefined
  readonly stale: boolean
}
/** `signedBy` are key ids, by the server's word. */
export type PendingSummary = Head & {
  readonly files: readonly { readonly role: RoleName; readonly signedBy: readonly string[] }[]
}
/** `bytes` without signatures; `base` is what a stale one was made on top of. */
export type PendingFile = {
  readonly role: RoleName
  readonly bytes: Uint8Array
  readonly signatures: readonly Signature[]
  readonly base: Uint8Array | undefined
}
export type PendingProposal = Head & { readonly files: readonly PendingFile[] }

/** `like`: the same change is pending as that one. `late`: somebody published in its place. */
export type Proposed =
  | { readonly kind: 'kept'; readonly proposal: PendingProposal }
  | { readonly kind: 'like'; readonly id: string }
  | { readonly kind: 'late' }

export type ProposalsApi = {
  /** Oldest first. */
  readonly list: () => Promise<readonly PendingSummary[]>
  readonly get: (id: string) => Promise<PendingProposal>
  readonly propose: (files: ReadonlyMap<RoleName, Uint8Array>) => Promise<Proposed>
  readonly sign: (
    id: string,
    signatures: readonly RoleSignature[],
  ) => Promise<Exclude<Proposed, { readonly kind: 'like' }>>
  readonly withdraw: (id: string) => Promise<void>
}
export type RoleSignature = { readonly role: RoleName; readonly signature: Signature }

export type ProposalsApiOptions = {
  readonly server: string
  /** The URL of them all. */
  readonly base: string
  readonly ask: (request: Omit<HttpRequest, 'signal'>) => Promise<Reply>
  /** What an answer says that is no success. */
  readonly refusal: (reply: Reply) => PublishError
}

/** A proposal of some megabytes is judged while its sender waits. */
const IDLE_MS = 60_000

export function proposalsApi({ server, base, ask, refusal }: ProposalsApiOptions): ProposalsApi {
  const reader = readerFor(server)
  const one = (id: string, rest = '') => new URL(`${base}/${encodeURIComponent(id)}${rest}`)
  const kept = (reply: Reply): Proposed => {
    if (reply.status === 200) return { kind: 'kept', proposal: reader.proposal(reply.body) }
    const { code, detail } = problemOf(reply.status, reply.body)
    const id = textOf(member(detail, 'id'))
    if (code === 'VERSION') return { kind: 'late' }
    if (code === 'PROPOSED_ALREADY' && id !== undefined && isProposalId(id)) return { kind: 'like', id }
    throw refusal({ ...reply, status: 400 })
  }
  return {
    list: async () => reader.list((await ask({ url: new URL(base) })).body),
    // By the name that was asked for: whether its files bear that out is for whoever reviews them.
    get: async (id) => ({ ...reader.proposal((await ask({ url: one(id), idleTimeout: IDLE_MS })).body), id }),
    async propose(files) {
      const parts = [...files].map(([name, bytes]) => ({ name, bytes, contentType: 'application/json' }))
      const { contentType, body } = multipart('files', parts)
      const headers = { 'content-type': contentType }
      return kept(await ask({ url: new URL(base), method: 'POST', headers, body, idleTimeout: IDLE_MS }))
    },
    async sign(id, signatures) {
      const listed = signatures.map(({ role, signature: { keyid, sig } }) => ({ role, keyid, sig: encodeHex(sig) }))
      const body = Buffer.from(JSON.stringify({ signatures: listed }))
      const headers = { 'content-type': 'application/json' }
      const reply = await ask({ url: one(id, '/signatures'), method: 'POST', headers, body, idleTimeout: IDLE_MS })
      const outcome = kept(reply)
      if (outcome.kind === 'like') throw refusal({ ...reply, status: 400 })
      return outcome
    },
    async withdraw(id) {
      await ask({ url: one(id), method: 'DELETE' })
    },
  }
}

export function isProposalId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

/** Strict: what a proposal says decides what somebody signs. */
function readerFor(server: string) {
  const bad = (why: string) => new PublishError('BAD_ANSWER', { server, why })
  const objectOf = (value: Json | undefined): JsonObject => {
    if (isJsonObject(value)) return value
    throw bad('it is no proposal')
  }
  const text = (object: JsonObject, name: string): string => {
    const value = textOf(member(object, name))
    if (value !== undefined) return value
    throw bad(`a proposal without ${name}`)
  }
  const at = (object: JsonObject, name: string): number => {
    const value = instantOf(member(object, name))
    if (value !== undefined) return value
    throw bad(`a proposal whose ${name} is no time`)
  }
  const items = (object: JsonObject, name: string): readonly Json[] => {
    const value = listOf(member(object, name))
    if (value !== undefined) return value
    throw bad(`a proposal without ${name}`)
  }
  const head = (object: JsonObject): Head => {
    const id = text(object, 'id')
    if (!isProposalId(id)) throw bad('a proposal by a name that none has')
    const [createdAt, expiresAt] = [at(object, 'createdAt'), at(object, 'expiresAt')]
    return { id, createdAt, expiresAt, by: textOf(member(object, 'by')), stale: member(object, 'stale') === true }
  }
  const branded = <T>(read: () => T): T => {
    try {
      return read()
    } catch (error) {
      if (isTrustError(error)) throw bad(error.message)
      throw error
    }
  }
  const signature = (value: Json): Signature => {
    const object = objectOf(value)
    const sig = decodeHex(text(object, 'sig'))
    if (sig === undefined) throw bad('a signature that is no hex')
    return { keyid: branded(() => keyId(text(object, 'keyid'))), sig, unknown: new Map() }
  }
  const file = (value: Json): PendingFile => {
    const object = objectOf(value)
    const base = textOf(member(object, 'base'))
    return {
      role: branded(() => roleName(text(object, 'role'))),
      bytes: encodeText(text(object, 'file')),
      signatures: items(object, 'signatures').map(signature),
      base: base === undefined ? undefined : encodeText(base),
    }
  }
  const summary = (value: Json): PendingSummary => {
    const object = objectOf(value)
    const files = items(object, 'files').map((each) => {
      const of = objectOf(each)
      const signedBy = items(of, 'signedBy').filter((id) => typeof id === 'string')
      return { role: branded(() => roleName(text(of, 'role'))), signedBy }
    })
    return { ...head(object), files }
  }
  return {
    list: (body: Json | undefined) => items(objectOf(body), 'proposals').map(summary),
    proposal(body: Json | undefined): PendingProposal {
      const object = objectOf(body)
      const files = items(object, 'files').map(file)
      const roles = new Set(files.map(({ role }) => role))
      if (files.length === 0 || roles.size < files.length) throw bad('a proposal without files, or with one twice')
      return { ...head(object), files }
    },
  }
}
