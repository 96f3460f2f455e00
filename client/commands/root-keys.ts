/** The keys of a root to come, as somebody named them on the command line. */
import { isReference } from '../../keys/signers/reference.ts'
import { isPublicLine } from '../../keys/signers/ssh/public-line.ts'
import { isKeyName } from '../../keys/keystore/key-file.ts'
import { isKeyError } from '../../keys/errors.ts'
import type { Codec, KeySet, PublicKey, Suite } from '../../tuf/index.ts'
import { CeremonyError } from '../ceremony/errors.ts'
import type { KeyNames } from '../ceremony/names.ts'
import type { Context } from '../context.ts'
import { customsOf } from '../publish/customs.ts'
import { publicKeyOf } from '../publish/found.ts'
import { rootKeysOf } from '../publish/root-keys.ts'
import { usage } from './errors.ts'
import { givenKey } from './given-keys.ts'

export type RoleWish = {
  readonly role: 'root' | 'targets'
  readonly add: readonly string[]
  readonly remove: readonly string[]
  readonly threshold: number | undefined
}

export type Place = {
  readonly repository: string
  readonly codec: Codec
  readonly suite: Suite
  /** What the role has now, and what its keys are called; no keys where the repository is founded. */
  readonly before: KeySet
  readonly names: KeyNames
}

export type Wanted = KeySet & { readonly names: KeyNames }

/** What a role has from then on. Throws USAGE, FORMAT_LIMIT and whatever is wrong with a key. */
export async function wantedKeys(context: Context, wish: RoleWish, place: Place): Promise<Wanted> {
  const { before, codec, suite } = place
  const names = new Map<string, string>()
  const added: PublicKey[] = []
  for (const given of wish.add) {
    const { name, text } = split(given)
    if (name !== undefined && !customsOf(codec).keepsUnknown)
      throw usage('a root of Notary has no room for the names of keys', 'leave NAME= out')
    const key = await listedKey(context, wish, place, text)
    added.push(key)
    if (name !== undefined) names.set(key.id, name)
  }
  const leaving = new Set<string>()
  for (const given of wish.remove) leaving.add((await knownKey(context, wish, place, given)).id)
  const keys = new Map([...before.keys.filter(({ id }) => !leaving.has(id)), ...added].map((key) => [key.id, key]))
  const threshold = wish.threshold ?? before.threshold
  refuseThreshold(wish, threshold, new Set([...keys.values()].map((key) => suite.open(key)?.identity)).size, codec)
  return { keys: [...keys.values()], threshold, names }
}

/** `NAME=KEY`: what the root shall call it, and the key. What else may have such a sign in it begins otherwise. */
function split(given: string): { readonly name: string | undefined; readonly text: string } {
  const at = given.indexOf('=')
  const name = given.slice(0, Math.max(at, 0))
  if (isPublicLine(given) || isReference(given) || !isKeyName(name) || /[/:]/.test(name))
    return { name: undefined, text: given }
  return { name, text: given.slice(at + 1) }
}

/** As the role lists it, or would: in a certificate where root keys are in such. */
async function listedKey(context: Context, { role }: RoleWish, place: Place, text: string): Promise<PublicKey> {
  const { codec, suite, repository, before } = place
  const isCertified = role === 'root' && customsOf(codec).rootHasCertificates
  const given = await givenKey(context, text)
  if (!isCertified || given.certificate !== undefined) return sameOr(publicKeyOf(given, codec, suite), place)
  const keystore = await context.keystore()
  const own = await unlessElsewhere(async () => await keystore.find(text))
  if (own === undefined) {
    throw usage(
      `in a repository of Notary a root key comes in a certificate for ${repository}`,
      'ask its holder for one',
    )
  }
  const making = { repository, keystore, codec, suite, clock: context.clock, before: before.keys, given: [] }
  const [key] = await rootKeysOf([own], making)
  if (key === undefined) throw new Error('one key makes one key')
  return key
}

/** A key that the role has already stays as it is listed: another tool may have given it another id. */
function sameOr(key: PublicKey, { before, suite }: Place): PublicKey {
  const identity = suite.open(key)?.identity
  return before.keys.find((known) => suite.open(known)?.identity === identity) ?? key
}

/** By its name in the root, by its id or the beginning of that, or by itself. */
async function knownKey(context: Context, wish: RoleWish, place: Place, given: string): Promise<PublicKey> {
  const { before, codec, suite, names } = place
  const called = before.keys.filter(({ id }) => names.get(id) === given)
  const begun = /^[0-9a-f]{4,64}$/.test(given) ? before.keys.filter(({ id }) => id.startsWith(given)) : []
  const [found, ...more] = [...new Set([...called, ...begun])]
  if (more.length > 0) throw usage(`${given} fits ${more.length + 1} keys of ${wish.role}`, 'give more of the id')
  if (found !== undefined) return found
  const key = await unlessElsewhere(async () => publicKeyOf(await givenKey(context, given), codec, suite))
  const identity = key && suite.open(key)?.identity
  const known = before.keys.find((each) => identity !== undefined && suite.open(each)?.identity === identity)
  if (known === undefined)
    throw usage(`${given} is none of the keys of ${wish.role}`, `tagseal status ${place.repository} shows them`)
  return known
}

async function unlessElsewhere<T>(find: () => Promise<T>): Promise<T | undefined> {
  try {
    return await find()
  } catch (error) {
    if (isKeyError(error) && error.code === 'KEY_NOT_FOUND') return undefined
    throw error
  }
}

function refuseThreshold({ role }: RoleWish, threshold: number, keys: number, codec: Codec): void {
  if (threshold > customsOf(codec).mostNeeded) throw new CeremonyError('FORMAT_LIMIT', { role, threshold })
  if (threshold <= keys) return
  const why =
    keys === 0 ? `${role} would have no key` : `${threshold} keys of ${role} cannot sign where there are ${keys}`
  throw usage(why, `add keys with --add-${role} KEY, or say how many must sign with --${role}-threshold N`)
}
