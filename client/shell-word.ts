/** As a shell takes it for one word: what separates the parts of a PKCS#11 URI, for one, ends a command. */
export function shellWord(text: string): string {
  return /^[\w:./-]+$/.test(text) ? text : inQuotes(text)
}

/** The same whatever it is. */
export function inQuotes(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
