/** Where online keys are, as the settings say it. */
import { isAbsolute } from 'node:path'
import { parseCommand } from '../../keys/signers/exec/command.ts'
import { parseUri } from '../../keys/signers/pkcs11/uri.ts'
import { isKeyError } from '../../keys/errors.ts'
import { ConfigError } from '../config-error.ts'

export type KeyPlace =
  | { readonly kind: 'sealed' }
  | { readonly kind: 'pkcs11' | 'exec'; readonly place: string }
  | { readonly kind: 'signer'; readonly socket: string }
  | { readonly kind: 'signer'; readonly url: URL }

const WANTED =
  'sealed, pkcs11:token=T?module-path=/M.so&pin-source=file:/F, exec:/program, unix:/signer.sock or https://signer:4490'

/** Throws ConfigError. */
export function parsePlace(name: string, text: string): KeyPlace {
  const place = placeOf(name, text)
  if (place === undefined) throw new ConfigError('SETTING_INVALID', { name, got: text, wanted: WANTED })
  return place
}

function placeOf(name: string, text: string): KeyPlace | undefined {
  if (text === 'sealed') return { kind: 'sealed' }
  if (text.startsWith('pkcs11:')) return checked(name, text, () => refuseOneKey(name, text))
  if (text.startsWith('exec:')) return checked(name, text, () => void parseCommand(text))
  const socket = /^unix:(?<path>.*)$/.exec(text)?.groups?.['path']
  if (socket !== undefined) return isAbsolute(socket) ? { kind: 'signer', socket } : undefined
  const url = text.startsWith('https:') ? URL.parse(text) : null
  const plain = url !== null && url.pathname === '/' && url.search + url.hash + url.username === ''
  return plain ? { kind: 'signer', url } : undefined
}

function checked(name: string, place: string, parse: () => void): KeyPlace {
  try {
    parse()
    return { kind: place.startsWith('exec:') ? 'exec' : 'pkcs11', place }
  } catch (cause) {
    if (!isKeyError(cause)) throw cause
    const wanted = `a signer's reference: ${'why' in cause.detail ? cause.detail.why : cause.message}`
    throw new ConfigError('SETTING_INVALID', { name, got: place, wanted }, { cause })
  }
}

/** Each repository and role gets a key of its own, so that the place is a token and not one key on it. */
function refuseOneKey(name: string, text: string): void {
  const { token, object, id, modulePath, pinSource } = parseUri(text)
  const missing = token === undefined ? 'token=' : modulePath === undefined ? 'module-path=' : 'pin-source='
  if (token === undefined || modulePath === undefined || pinSource === undefined) {
    throw new ConfigError('SETTING_INVALID', { name, got: text, wanted: `a PKCS#11 URI that says ${missing}` })
  }
  if (object !== undefined || id !== undefined) {
    throw new ConfigError('SETTING_INVALID', { name, got: text, wanted: 'a token, without object= and id=' })
  }
}
