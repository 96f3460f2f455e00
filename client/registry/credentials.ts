import { inspect } from 'node:util'

/** A login for one registry. */
export type Credential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: Secret }
  /** What `docker login` keeps after an OAuth2 sign-in: only good for fetching tokens. */
  | { readonly kind: 'identity'; readonly token: Secret }
  /** A bearer token as it is. */
  | { readonly kind: 'bearer'; readonly token: Secret }

/** Finds the login for a registry (`docker.io`, `localhost:5000`). undefined: there is none, ask as nobody. */
export type Credentials = {
  readonly find: (registry: string, signal?: AbortSignal) => Promise<Credential | undefined>
}

export const NO_CREDENTIALS: Credentials = { find: async () => undefined }

/**
 * A secret that arrived as text and so cannot be wiped. It shows itself only to whoever calls `reveal`:
 * not to a log, an error, `JSON.stringify` or `util.inspect`.
 */
export class Secret {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
