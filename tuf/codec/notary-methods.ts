/** How Notary v1 says in a file with which algorithm a signature was made. */
export type NotaryMethod = 'ecdsa' | 'rsapss' | 'eddsa'

/** The method that goes with each type of key. */
const METHODS: ReadonlyMap<string, NotaryMethod> = new Map(
  Object.entries({
    ecdsa: 'ecdsa',
    'ecdsa-x509': 'ecdsa',
    rsa: 'rsapss',
    'rsa-x509': 'rsapss',
    ed25519: 'eddsa',
  } as const satisfies Record<string, NotaryMethod>),
)

const PREFIX = 'notary-v1-'

/** The `scheme` of a key in the model. Notary writes none; the prefix keeps it apart from those of TUF 1.0. */
export function notaryScheme(method: string): string {
  return `${PREFIX}${method}`
}

/** The scheme of a key of that type. One that nobody knows verifies nothing. */
export function schemeOfKeytype(keytype: string): string {
  return notaryScheme(METHODS.get(keytype) ?? `unknown-${keytype}`)
}

/** What stands in a file for a scheme; undefined for one of another dialect. */
export function methodOf(scheme: string): string | undefined {
  return scheme.startsWith(PREFIX) ? scheme.slice(PREFIX.length) : undefined
}
