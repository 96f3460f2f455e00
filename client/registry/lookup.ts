import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { placeOfAddress } from './address.ts'

type Callback = Parameters<LookupFunction>[2]

/**
 * A resolver minus the link-local addresses: no registry lives there, but the clouds' metadata services do, which hand
 * out keys to whoever asks. A name that a registry sends us to may well resolve to them.
 */
export function lookupOutside(resolve: typeof lookup = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) callback(error, '')
      else answer(hostname, options, addresses.filter(isOutside), callback)
    })
  }
}

function isOutside({ address }: LookupAddress): boolean {
  return placeOfAddress(address) !== 'link-local'
}

function answer(hostname: string, { all }: LookupOptions, addresses: LookupAddress[], callback: Callback): void {
  const [first] = addresses
  if (first === undefined) {
    callback(Object.assign(new Error(`${hostname} is a link-local address`), { code: 'ELINKLOCAL' }), '')
  } else if (all === true) callback(null, addresses)
  else callback(null, first.address, first.family)
}
