/**
 * The Notary v1 dialect: bytes to model and back, byte for byte as Go's Notary writes them.
 *
 * What the file holds outside of `signed` is not signed, and Notary's own servers hash a file after writing it anew: an
 * envelope with more in it than belongs there is refused. Inside `signed` the received bytes decide, as in TUF 1.0.
 */
import { TrustError } from '../errors.ts'
import { TARGETS, keyId, roleName } from '../model/ids.ts'
import type { KeyId, RoleName } from '../model/ids.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { member } from '../model/json.ts'
import type {
  DelegatedRole,
  Metadata,
  MetadataOf,
  PublicKey,
  Signature,
  Signed,
  Snapshot,
  TopRole,
} from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { encodeBase64 } from './base64.ts'
import type { Codec, DecodeContext, SearchOrder } from './codec.ts'
import { brandIn, build, listIn, malformed, objectIn, objectOf, stringIn } from './fields.ts'
import { decodeJson, decodeSigned, encodeCanonical, encodeText, encodeWire } from './json.ts'
import { decodeBody, encodeBody } from './notary-bodies.ts'
import { certificatesOf, livingRootAuthority, rootAuthority } from './notary-certificates.ts'
import { refuseBase64, refuseStrangers } from './notary-fields.ts'
import { withId } from './notary-keys.ts'
import { methodOf, notaryScheme } from './notary-methods.ts'
import { writeDate } from './write-date.ts'

const RELEASES = roleName('targets/releases')

/** As docker asks: its releases and then everybody, and the word of no other role counts. */
export const DOCKER_ORDER: SearchOrder = {
  walk: 'breadth-first',
  starts: [RELEASES, TARGETS],
  counted: new Set([RELEASES, TARGETS]),
}

/** As `notary` asks. */
export const NOTARY_ORDER: SearchOrder = { walk: 'breadth-first', starts: [TARGETS] }

export const notaryCodec: Codec = {
  dialect: 'notary-v1',
  limits: { timestamp: 1024 * 1024 },
  consistentSnapshot: false,
  snapshotListsRoot: true,
  rootAuthority,
  livingRootAuthority,
  repositoryOf: (_root, { repository }) => repository, // a root that names another has no authority
  keyNames,
  fileName: (role, { hashes }) => `${role}.${hashes?.get('sha256') ?? ''}.json`,
  search: DOCKER_ORDER,
  isSilent,
  decode,
  encode: (body) => payloadOf(encodeBody(body)),
  assemble,
  resign(file, signatures, { limits }) {
    const received = objectOf(decodeJson(file, { depth: limits.jsonDepth, what: 'metadata' }), 'metadata')
    return envelope(member(received, 'signed') ?? null, signatures)
  },
  key: makeKey,
  date: writeDate,
}

function decode<T extends TopRole>(
  type: T,
  bytes: Uint8Array,
  { suite, limits }: DecodeContext,
): Signed<MetadataOf<T>> {
  const { value, payload } = decodeSigned(bytes, { depth: limits.jsonDepth, what: type }, layout)
  const file = objectOf(value, type)
  refuseStrangers(file, ['signed', 'signatures'], type)
  refuseControls(payload, type)
  return {
    body: decodeBody(type, objectIn(file, 'signed', type), suite),
    payload,
    signatures: decodeSignatures(listIn(file, 'signatures', type), type, limits.signatures),
    unknown: new Map(),
  }
}

function assemble(body: Metadata, signatures: readonly Signature[]): Uint8Array {
  const signed = encodeBody(body)
  payloadOf(signed)
  return envelope(signed, signatures)
}

function makeKey(fields: Pick<PublicKey, 'keytype' | 'scheme' | 'public'>, suite: Suite): PublicKey {
  return withId({ ...fields, unknown: new Map(), unknownKeyval: new Map() }, suite)
}

/** A root key's own id depends on its certificate; `notary key list` shows the id of the bare key. */
function keyNames(key: PublicKey, suite: Suite): readonly KeyId[] {
  const spki = certificatesOf(key, suite)?.[0]?.spki
  if (spki === undefined) return [key.id]
  const keytype = key.keytype.replace(/-x509$/, '')
  return [key.id, makeKey({ keytype, scheme: key.scheme, public: encodeBase64(spki) }, suite).id]
}

/**
 * A role that has no key can have no file, one whose file nobody published has none, and one that is no direct child
 * of its delegator is not its to delegate. The snapshot is signed: who withholds a file cannot make a role silent.
 */
function isSilent(delegator: RoleName, { name, keyids }: DelegatedRole, { meta }: Pick<Snapshot, 'meta'>): boolean {
  const isChild = name.lastIndexOf('/') === delegator.length && name.startsWith(`${delegator}/`)
  return !isChild || keyids.length === 0 || !meta.has(name)
}

function payloadOf(signed: JsonObject): Uint8Array {
  const payload = encodeCanonical(signed)
  refuseControls(payload, 'metadata')
  return payload
}

/** Go signs control characters as they are and cannot read such a text back: no such file can exist there. */
function refuseControls(payload: Uint8Array, what: string): void {
  for (let i = 0; i < payload.length; i++) {
    if ((payload[i] ?? 0) < 0x20) throw new TrustError('MALFORMED', { what, got: 'a control character' })
  }
}

function decodeSignatures(list: readonly Json[], type: TopRole, most: number): readonly Signature[] {
  if (list.length > most) throw malformed(`${type}.signatures`, list, `at most ${most} signatures`)
  return list.map((each, i) => decodeSignature(each, `${type}.signatures[${i}]`))
}

/** A method that is spelt otherwise means the same, and is written back as it came. */
function decodeSignature(value: Json, place: string): Signature {
  const signature = objectOf(value, place)
  refuseStrangers(signature, ['keyid', 'method', 'sig'], place)
  const method = stringIn(signature, 'method', place)
  const plain = method.toLowerCase()
  return {
    keyid: brandIn(keyId, signature, 'keyid', place),
    sig: refuseBase64(member(signature, 'sig'), `${place}.sig`),
    scheme: notaryScheme(plain),
    unknown: new Map(method === plain ? [] : [['method', method]]),
  }
}

function encodeSignature({ keyid, sig, scheme, unknown }: Signature): JsonObject {
  const method = methodOf(scheme ?? '')
  if (method === undefined) throw malformed('signature.scheme', scheme, 'one of Notary v1')
  return build({ keyid, method: unknown.has('method') ? undefined : method, sig: encodeBase64(sig) }, unknown)
}

function envelope(signed: Json, signatures: readonly Signature[]): Uint8Array {
  return encodeText(layout(encodeWire(signed), encodeWire(signatures.map(encodeSignature))))
}

function layout(signed: string, signatures: string): string {
  return `{"signed":${escapeForHtml(signed)},"signatures":${escapeForHtml(signatures)}}`
}

/** As Go's encoder does within strings, and none of these characters stands anywhere else. */
function escapeForHtml(json: string): string {
  return json.replace(HTML, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
const HTML = /[<>&\u2028\u2029]/g
