/** A service for which this server issues tokens: itself, and those that the operator names. */
export type Service = {
  readonly name: string
  /** Put before its repositories' names, where they lack the host that ours begin with. */
  readonly host?: string
}

/** `notary-peers, registry=registry.example.com:5000`. undefined where it cannot be read. */
export function parseServices(text: string): readonly Service[] | undefined {
  const services = listOf(text).map(parseService)
  return services.every((service) => service !== undefined) ? services : undefined
}

/** What stands between commas. */
export function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
}

function parseService(text: string): Service | undefined {
  const [, name, host] = /^([^=\s"\\]{1,255})(?:=([A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?))?$/.exec(text) ?? []
  if (name === undefined) return undefined
  return host === undefined ? { name } : { name, host }
}
