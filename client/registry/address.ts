import { isIPv4 } from 'node:net'

/** Where a host stands. A name is `public` until it is resolved: see `lookup.ts` for what is refused then. */
export type Place = 'loopback' | 'link-local' | 'private' | 'public'

/** By the text alone, as the URL parser normalised it: `127.1` and `0x7f000001` arrive here as `127.0.0.1`. */
export function placeOf(hostname: string): Place {
  const name = hostname.replace(/\.$/, '').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback'
  if (name.startsWith('[')) return placeOfIPv6(name.slice(1, -1))
  return placeOfAddress(name)
}

/** The same for an address as the resolver gives it. */
export function placeOfAddress(address: string): Place {
  if (isIPv4(address)) return placeOfIPv4(address)
  return address.includes(':') ? placeOfIPv6(address) : 'public'
}

export function isLoopback(hostname: string): boolean {
  return placeOf(hostname) === 'loopback'
}

function placeOfIPv4(address: string): Place {
  const [a = 0, b = 0] = address.split('.').map(Number)
  if (a === 127 || a === 0) return 'loopback'
  if (a === 169 && b === 254) return 'link-local' // the clouds' metadata services
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return 'private'
  return a === 100 && b >= 64 && b < 128 ? 'private' : 'public'
}

function placeOfIPv6(address: string): Place {
  const text = canonical(address)
  if (text === undefined) return 'public'
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text)
  if (mapped !== null) return placeOfIPv4(dotted(mapped[1] ?? '', mapped[2] ?? ''))
  if (text === '::1' || text === '::') return 'loopback'
  if (/^fe[89ab][0-9a-f]:/.test(text) || text === 'fd00:ec2::254') return 'link-local'
  return /^f[cd][0-9a-f]{2}:/.test(text) ? 'private' : 'public'
}

/** The URL parser is the one that shortens zeros and turns `::ffff:127.0.0.1` into hexadecimal. */
function canonical(address: string): string | undefined {
  const url = `http://[${address.replace(/%.*$/, '')}]/`
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined
}

function dotted(high: string, low: string): string {
  const bits = (Number.parseInt(high, 16) << 16) | Number.parseInt(low, 16)
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.')
}
