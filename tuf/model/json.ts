/**
 * A JSON document as the strict reader leaves it.
 *
 * Objects may carry any member name, `__proto__` included, so members are read through {@link member} and
 * {@link members} alone, and written through {@link setMember}.
 */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

/** The own member of that name; never something inherited from a prototype. */
export function member(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** A document that is being built. */
export type JsonDraft = { [name: string]: Json }

/** Gives it an own member of that name, `__proto__` included, which an assignment would take for something else. */
export function setMember(draft: JsonDraft, name: string, value: Json): void {
  if (name !== '__proto__') draft[name] = value
  else Object.defineProperty(draft, name, { value, configurable: true, enumerable: true, writable: true })
}

/** The own members in the order the engine keeps them: integer-like names first, so never rely on it. */
export function members(object: JsonObject): [string, Json][] {
  return Object.entries(object)
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isJsonList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}
