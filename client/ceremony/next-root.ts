/** Whether a root could follow, and changes nothing but what people are told. */
import { sameBytes } from '../../keys/bytes.ts'
import { firstRoot, keySetOf, nextRoot, ROOT, SNAPSHOT, TARGETS, TIMESTAMP } from '../../tuf/index.ts'
import type { Root, RoleName, Signed, WalkingRoot } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import { namesIn, withNames } from './names.ts'
import type { Question } from './opened.ts'

export const TOP_ROLES: readonly RoleName[] = [ROOT, TARGETS, TIMESTAMP, SNAPSHOT]

/** Throws PROPOSAL_UNSOUND, and TrustError for what is no root at all. */
export function acceptNextRoot(question: Question, bytes: Uint8Array): Signed<Root> {
  const { judge, chain, unsound } = question
  const signed = judge.codec.decode('root', bytes, judge)
  const { body } = signed
  const followed = chain.at(-1)
  const version = (followed?.root.version ?? 0) + 1
  if (body.version !== version) throw unsound(`root ${body.version} where root ${version} comes next`)
  refuseOtherName(question, body)
  refuseHidden(question, signed, followed)
  for (const role of TOP_ROLES) refuseUnreachable(question, body, role)
  judge.codec.rootAuthority(body, judge) // throws for one whose certificates are for another repository
  return signed
}

function refuseOtherName({ judge, unsound }: Question, root: Root): void {
  const named = judge.codec.repositoryOf(root, judge)
  if (named === judge.repository) return
  throw unsound(named === undefined ? 'the root says no repository' : `the root is for ${named}`)
}

/**
 * The root must be what our own edit makes of the one before with these keys, thresholds, names and this expiry, to the
 * byte: those are the things that words tell of.
 */
function refuseHidden({ judge, unsound }: Question, signed: Signed<Root>, followed: WalkingRoot | undefined): void {
  const { codec } = judge
  const { body, payload, unknown, signatures } = signed
  const names = namesIn(body)
  const context = { codec, expires: body.expires }
  const keys = {
    root: keySetOf(body, ROOT),
    targets: keySetOf(body, TARGETS),
    timestamp: keySetOf(body, TIMESTAMP),
    snapshot: keySetOf(body, SNAPSHOT),
  }
  const expected =
    followed === undefined
      ? firstRoot(keys, context, customsOf(codec).naming(new Map(), judge.repository ?? ''))
      : nextRoot(followed.root, keys, context)
  const isOurs = sameBytes(codec.encode(withNames(expected, names)), payload)
  if (!isOurs) throw unsound('the root changes more than keys, thresholds and its expiry')
  if (unknown.size > 0 || signatures.some((each) => each.unknown.size > 0))
    throw unsound('the root has more around it than signatures')
  if (names.size > 0 && !customsOf(codec).keepsUnknown) throw unsound('names of keys in a root of Notary')
  if (new Set(names.values()).size !== names.size) throw unsound('two keys of the root have one name')
  const strange = [...body.keys.values()].find(({ id, unknown: more, unknownKeyval }) => {
    return followed?.root.keys.has(id) !== true && more.size + unknownKeyval.size > 0
  })
  if (strange !== undefined) throw unsound(`the key ${strange.id} has members of no meaning`)
}

/** A role that too few keys can sign would be lost for good, and with it perhaps the repository. */
function refuseUnreachable({ judge, unsound }: Question, root: Root, role: RoleName): void {
  const { keys, threshold } = keySetOf(root, role)
  const able = new Set(keys.flatMap((key) => judge.suite.open(key)?.identity ?? []))
  if (able.size < threshold)
    throw unsound(`${role} would need ${threshold} keys, and ${able.size} of its keys can sign`)
  if (threshold > customsOf(judge.codec).mostNeeded)
    throw unsound(`a threshold of ${threshold} for ${role}, which Notary does not know`)
}
