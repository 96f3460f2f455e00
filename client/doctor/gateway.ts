/** The gateway that engines are to pull through, and whether a text in a configuration means it. */
import { usage } from '../commands/errors.ts'
import { isLoopback } from '../http.ts'

export type Gateway = {
  readonly url: URL
  /** `gateway.example.com` or `127.0.0.1:5080`: as it stands in names of images. */
  readonly host: string
  readonly isPlain: boolean
  readonly isLoopback: boolean
}

/** Throws USAGE. */
export function gatewayAt(text: string): Gateway {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.username !== '') {
    throw usage(`${text} is no address of a gateway`, '--gateway https://gateway.example.com')
  }
  return { url, host: url.host, isPlain: url.protocol === 'http:', isLoopback: isLoopback(url.hostname) }
}

/** With its port, also where that is the usual one: of a host alone every port is meant. */
export function hostAndPort({ url }: Gateway): string {
  return `${url.hostname}:${url.port || (url.protocol === 'http:' ? '80' : '443')}`
}

/** A host as configurations name it: with or without scheme, with or without a path behind. Of another scheme no port is asked. */
export function namesGateway({ url }: Gateway, text: string): boolean {
  const named = readHost(text, url.protocol)
  return named?.hostname === url.hostname && (named.port === url.port || named.protocol !== url.protocol)
}

/** Plain http beyond this machine: whoever is on the way answers in the gateway's place. */
export function isOpenToOthers({ isLoopback }: Gateway, text: string): boolean {
  return !isLoopback && /^http:/i.test(text)
}

function readHost(text: string, scheme: string): URL | undefined {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${scheme}//${text}`
  return URL.canParse(full) ? new URL(full) : undefined
}

/** This machine alone can answer there. */
export function isOwnHost(text: string): boolean {
  const named = readHost(text, 'http:')
  return named !== undefined && isLoopback(named.hostname)
}
