import type { DelegationEntry } from './store.ts'

/** Lists that we wrote as JSON ourselves; anything else there is a damaged database. */
export function readTexts(json: string): string[] {
  const value: unknown = JSON.parse(json)
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value
  throw new RangeError('a stored list is damaged')
}

export function readObject(json: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(json)
  if (typeof value === 'object' && value !== null) return { ...value }
  throw new RangeError('a stored object is damaged')
}

export const readDelegation: (json: string) => DelegationEntry = JSON.parse
