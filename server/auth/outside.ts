import { readFileSync } from 'node:fs'
import { calculateJwkThumbprint, createLocalJWKSet, errors, importSPKI } from 'jose'
import type { CryptoKey, JSONWebKeySet, JWTHeaderParameters } from 'jose'
import { isKeyError } from '../../keys/errors.ts'
import { libtrustId } from '../../keys/libtrust.ts'
import { readBundle } from '../../keys/native/certificates.ts'
import type { CertificateBundle } from '../../keys/native/certificates.ts'
import { writePem } from '../../keys/pem.ts'
import { ConfigError } from '../config-error.ts'
import type { Settings } from '../config.ts'
import { checkAccessToken } from './access-token.ts'
import type { CheckAccessToken, KeyOf } from './access-token.ts'
import { remoteKeys } from './remote-keys.ts'

/** Signatures by key pairs; with a shared secret whoever checks a token could make one. */
const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'Ed25519']

/** Checks the tokens of an issuer outside, where the settings name its keys. Throws ConfigError for unusable ones. */
export function outsideCheck(settings: Settings, clock: () => number): CheckAccessToken | undefined {
  const { tokenIssuer: issuer = '', tokenService: audience } = settings
  const keyOf = keysOf(settings, clock)
  if (keyOf === undefined) return undefined
  return (jwt) => checkAccessToken(jwt, { issuer, audience, algorithms: ALGORITHMS, clock, keyOf })
}

function keysOf({ tokenCertificates, tokenJwks }: Settings, clock: () => number): KeyOf | undefined {
  if (tokenCertificates !== undefined) {
    return certifiedKeys(
      usable(tokenCertificates, (text) => readBundle(text, tokenCertificates)),
      clock,
    )
  }
  if (tokenJwks === undefined) return undefined
  if (/^https?:/i.test(tokenJwks)) return remoteKeys(tokenJwks)
  return usable(tokenJwks, (text) => createLocalJWKSet(keySetOf(text)))
}

/**
 * As distribution finds a key: by the certificates in the header, else by the key in it, else by its name. The key that
 * is used is always one of the bundle's, or certified by it; what the header brings along only points there.
 */
function certifiedKeys(bundle: CertificateBundle, clock: () => number): KeyOf {
  const named = namesOf(bundle)
  async function find({ x5c, jwk, kid }: JWTHeaderParameters): Promise<Uint8Array | undefined> {
    if (x5c !== undefined) return bundle.keyOf(chainOf(x5c), clock())
    const name = jwk === undefined ? kid : await thumbprintOf(jwk)
    return name === undefined ? undefined : (await named).get(name)
  }
  return async (header) => {
    const spki = await find(header)
    if (spki === undefined) throw new errors.JWKSNoMatchingKey()
    return keyFor(header.alg, spki)
  }
}

/** Of strings in base64, which nobody has promised us. */
function chainOf(x5c: unknown): readonly Uint8Array[] {
  return Array.isArray(x5c) ? x5c.map((each) => Buffer.from(typeof each === 'string' ? each : '', 'base64')) : []
}

/** Of anything at all. */
async function thumbprintOf(jwk: unknown): Promise<string> {
  try {
    return await calculateJwkThumbprint(typeof jwk === 'object' && jwk !== null ? jwk : {})
  } catch (cause) {
    throw new errors.JWKSNoMatchingKey(undefined, { cause })
  }
}

/** By libtrust's id and by RFC 7638's thumbprint: what older and newer issuers write into `kid`. */
async function namesOf({ keys }: CertificateBundle): Promise<ReadonlyMap<string, Uint8Array>> {
  const names = new Map(keys.map(({ spki }) => [libtrustId(spki), spki]))
  for (const { spki, jwk } of keys) names.set(await calculateJwkThumbprint(jwk), spki)
  return names
}

/** A key of another kind than the algorithm is no key for it. */
async function keyFor(algorithm: string, spki: Uint8Array): Promise<CryptoKey> {
  try {
    return await importSPKI(writePem('PUBLIC KEY', spki), algorithm)
  } catch (cause) {
    throw new errors.JWKSNoMatchingKey(undefined, { cause })
  }
}

function keySetOf(text: string): JSONWebKeySet {
  const value: unknown = JSON.parse(text)
  if (isKeySet(value)) return value
  throw new SyntaxError('it is no JSON Web Key Set')
}

/** What is wrong with a single key comes out when a token names it. */
function isKeySet(value: unknown): value is JSONWebKeySet {
  return typeof value === 'object' && value !== null && 'keys' in value && Array.isArray(value.keys)
}

function usable<T>(path: string, read: (text: string) => T): T {
  try {
    return read(readFileSync(path, 'utf8'))
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause
    const why = 'code' in cause && !isKeyError(cause) ? String(cause.code) : cause.message
    throw new ConfigError('CONFIG_UNREADABLE', { path, why }, { cause })
  }
}
