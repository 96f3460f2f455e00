import { isAbsolute } from 'node:path'
import { malformed } from '../reference.ts'

/** What of a PKCS#11 URI (RFC 7512) we compare and use. Everything else in one is refused: ignored, it could mean another key. */
export type Pkcs11Uri = {
  readonly token?: string
  readonly manufacturer?: string
  readonly serial?: string
  readonly model?: string
  readonly object?: string
  readonly id?: Uint8Array
  readonly modulePath?: string
  /** A file with the PIN. */
  readonly pinSource?: string
}

const TEXTS = ['token', 'manufacturer', 'serial', 'model', 'object'] as const
const SCHEME = 'pkcs11:'

/** Throws SIGNER_MALFORMED. */
export function parseUri(reference: string): Pkcs11Uri {
  if (/\bpin-value\s*=/i.test(reference)) {
    // Without the reference: what is printed ends up in the logs of pipelines.
    throw malformed(SCHEME, 'a PIN in an argument is there for everybody to see; write pin-source=file:/path')
  }
  const [path = '', query, ...more] = reference.slice(SCHEME.length).split('?')
  if (more.length > 0) throw malformed(reference, 'it has two question marks')
  const attributes = fieldsOf(path, ';', reference)
  const settings = fieldsOf(query ?? '', '&', reference)
  const uri = { ...pathOf(attributes, reference), ...queryOf(settings, reference) }
  for (const name of [...attributes.keys(), ...settings.keys()]) {
    throw malformed(reference, `${name} is not something that keys are chosen by here`)
  }
  return uri
}

/** The same key, written in one way. */
export function formatUri(uri: Pkcs11Uri): string {
  const path = TEXTS.flatMap((name) => (uri[name] === undefined ? [] : [`${name}=${encoded(Buffer.from(uri[name]))}`]))
  const id = uri.id === undefined ? [] : [`id=${encoded(uri.id)}`]
  const module = uri.modulePath === undefined ? [] : [`module-path=${encoded(Buffer.from(uri.modulePath), '/')}`]
  const pin = uri.pinSource === undefined ? [] : [`pin-source=file:${encoded(Buffer.from(uri.pinSource), '/')}`]
  const query = [...module, ...pin].join('&')
  return `${SCHEME}${[...path, ...id].join(';')}${query === '' ? '' : `?${query}`}`
}

function fieldsOf(text: string, separator: string, reference: string): Map<string, Uint8Array> {
  const fields = new Map<string, Uint8Array>()
  for (const pair of text === '' ? [] : text.split(separator)) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, Math.max(at, 0))
    if (name === '') throw malformed(reference, `${JSON.stringify(pair)} is no attribute`)
    if (fields.has(name)) throw malformed(reference, `it has ${name} twice`)
    fields.set(name, decoded(pair.slice(at + 1), reference))
  }
  return fields
}

/** Takes what it knows out of `fields`. */
function pathOf(fields: Map<string, Uint8Array>, reference: string): Pkcs11Uri {
  const type = takeText(fields, 'type', reference)
  if (type !== undefined && type !== 'private') throw malformed(reference, 'its type is not private')
  const texts = TEXTS.map((name) => [name, takeText(fields, name, reference)] as const)
  const id = fields.get('id')
  fields.delete('id')
  return { ...Object.fromEntries(texts.filter(([, text]) => text !== undefined)), ...(id !== undefined && { id }) }
}

function queryOf(fields: Map<string, Uint8Array>, reference: string): Pkcs11Uri {
  const modulePath = takeText(fields, 'module-path', reference)
  const source = takeText(fields, 'pin-source', reference)
  const pinSource = source?.replace(/^file:(?:\/\/(?=\/))?/, '')
  if (modulePath !== undefined && !isAbsolute(modulePath)) throw malformed(reference, 'its module-path is not absolute')
  if (pinSource !== undefined && !isAbsolute(pinSource)) throw malformed(reference, 'its pin-source is not file:/path')
  return { ...(modulePath !== undefined && { modulePath }), ...(pinSource !== undefined && { pinSource }) }
}

function takeText(fields: Map<string, Uint8Array>, name: string, reference: string): string | undefined {
  const bytes = fields.get(name)
  if (bytes === undefined) return undefined
  fields.delete(name)
  const text = Buffer.from(bytes).toString('utf8')
  if (/\p{Cc}|\ufffd/u.test(text)) throw malformed(reference, `its ${name} is no text`)
  return text
}

function decoded(text: string, reference: string): Uint8Array {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw malformed(reference, 'its percent-encoding is none')
  const bytes = text
    .split(/(%[0-9A-Fa-f]{2})/)
    .map((part) => (part.startsWith('%') ? Buffer.of(Number.parseInt(part.slice(1), 16)) : Buffer.from(part)))
  return new Uint8Array(Buffer.concat(bytes))
}

function encoded(bytes: Uint8Array, also = ''): string {
  const plain = (byte: number) => /[A-Za-z0-9._~-]/.test(String.fromCharCode(byte)) || byte === also.charCodeAt(0)
  const hex = (byte: number) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return Array.from(bytes, (byte) => (plain(byte) ? String.fromCharCode(byte) : hex(byte))).join('')
}
