/**
 * The TUF 1.0 dialect: bytes to model and back (specification section 4).
 *
 * What is refused here can never become trusted: wrong types, key ids that are not their key's, role names listed
 * twice, both or neither kind of path. What is merely not understood is kept, for it was signed (ADR 0008).
 */
import { ROOT, TARGETS, keyId } from '../model/ids.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { MetadataOf, Signature, Signed, TopRole } from '../model/metadata.ts'
import { repositoryOf } from '../model/repository.ts'
import { authorityOf } from './authority.ts'
import type { Codec, DecodeContext } from './codec.ts'
import { brandIn, build, listIn, malformed, objectIn, objectOf, stringIn, unknownIn } from './fields.ts'
import { fileName } from './file-name.ts'
import { decodeHex, encodeHex } from './hex.ts'
import { decodeJson, decodeSigned, encodeCanonical, encodeText, encodeWire } from './json.ts'
import { decodeBody, encodeBody } from './tuf-bodies.ts'
import { withId } from './tuf-keys.ts'
import type { KeyIdExceptions } from './tuf-keys.ts'
import { writeDate } from './write-date.ts'

/** The dialect, with no exceptions. */
export const tufCodec: Codec = tufCodecWith(new Map())

/**
 * The dialect for a repository that lists some keys under ids which are not theirs. Each exception says which key it
 * is for: `listed id -> computed id`.
 */
export function tufCodecWith(exceptions: KeyIdExceptions): Codec {
  return {
    dialect: 'tuf-1.0',
    limits: {},
    consistentSnapshot: true,
    snapshotListsRoot: false,
    rootAuthority: (root) => authorityOf(root, ROOT),
    repositoryOf,
    keyNames: ({ id }) => [id],
    // Only consistent snapshots carry the version in the name (6.2).
    fileName: (role, { version }, { consistentSnapshot }) =>
      consistentSnapshot && version !== undefined ? `${version}.${fileName(role)}` : fileName(role),
    search: { walk: 'depth-first', starts: [TARGETS] },
    decode: (type, bytes, context) => decode(type, bytes, context, exceptions),
    encode: (body) => encodeCanonical(encodeBody(body)),
    assemble: (body, signatures) => envelope(build({ signed: encodeBody(body) }), signatures),
    resign(file, signatures, { limits }) {
      const received = objectOf(decodeJson(file, { depth: limits.jsonDepth, what: 'metadata' }), 'metadata')
      return envelope(received, signatures)
    },
    key: (fields, suite) => withId({ ...fields, unknown: new Map(), unknownKeyval: new Map() }, suite),
    date: writeDate,
  }
}

function decode<T extends TopRole>(
  type: T,
  bytes: Uint8Array,
  { suite, limits }: DecodeContext,
  exceptions: KeyIdExceptions,
): Signed<MetadataOf<T>> {
  const { value, payload } = decodeSigned(bytes, { depth: limits.jsonDepth, what: type }, layout)
  const file = objectOf(value, type)
  return {
    body: decodeBody(type, objectIn(file, 'signed', type), { suite, exceptions }),
    payload,
    signatures: decodeSignatures(listIn(file, 'signatures', type), type, limits.signatures),
    unknown: unknownIn(file, ['signed', 'signatures']),
  }
}

function layout(signed: string, signatures: string): string {
  return `{"signatures":${signatures},"signed":${signed}}`
}

/** Each key id once (4.2.1). A file that lists one twice is refused whole, though a threshold would count it once. */
function decodeSignatures(list: readonly Json[], type: TopRole, most: number): readonly Signature[] {
  if (list.length > most) throw malformed(`${type}.signatures`, list, `at most ${most} signatures`)
  const signatures = list.map((each, i) => decodeSignature(each, `${type}.signatures[${i}]`))
  const signers = new Set(signatures.map(({ keyid }) => keyid))
  if (signers.size !== list.length) throw malformed(`${type}.signatures`, list, 'each key id once')
  return signatures
}

/** Text that is no lower-case hex becomes no bytes at all: a place left free for a signer (`""`), or nonsense. */
function decodeSignature(value: Json, place: string): Signature {
  const signature = objectOf(value, place)
  return {
    keyid: brandIn(keyId, signature, 'keyid', place),
    sig: decodeHex(stringIn(signature, 'sig', place)) ?? new Uint8Array(),
    unknown: unknownIn(signature, ['keyid', 'sig']),
  }
}

/** The file with these signatures, and everything else as it is. */
function envelope(file: JsonObject, signatures: readonly Signature[]): Uint8Array {
  const listed = signatures.map(({ keyid, sig, unknown }) => build({ keyid, sig: encodeHex(sig) }, unknown))
  return encodeText(encodeWire(build({ signatures: listed }, unknownIn(file, ['signatures']))))
}
