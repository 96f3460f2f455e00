import type { PlainHosts } from '../plain-hosts.ts'
import { isLoopback, type Place, placeOf } from './address.ts'

/** How a registry may be spoken to. */
export type Channel = {
  /** Where its API starts: `https://registry.example.com/`. */
  readonly base: URL
  /** What the user has named for plain http. */
  readonly plainHosts: PlainHosts
}

/**
 * Why a place that a registry sends us to (by a redirect, or as the realm of a token) is refused; undefined: it is not.
 *
 * From https there is no way back to http. And whoever is outside may not use us to reach inside: a public registry
 * cannot send us to this machine or to private addresses, and nobody can to link-local ones.
 */
export function whyRefused({ base, plainHosts }: Channel, from: URL, to: URL): string | undefined {
  if (to.username !== '' || to.password !== '') return 'it carries a login'
  if (to.protocol !== 'https:' && to.protocol !== 'http:') return 'it is neither https nor http'
  if (to.protocol === 'http:' && from.protocol === 'https:') return 'it leaves https'
  if (to.protocol === 'http:' && !mayBePlain(plainHosts, to)) return 'it is plain http to another machine'
  if (to.hostname !== base.hostname && INWARD[placeOf(to.hostname)] > INWARD[placeOf(base.hostname)]) {
    return 'a registry may not send its clients to an inner address'
  }
  return undefined
}

/** Plain http is for this machine, and for what the user has named (DESIGN 7). */
export function mayBePlain(plainHosts: PlainHosts, { host, hostname }: URL): boolean {
  return isLoopback(hostname) || plainHosts.has(host)
}

/** Whether a login may be sent there: what was learnt over plain http from another machine may be anybody's word. */
export function mayHoldLogin({ base }: Channel, to: URL): boolean {
  if (base.protocol === 'https:' || isLoopback(base.hostname))
    return to.protocol === 'https:' || isLoopback(to.hostname)
  return to.hostname === base.hostname
}

const INWARD: { readonly [P in Place]: number } = { public: 0, private: 1, loopback: 2, 'link-local': 3 }
