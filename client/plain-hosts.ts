/** Hosts that were named for plain http, beyond this machine itself. */
export type PlainHosts = {
  /** As a URL's `host`: without the port where that is 80. */
  readonly has: (host: string) => boolean
}

/** `HOST` is meant on every port: a registry is seldom on 80. `HOST:PORT` is meant on that one alone. */
export function plainHostsOf(named: readonly string[]): PlainHosts {
  const everyPort = new Set<string>()
  const onePort = new Set<string>()
  for (const text of named) {
    const place = placeOf(text)
    if (place === undefined) continue // no URL leads there
    if (/:\d+$/.test(text)) onePort.add(place.host)
    else everyPort.add(place.name)
  }
  return {
    has(host) {
      const place = placeOf(host)
      return place !== undefined && (everyPort.has(place.name) || onePort.has(place.host))
    },
  }
}

function placeOf(host: string): { readonly name: string; readonly host: string } | undefined {
  const url = `http://${host}/`
  if (!URL.canParse(url)) return undefined
  const { hostname, port } = new URL(url)
  return { name: hostname, host: `${hostname}:${port || '80'}` }
}
