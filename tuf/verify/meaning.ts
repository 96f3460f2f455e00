/** When two targets mean the same: in length, in every hash, and in whatever else was signed with them. */
import { encodeText, encodeWire } from '../codec/json.ts'
import type { TargetFile } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'

/** Asked of every tag in every publish: it makes text only of what few targets have. */
export function isSameTarget(a: TargetFile, b: TargetFile): boolean {
  if (a.length !== b.length || a.hashes.size !== b.hashes.size) return false
  for (const [name, hex] of a.hashes) if (b.hashes.get(name) !== hex) return false
  return (isPlain(a) && isPlain(b)) || extrasText(a) === extrasText(b)
}

/**
 * What a target says beside the hash it is named by and its length, as one hash; empty where it says no more. So that
 * a record need not keep what somebody signed to make it large.
 */
export function besidesOf(target: TargetFile, suite: Pick<Suite, 'hash'>): string {
  const named = target.hashes.has('sha256') ? 'sha256' : 'sha512'
  const others = [...target.hashes].filter(([name]) => name !== named)
  if (others.length === 0 && isPlain(target)) return ''
  return suite.hash('sha256', encodeText(`${encodeWire(others.toSorted(byName))}${extrasText(target)}`))
}

function isPlain({ custom, unknown }: TargetFile): boolean {
  return custom === undefined && unknown.size === 0
}

function extrasText({ custom, unknown }: TargetFile): string {
  return encodeWire([custom === undefined ? [] : [custom], [...unknown].toSorted(byName)])
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
