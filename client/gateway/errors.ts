/** What a request to the gateway can be refused for before any image is judged. */
export type GatewayFailures = {
  readonly NAME_INVALID: { readonly text: string; readonly why: string }
  /** No rule names this registry, so that nobody can have it asked for anything. */
  readonly REGISTRY_NOT_ALLOWED: { readonly registry: string }
  /** An engine that checks by itself asks for signatures that nobody makes here. */
  readonly NO_BRIDGE_KEY: { readonly tag: string }
  readonly NO_REGISTRY: { readonly name: string }
  readonly READ_ONLY: { readonly method: string }
  readonly NOT_SERVED: { readonly path: string }
  readonly LOGIN_REQUIRED: Record<string, never>
  readonly RANGE_INVALID: { readonly size: number }
  /** An allowed manifest names it, as something else than what was asked for. */
  readonly OTHER_KIND: { readonly digest: string; readonly kind: string }
}
export type GatewayCode = keyof GatewayFailures

const SENTENCE: { readonly [C in GatewayCode]: (d: GatewayFailures[C]) => string } = {
  NAME_INVALID: (d) => `${JSON.stringify(d.text)} is no name: ${d.why}`,
  REGISTRY_NOT_ALLOWED: (d) => `no rule of the policy names the registry ${d.registry}`,
  NO_BRIDGE_KEY: (d) => `${d.tag} would be made here, and this gateway has no --bridge-key to sign it with`,
  NO_REGISTRY: (d) => `${d.name} names no registry, and the policy has no defaultRegistry`,
  READ_ONLY: (d) => `this gateway only reads: ${d.method} is not served`,
  NOT_SERVED: (d) => `there is nothing at ${d.path}`,
  LOGIN_REQUIRED: () => 'log in to this gateway first',
  RANGE_INVALID: (d) => `there are ${d.size} bytes`,
  OTHER_KIND: (d) => `${d.digest} is no ${d.kind}`,
}

/** A request that is refused for what it is. Branch on `code`. */
export class GatewayError<C extends GatewayCode = GatewayCode> extends Error {
  override readonly name = 'GatewayError'
  readonly code: C
  readonly detail: GatewayFailures[C]
  constructor(code: C, detail: GatewayFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyGatewayError = { readonly [C in GatewayCode]: GatewayError<C> }[GatewayCode]

export function isGatewayError(error: unknown): error is AnyGatewayError {
  return error instanceof GatewayError
}
