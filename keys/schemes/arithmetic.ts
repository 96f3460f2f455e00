import { toBigInt } from '../bytes.ts'

/** Arithmetic on public numbers only: its time tells what it works on. */

/** Four bits of the exponent at a time: a third less work for the long ones that tell whether a point is on a curve. */
export function modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const powers = [1n, base % modulus]
  const power = (digit: number): bigint => (powers[digit] ??= (power(digit - 1) * power(1)) % modulus)
  let result = 1n
  for (const digit of exponent.toString(16)) {
    for (let bit = 0; bit < 4; bit++) result = (result * result) % modulus
    if (digit !== '0') result = (result * power(Number.parseInt(digit, 16))) % modulus
  }
  return result
}

export function toBytes(value: bigint, length: number): Uint8Array {
  const hex = value.toString(16).padStart(2 * length, '0')
  return Uint8Array.from({ length }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}

export function fromLittleEndian(bytes: Uint8Array): bigint {
  return toBigInt(bytes.toReversed())
}
