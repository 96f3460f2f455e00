import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { KeyError } from '../errors.ts'
import { ed25519Spki } from '../schemes/ed25519.ts'
import { NOTARY_SIGNATURES } from '../schemes/notary-signatures.ts'
import { publicMaterial } from '../schemes/table.ts'
import type { Algorithm, PublicMaterial, SignatureForm, Signer } from '../signer.ts'
import { OPENSSL } from './openssl.ts'
import { openPublic } from './public.ts'

/**
 * A private key in memory. `close` wipes its bytes and drops OpenSSL's copy, which OpenSSL wipes when it is freed.
 * Printing, inspecting or serialising one shows its public half only.
 */
export class Secret implements Signer {
  readonly algorithm: Algorithm
  readonly #pkcs8: Uint8Array
  #key: KeyObject | undefined
  #public: PublicMaterial | undefined

  /** Takes over `pkcs8`: unencrypted DER, wiped on close and when it is refused. */
  constructor(pkcs8: Uint8Array) {
    this.#pkcs8 = pkcs8
    try {
      this.#key = readPrivate(pkcs8)
      // OpenSSL computes the public half of an ed25519 key itself: there is nothing to check before somebody asks for it.
      if (this.#key.asymmetricKeyType !== 'ed25519') {
        this.#public = publicOf(this.#key)
        refuseMismatch(this.#key, this.#public)
      }
      this.algorithm = this.#public?.algorithm ?? 'ed25519'
    } catch (error) {
      pkcs8.fill(0)
      throw error
    }
  }

  get public(): PublicMaterial {
    this.#public ??= publicOf(this.#open())
    return this.#public
  }

  async sign(payload: Uint8Array, form: SignatureForm = 'tuf-1.0'): Promise<Uint8Array> {
    if (form === 'tuf-1.0') return OPENSSL[this.algorithm].sign(payload, this.#open())
    const { computation, write } = NOTARY_SIGNATURES[this.algorithm]
    return write(OPENSSL[computation].sign(payload, this.#open()))
  }

  /** Lends the PKCS#8 DER for as long as `use` runs; whoever copies it wipes the copy. */
  lend<T>(use: (pkcs8: Uint8Array) => T): T {
    this.#open()
    return use(this.#pkcs8)
  }

  close(): void {
    this.#pkcs8.fill(0)
    this.#key = undefined
  }

  toJSON(): object {
    return { algorithm: this.algorithm }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Secret(${this.algorithm})`
  }

  #open(): KeyObject {
    if (this.#key === undefined) throw new KeyError('KEY_CLOSED', { algorithm: this.algorithm })
    return this.#key
  }
}

function publicOf(key: KeyObject): PublicMaterial {
  const half = createPublicKey(key)
  // What writes any DER takes OpenSSL half a millisecond to set up; the usual key needs none of it (RFC 8037 2).
  if (half.asymmetricKeyType !== 'ed25519') return publicMaterial(half.export({ format: 'der', type: 'spki' }))
  return publicMaterial(ed25519Spki(Buffer.from(half.export({ format: 'jwk' }).x ?? '', 'base64url')))
}

function readPrivate(pkcs8: Uint8Array): KeyObject {
  try {
    return createPrivateKey({
      key: Buffer.from(pkcs8.buffer, pkcs8.byteOffset, pkcs8.length),
      format: 'der',
      type: 'pkcs8',
    })
  } catch {
    // The reason is OpenSSL's parser state, which says nothing to a user, and must not quote the key.
    throw new KeyError('KEY_MALFORMED', { what: 'private key', why: 'it is not PKCS#8' })
  }
}

/**
 * EC and RSA keys carry their public half beside the private one, and OpenSSL takes its word. One that lies
 * would sign what nobody can verify, or leak the private half through its faulty signatures.
 */
function refuseMismatch(key: KeyObject, { algorithm, spki }: PublicMaterial): void {
  const probe = Buffer.from('tagseal key check')
  const own = openPublic(spki)
  const { sign, verify } = OPENSSL[algorithm]
  if (!verify(probe, own, sign(probe, key))) {
    throw new KeyError('KEY_MALFORMED', { what: 'private key', why: 'its two halves do not belong together' })
  }
}
