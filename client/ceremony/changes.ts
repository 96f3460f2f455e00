/** What a proposal changes, read off its metadata. */
import { keySetOf } from '../../tuf/index.ts'
import type { KeyId, PublicKey, RoleName, Root } from '../../tuf/index.ts'
import { namesIn } from './names.ts'
import { TOP_ROLES } from './next-root.ts'
import { followedBy } from './opened.ts'
import type { Opened } from './opened.ts'

export type NamedKey = { readonly id: KeyId; readonly scheme: string; readonly name: string | undefined }

export type RoleChange = {
  readonly role: RoleName
  readonly threshold: Change<number>
  /** How many keys the role has. */
  readonly count: Change<number>
  readonly joining: readonly NamedKey[]
  readonly leaving: readonly NamedKey[]
  readonly staying: readonly NamedKey[]
}
/** `before` is undefined where there was nothing before. */
export type Change<T> = { readonly before: T | undefined; readonly after: T }

export type Renaming = { readonly id: KeyId; readonly before: string | undefined; readonly after: string | undefined }

/** Every role of the root, changed or not, in the order in which people are told. */
export function roleChangesOf(opened: Pick<Opened, 'chain' | 'root'>): readonly RoleChange[] {
  const [before, after] = [followedBy(opened)?.root, opened.root.signed.body]
  return TOP_ROLES.map((role) => {
    const [was, is] = [before && keySetOf(before, role), keySetOf(after, role)]
    const [old, now] = [idsOf(was?.keys ?? []), idsOf(is.keys)]
    const named = (keys: readonly PublicKey[], root: Root | undefined) => keys.map((key) => namedKey(key, root))
    return {
      role,
      threshold: { before: was?.threshold, after: is.threshold },
      count: { before: was?.keys.length, after: is.keys.length },
      joining: named(
        is.keys.filter(({ id }) => !old.has(id)),
        after,
      ),
      leaving: named(
        (was?.keys ?? []).filter(({ id }) => !now.has(id)),
        before,
      ),
      staying: named(
        is.keys.filter(({ id }) => old.has(id)),
        after,
      ),
    }
  })
}

/** Keys that stay in the root, and are called otherwise from now on. */
export function renamingsOf(opened: Pick<Opened, 'chain' | 'root'>): readonly Renaming[] {
  const [before, after] = [followedBy(opened)?.root, opened.root.signed.body]
  if (before === undefined) return []
  const [was, is] = [namesIn(before), namesIn(after)]
  return [...after.keys.keys()]
    .filter((id) => before.keys.has(id) && was.get(id) !== is.get(id))
    .map((id) => ({ id, before: was.get(id), after: is.get(id) }))
}

/** Whether a role gets other keys, or asks for another number of them. */
export function isChanged({ joining, leaving, threshold }: RoleChange): boolean {
  return joining.length + leaving.length > 0 || threshold.before !== threshold.after
}

function idsOf(keys: readonly PublicKey[]): ReadonlySet<KeyId> {
  return new Set(keys.map(({ id }) => id))
}

function namedKey({ id, scheme }: PublicKey, root: Root | undefined): NamedKey {
  return { id, scheme, name: root && namesIn(root).get(id) }
}
