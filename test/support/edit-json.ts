import { isJsonList, isJsonObject } from '../../tuf/index.ts'
import type { Json } from '../../tuf/index.ts'

/** A changed copy of a document. */
export type Edit = (document: Json) => Json

/** The member at a path such as `signed/roles/0/name` becomes this value; `*` is the first member there is. */
export function put(path: string, value: Json): Edit {
  return update(path, () => value)
}

export function drop(path: string): Edit {
  return update(path, () => undefined)
}

/** The list or object at `path` gets one more: what stands at `from` once again, or under another name. */
export function repeat(from: string, name?: string): Edit {
  return (document) => {
    const value = at(document, from.split('/'))
    const parent = from.split('/').slice(0, -1).join('/')
    const add = (into: Json | undefined): Json => {
      if (into !== undefined && isJsonList(into)) return [...into, value]
      return { ...(isJsonObject(into) ? into : {}), [name ?? 'again']: value }
    }
    return update(parent, add)(document)
  }
}

export function all(...edits: readonly Edit[]): Edit {
  return (document) => edits.reduce((changed, edit) => edit(changed), document)
}

/** What `change` makes of the member at a path; undefined takes it out. */
export function update(path: string, change: (value: Json | undefined) => Json | undefined): Edit {
  return (document) => changedAt(document, path.split('/'), change) ?? null
}

export function editBytes(bytes: Uint8Array, edit: Edit, indent?: number): Uint8Array {
  const document = JSON.parse(new TextDecoder().decode(bytes)) as Json
  return new TextEncoder().encode(JSON.stringify(edit(document), null, indent))
}

function changedAt(
  value: Json | undefined,
  [first, ...rest]: readonly string[],
  change: (value: Json | undefined) => Json | undefined,
): Json | undefined {
  if (first === undefined) return change(value)
  const name = first === '*' ? firstOf(value) : first
  const child = changedAt(childOf(value, name), rest, change)
  if (isJsonList(value))
    return value.flatMap((each, i) => (String(i) !== name ? [each] : child === undefined ? [] : [child]))
  const others = Object.entries(isJsonObject(value) ? value : {}).filter(([other]) => other !== name)
  return Object.fromEntries(child === undefined ? others : [...others, [name, child]])
}

function at(value: Json | undefined, [first, ...rest]: readonly string[]): Json {
  if (first === undefined) return value ?? null
  return at(childOf(value, first === '*' ? firstOf(value) : first), rest)
}

function childOf(value: Json | undefined, name: string): Json | undefined {
  if (isJsonList(value)) return value[Number(name)]
  return isJsonObject(value) ? value[name] : undefined
}

function firstOf(value: Json | undefined): string {
  return isJsonObject(value) ? (Object.keys(value)[0] ?? '') : '0'
}
