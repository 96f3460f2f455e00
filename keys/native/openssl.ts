import { constants, type KeyObject, sign, verify } from 'node:crypto'
import type { Computation } from '../signer.ts'

type Operations = {
  readonly sign: (payload: Uint8Array, key: KeyObject) => Uint8Array
  readonly verify: (payload: Uint8Array, key: KeyObject, signature: Uint8Array) => boolean
}

/** MGF1 takes the signature's own hash where none is named. */
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING } as const

/** What OpenSSL does for each algorithm. Forms of keys and signatures are settled before it is asked (`schemes/`). */
export const OPENSSL: Readonly<Record<Computation, Operations>> = {
  ed25519: {
    sign: (payload, key) => sign(null, payload, key),
    verify: (payload, key, signature) => verify(null, payload, key, signature),
  },
  'ecdsa-p256': {
    sign: (payload, key) => sign('sha256', payload, key),
    verify: (payload, key, signature) => verify('sha256', payload, key, signature),
  },
  'ecdsa-p384': {
    sign: (payload, key) => sign('sha384', payload, key),
    verify: (payload, key, signature) => verify('sha384', payload, key, signature),
  },
  'ecdsa-p384-sha256': {
    sign: (payload, key) => sign('sha256', payload, key),
    verify: (payload, key, signature) => verify('sha256', payload, key, signature),
  },
  'ecdsa-p521': {
    sign: (payload, key) => sign('sha512', payload, key),
    verify: (payload, key, signature) => verify('sha512', payload, key, signature),
  },
  'ecdsa-p521-sha256': {
    sign: (payload, key) => sign('sha256', payload, key),
    verify: (payload, key, signature) => verify('sha256', payload, key, signature),
  },
  'rsa-pss': {
    sign: signPss,
    verify: (payload, key, signature) =>
      verify('sha256', payload, { key, ...PSS, saltLength: constants.RSA_PSS_SALTLEN_AUTO }, signature),
  },
  'rsa-pss-salt-32': {
    sign: signPss,
    verify: (payload, key, signature) => verify('sha256', payload, { key, ...PSS, saltLength: 32 }, signature),
  },
}

function signPss(payload: Uint8Array, key: KeyObject): Uint8Array {
  return sign('sha256', payload, { key, ...PSS, saltLength: 32 })
}
