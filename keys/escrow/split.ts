import { combine, split } from 'shamir-secret-sharing'
import { sameBytes, toHex } from '../bytes.ts'
import { isKeyError, KeyError } from '../errors.ts'
import type { ForeignKey } from '../keystore/foreign.ts'
import { tufKeyId } from '../keystore/key-file.ts'
import type { KeyInfo, Splitting } from '../keystore/keystore.ts'
import { Secret } from '../native/secret.ts'
import { randomBytes } from '../random.ts'
import { writeShare } from './share-text.ts'
import type { Share } from './share-text.ts'

/** A share and where it came from. */
export type GivenShare = { readonly file: string; readonly share: Share }

const SET_BYTES = 8

/** The shares of a private key, as text; they are tried before anybody relies on them. */
export async function splitKey(secret: Secret, info: KeyInfo, { threshold, shares }: Splitting): Promise<string[]> {
  const { id, name, notary } = info
  const set = toHex(randomBytes(SET_BYTES))
  const pkcs8 = secret.lend((der) => der.slice())
  const parts = await split(pkcs8, shares, threshold)
  try {
    await refuseUseless(pkcs8, parts.slice(-threshold))
    const facts = { id, of: shares, threshold, set, ...(name !== undefined && { name }), ...(notary && { notary }) }
    return parts.map((bytes, i) => writeShare({ ...facts, number: i + 1, bytes }))
  } finally {
    for (const bytes of [pkcs8, ...parts]) bytes.fill(0)
  }
}

/**
 * The key that shares bring back, as an import takes it. Throws SHARES_MIXED, SHARE_TWICE and SHARES_TOO_FEW at once, and
 * SHARES_WRONG when it is opened: what comes together must be the key whose id every share names.
 */
export function joinShares(given: readonly [GivenShare, ...GivenShare[]]): ForeignKey {
  const [first] = given
  for (const other of given) refuseOther(first, other)
  const numbers = new Map<number, GivenShare>()
  for (const one of given) {
    const before = numbers.get(one.share.number)
    if (before !== undefined)
      throw new KeyError('SHARE_TWICE', { number: one.share.number, files: [before.file, one.file] })
    numbers.set(one.share.number, one)
  }
  const { id, name, notary, threshold } = first.share
  if (given.length < threshold) throw new KeyError('SHARES_TOO_FEW', { id, need: threshold, have: given.length })
  return {
    label: `key ${id.slice(0, 12)}`,
    encrypted: false,
    ...notary,
    ...(name !== undefined && { name }),
    open: () => joined(given, id),
  }
}

function refuseOther(first: GivenShare, other: GivenShare): void {
  const [a, b] = [first.share, other.share]
  const files = [first.file, other.file]
  if (a.id !== b.id) throw new KeyError('SHARES_MIXED', { files, why: `they are of the keys ${a.id} and ${b.id}` })
  if (a.set !== b.set || a.of !== b.of || a.threshold !== b.threshold || a.bytes.length !== b.bytes.length) {
    throw new KeyError('SHARES_MIXED', {
      files,
      why: 'the key was split several times, and they are of different sets',
    })
  }
  if (a.name !== b.name || a.notary?.role !== b.notary?.role || a.notary?.gun !== b.notary?.gun) {
    throw new KeyError('SHARES_MIXED', { files, why: 'they call the key differently, so one of them was altered' })
  }
}

async function joined(given: readonly GivenShare[], id: string): Promise<Secret> {
  const parts = given.map(({ share }) => share.bytes)
  try {
    // The last byte is where on the curve a share lies: nobody's two shares lie at one point.
    if (new Set(parts.map((bytes) => bytes.at(-1))).size < parts.length) throw wrong(id)
    const secret = opened(await combine(parts), id)
    if (tufKeyId(secret.public) === id) return secret
    secret.close()
    throw wrong(id)
  } finally {
    for (const bytes of parts) bytes.fill(0)
  }
}

/** Bytes that are no key come from a false share as well; nothing says which of them it is. */
function opened(pkcs8: Uint8Array, id: string): Secret {
  try {
    return new Secret(pkcs8)
  } catch (cause) {
    throw isKeyError(cause) ? wrong(id, cause) : cause
  }
}

async function refuseUseless(pkcs8: Uint8Array, parts: Uint8Array[]): Promise<void> {
  const again = await combine(parts)
  const same = sameBytes(again, pkcs8)
  again.fill(0)
  if (!same) throw new Error('the shares that were made do not bring the key back')
}

function wrong(id: string, cause?: unknown): KeyError {
  return new KeyError('SHARES_WRONG', { id }, { cause })
}
