import { usage } from './errors.ts'

export type ListenAddress = { readonly host: string; readonly port: number }

/** Throws USAGE. */
export function readAddress(address: string): ListenAddress {
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:.]+\]|[^:/\s]+):([0-9]{1,5})$/.exec(address) ?? []
  if (host === '' || Number(port) > 65_535) throw usage(`${address} is no HOST:PORT`, '--listen 127.0.0.1:5080')
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}
