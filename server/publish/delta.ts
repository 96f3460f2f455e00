import {
  TrustError,
  decodeJson,
  encodeText,
  encodeWire,
  instant,
  isJsonObject,
  member,
  nextTargets,
} from '../../tuf/index.ts'
import type { Codec, DecodeContext, Json, JsonObject, RoleName, Signature, Targets } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import type { FileRecord } from '../storage/store.ts'

/**
 * A targets file told as what changes in the stored version, so that one tag among ten thousand costs a kilobyte on
 * the wire: `{"base":{"version","sha256"},"set":{path:target},"remove":[path],"version","expires","signatures"}`.
 *
 * The signatures are over the whole new file. Nothing here is trusted: what comes out is checked like any upload, and
 * if both sides did not build the same bytes the signatures do not hold.
 */
export type Delta = {
  readonly base: { readonly version: number; readonly sha256: string }
  readonly change: Targets
  readonly signatures: readonly Signature[]
  readonly remove: ReadonlySet<string>
}

type Reader = DecodeContext & { readonly codec: Codec }

/** Throws TrustError MALFORMED. */
export function decodeDelta(bytes: Uint8Array, reader: Reader): Delta {
  const value = decodeJson(bytes, { depth: reader.limits.jsonDepth, what: 'delta' })
  const delta = objectOf(value, 'delta')
  const base = objectOf(member(delta, 'base'), 'delta: base')
  const { body, signatures } = asTargets(delta, reader)
  return {
    base: { version: numberOf(member(base, 'version')), sha256: textOf(member(base, 'sha256'), 'delta: base.sha256') },
    change: body,
    signatures,
    remove: new Set(listOf(member(delta, 'remove')).map((path) => textOf(path, 'delta: remove'))),
  }
}

/** Throws VERSION where the base is not what is stored, or the delta does not lead to the version after it. */
export function refuseOtherBase(role: RoleName, { base, change }: Delta, record: FileRecord | undefined): void {
  const same = record !== undefined && record.version === base.version && record.sha256 === base.sha256
  if (same && change.version === record.version + 1) return
  throw new Problem('VERSION', { role, current: record?.version ?? 0, got: change.version })
}

/** The whole new file, as its signers have it. */
export function applyDelta({ change, remove, signatures }: Delta, base: Targets, { codec }: Reader): Uint8Array {
  const set = change.targets
  const next = nextTargets(base, { set, remove }, { codec, expires: instant(change.expires) })
  return codec.assemble(next, signatures)
}

/** The codec reads targets, dates and signatures of a file, so the delta is read as the file of its changes. */
function asTargets(delta: JsonObject, { codec, suite, limits }: Reader) {
  const signed = {
    _type: 'targets',
    spec_version: '1.0.0',
    version: member(delta, 'version') ?? null,
    expires: member(delta, 'expires') ?? null,
    targets: member(delta, 'set') ?? {},
  }
  const file = { signed, signatures: member(delta, 'signatures') ?? null }
  return codec.decode('targets', encodeText(encodeWire(file)), { suite, limits })
}

function objectOf(value: Json | undefined, what: string): JsonObject {
  if (isJsonObject(value)) return value
  throw new TrustError('MALFORMED', { what, got: 'no object' })
}

function listOf(value: Json | undefined): readonly Json[] {
  if (value === undefined) return []
  if (typeof value === 'object' && value !== null && !isJsonObject(value)) return value
  throw new TrustError('MALFORMED', { what: 'delta: remove', got: 'no list' })
}

function textOf(value: Json | undefined, what: string): string {
  if (typeof value === 'string') return value
  throw new TrustError('MALFORMED', { what, got: 'no string' })
}

function numberOf(value: Json | undefined): number {
  if (typeof value === 'number') return value
  throw new TrustError('MALFORMED', { what: 'delta: base.version', got: 'no number' })
}
