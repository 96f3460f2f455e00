import { usage } from './errors.ts'

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['K', 1024],
  ['M', 1024 ** 2],
  ['G', 1024 ** 3],
  ['T', 1024 ** 4],
])

/** Bytes, of `500M` or `20G`. Throws USAGE. */
export function readSize(size: string, example: string): number {
  const [, count = '', unit = ''] = /^([0-9]{1,9})([KMGT]?)$/.exec(size) ?? []
  if (count === '') throw usage(`${size} is no size`, example)
  return Number(count) * (UNITS.get(unit) ?? 1)
}
