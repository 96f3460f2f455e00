import { createHash } from 'node:crypto'
import { KeyError } from './errors.ts'

export const KEK_LENGTH = 32

/**
 * A key-encryption key: 32 random bytes under which a server seals its online keys.
 * Its bytes never show: not printed, not inspected, not serialised.
 */
export class Kek {
  /** Tells one key from another without telling anything about either. */
  readonly fingerprint: string
  readonly #bytes: Uint8Array

  /** Takes over `bytes`; `source` says in an error where they came from. */
  constructor(bytes: Uint8Array, source: string) {
    if (bytes.length !== KEK_LENGTH) {
      throw new KeyError('KEK_MALFORMED', { source, why: `it has ${bytes.length} bytes, not ${KEK_LENGTH}` })
    }
    if (bytes.every((byte) => byte === bytes[0])) {
      throw new KeyError('KEK_MALFORMED', { source, why: 'its bytes are all the same, so it is not random' })
    }
    this.#bytes = bytes
    this.fingerprint = createHash('sha256').update('tagseal kek fingerprint').update(bytes).digest('hex').slice(0, 16)
  }

  /** Lends the bytes for as long as `use` runs. */
  lend<T>(use: (bytes: Uint8Array) => T): T {
    return use(this.#bytes)
  }

  /** Wipes it; what is sealed under it cannot be opened with it any more. */
  close(): void {
    this.#bytes.fill(0)
  }

  toJSON(): object {
    return { fingerprint: this.fingerprint }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Kek(${this.fingerprint})`
  }
}
