/**
 * A JSON document as the strict reader leaves it.
 *
 * Objects may carry any member name, `__proto__` included, and may have a prototype or none,
 * so their members are read through {@link member} and {@link members} alone.
 */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

/** The own member of that name; never something inherited from a prototype. */
export function member(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
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
