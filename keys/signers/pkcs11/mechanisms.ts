import type { Attribute, Mechanism, RsaPSS } from 'pkcs11js'
import { createHash } from 'node:crypto'
import { concat } from '../../bytes.ts'
import { DerReader, der } from '../../der.ts'
import { publicMaterial } from '../../schemes/table.ts'
import type { Algorithm, Computation, PublicMaterial } from '../../signer.ts'
import { HASH_OF } from '../checked.ts'
import { ecdsaMaterial, ecdsaSignature, ed25519Material } from '../curve-keys.ts'
import { CKA, CKG_MGF1_SHA256, CKK, CKM } from './constants.ts'

/** How a token holds one of our algorithms, and signs with it as TUF wants. */
export type TokenAlgorithm = {
  readonly mechanism: Mechanism
  readonly signature: (bytes: Uint8Array) => Uint8Array
  readonly generate: Mechanism
  /** The attributes of a new public key; the next form is tried where a token does not know the one before. */
  readonly forms: readonly (readonly Attribute[])[]
}

const PRINTABLE_EDWARDS = Buffer.from('\x13\x0cedwards25519', 'latin1')
const OID_ED25519 = Buffer.from(der.oid(Uint8Array.of(0x2b, 0x65, 0x70)))
const OID_P256 = Buffer.from(der.oid(Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07)))
const OID_P384 = Buffer.from(der.oid(Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x22)))
const OID_P521 = Buffer.from(der.oid(Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x23)))
const RSA_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01)
const PSS: RsaPSS = { type: 5, hashAlg: CKM.sha256, mgf: CKG_MGF1_SHA256, saltLen: 32 }

export const ON_TOKEN = {
  ed25519: {
    mechanism: { mechanism: CKM.eddsa },
    signature: (bytes) => bytes,
    generate: { mechanism: CKM.edwardsGenerate },
    forms: [[{ type: CKA.ecParams, value: PRINTABLE_EDWARDS }], [{ type: CKA.ecParams, value: OID_ED25519 }]],
  },
  'ecdsa-p256': ecdsa(OID_P256),
  'ecdsa-p384': ecdsa(OID_P384),
  'ecdsa-p521': ecdsa(OID_P521),
  'rsa-pss': {
    mechanism: { mechanism: CKM.rsaPss, parameter: PSS },
    signature: (bytes) => bytes,
    generate: { mechanism: CKM.rsaGenerate },
    forms: [
      [
        { type: CKA.modulusBits, value: 3072 },
        { type: CKA.publicExponent, value: Buffer.of(1, 0, 1) },
      ],
    ],
  },
} as const satisfies Record<Algorithm, TokenAlgorithm>

function ecdsa(curve: Buffer): TokenAlgorithm {
  return {
    mechanism: { mechanism: CKM.ecdsa },
    // r and s side by side; an odd length is nothing, and the check of the signature says so.
    signature: (bytes) => ecdsaSignature(bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)),
    generate: { mechanism: CKM.ecGenerate },
    forms: [[{ type: CKA.ecParams, value: curve }]],
  }
}

/** Kinds of keys on a token, and what of them makes a public key of ours. */
export const TOKEN_KEYS = [
  {
    keyType: CKK.edwards,
    attributes: [CKA.ecPoint],
    material: ([point = new Uint8Array()]: readonly Uint8Array[]) => ed25519Material(bare(point, [32])),
  },
  {
    keyType: CKK.ec,
    attributes: [CKA.ecParams, CKA.ecPoint],
    material: ([curve = new Uint8Array(), point = new Uint8Array()]: readonly Uint8Array[]) =>
      ecdsaMaterial(curve, bare(point, [65, 97])),
  },
  {
    keyType: CKK.rsa,
    attributes: [CKA.modulus, CKA.publicExponent],
    material: ([modulus = new Uint8Array(), exponent = new Uint8Array()]: readonly Uint8Array[]) =>
      rsaMaterial(modulus, exponent),
  },
] as const

/** CKA_EC_POINT is a DER octet string; some modules give the point without it. */
function bare(point: Uint8Array, sizes: readonly number[]): Uint8Array {
  if (sizes.includes(point.length)) return point
  const reader = new DerReader(point, 'point on the token')
  const octets = reader.octets()
  reader.end()
  return octets
}

function rsaMaterial(modulus: Uint8Array, exponent: Uint8Array): PublicMaterial {
  const key = der.sequence(der.positive(modulus), der.positive(exponent))
  return publicMaterial(der.sequence(der.sequence(der.oid(RSA_OID), der.none()), der.bits(key)))
}

/** What the token is given to sign: the payload, or its digest. */
export function digestFor(computation: Computation, payload: Uint8Array): Uint8Array {
  const name = HASH_OF[computation]
  return name === undefined ? payload : concat(createHash(name).update(payload).digest())
}
