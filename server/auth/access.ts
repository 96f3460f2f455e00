import type { Action } from '../storage/store.ts'

/** What may be done with one thing, in the words of the distribution token specification. */
export type Access = { readonly type: string; readonly name: string; readonly actions: readonly string[] }

/** Which of our actions the words of a token stand for. `*` is every action there may be. */
const MEANS: ReadonlyMap<string, readonly Action[]> = new Map([
  ['pull', ['pull']],
  ['push', ['push', 'pull']],
  ['*', ['admin', 'push', 'pull']],
])

/** Whether a token with this access may do it to that very repository. */
export function grants(access: readonly Access[], action: Action, repository: string): boolean {
  return access.some(
    ({ type, name, actions }) => type === 'repository' && name === repository && means(actions, action),
  )
}

export function grantsSomewhere(access: readonly Access[], action: Action): boolean {
  return access.some(({ type, actions }) => type === 'repository' && means(actions, action))
}

/** `registry:catalog:*`: to see the names of all repositories. */
export function grantsCatalogue(access: readonly Access[]): boolean {
  return access.some(({ type, name, actions }) => type === 'registry' && name === 'catalog' && actions.includes('*'))
}

function means(words: readonly string[], action: Action): boolean {
  return words.some((word) => MEANS.get(word)?.includes(action) === true)
}

/** Far more than docker asks for at once; a token of that many fits into a request's headers. */
const [MAX_SCOPES, MAX_TEXT] = [32, 4096]

/**
 * The scopes of a request for a token, `repository:127.0.0.1:5000/team/app:push,pull`: the type ends at the first colon
 * and the actions begin after the last one, for names have colons of their own. undefined where it is none of that, or
 * too much.
 */
export function parseScopes(texts: readonly string[]): readonly Access[] | undefined {
  const each = texts.flatMap((text) => text.split(' ')).filter((text) => text !== '')
  if (each.length > MAX_SCOPES || each.join('').length > MAX_TEXT) return undefined
  const scopes = each.map(parseScope)
  return scopes.every((scope) => scope !== undefined) ? merged(scopes) : undefined
}

function parseScope(text: string): Access | undefined {
  const [, type, name, actions] = /^([a-z]+(?:\([a-z]+\))?):([^ ]+):([a-z*]+(?:,[a-z*]+)*)$/.exec(text) ?? []
  if (type === undefined || name === undefined || actions === undefined) return undefined
  return { type, name, actions: actions.split(',') }
}

/** One entry for each thing, as the originals want it. */
function merged(scopes: readonly Access[]): readonly Access[] {
  const things = new Map<string, Access>()
  for (const scope of scopes) {
    const key = `${scope.type} ${scope.name}`
    const actions = new Set([...(things.get(key)?.actions ?? []), ...scope.actions])
    things.set(key, { ...scope, actions: [...actions] })
  }
  return [...things.values()]
}
