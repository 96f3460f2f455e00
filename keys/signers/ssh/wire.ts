import { concat } from '../../bytes.ts'

/** The data types of SSH (RFC 4251 5), as far as the agent's protocol uses them. */

/** Reads from front to back; `fail` makes the error for what is cut short or left over. */
export class SshReader {
  readonly #fail: (why: string) => Error
  #rest: Uint8Array

  constructor(bytes: Uint8Array, fail: (why: string) => Error) {
    this.#rest = bytes
    this.#fail = fail
  }

  byte(): number {
    return this.#take(1)[0] ?? 0
  }

  uint32(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#take(4)
    return a * 0x1000000 + b * 0x10000 + c * 0x100 + d
  }

  string(): Uint8Array {
    return this.#take(this.uint32())
  }

  /** A string as text. What is no UTF-8 cannot be a name of ours and stays readable. */
  text(): string {
    return Buffer.from(this.string()).toString('utf8')
  }

  /** The magnitude of an mpint above zero. */
  positive(): Uint8Array {
    const bytes = this.string()
    if (bytes.length === 0 || (bytes[0] ?? 0) >= 0x80) throw this.#fail('a number is zero or negative')
    return bytes
  }

  /** Refuses what nobody read. */
  end(): void {
    if (this.#rest.length > 0) throw this.#fail('there are bytes after its end')
  }

  #take(length: number): Uint8Array {
    if (this.#rest.length < length) throw this.#fail('it is cut short')
    const taken = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return taken
  }
}

export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

export function string(bytes: Uint8Array | string): Uint8Array {
  const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  return concat(uint32(body.length), body)
}
