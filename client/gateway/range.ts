import { GatewayError } from './errors.ts'

/** The bytes from `start` up to and including `end`. */
export type Range = { readonly start: number; readonly end: number }

/**
 * The one part that a request wants; undefined: all of it. Several parts at once are answered with the whole, as
 * RFC 9110 allows, and so is what cannot be read. Throws RANGE_INVALID for a part that lies outside.
 */
export function readRange(header: string | undefined, size: number): Range | undefined {
  const [, first = '', last = ''] = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '') {
    const count = Math.min(Number(last), size)
    if (count === 0) throw new GatewayError('RANGE_INVALID', { size })
    return { start: size - count, end: size - 1 }
  }
  const [start, end] = [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)]
  if (last !== '' && Number(last) < start) return undefined
  if (start >= size) throw new GatewayError('RANGE_INVALID', { size })
  return { start, end }
}
