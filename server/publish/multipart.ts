/**
 * Bodies of `multipart/form-data` (RFC 7578) of which every part is a file, read at once: an upload is in memory whole
 * before anything can be said of it, and a parser for streams takes longer over a small one than a signature does.
 */
import { Problem } from '../problem.ts'

export type FilePart = {
  readonly filename: string
  /** In lower case, without parameters; empty where the part says none. */
  readonly type: string
  readonly bytes: Buffer
}

const CRLF = '\r\n'
/** Bytes of the headers of one part. */
const MAX_HEAD = 4096
/** RFC 2046 5.1.1. */
const BOUNDARY = /^[\x20-\x7e]{1,70}$/

/** What stands between the parts. Throws MALFORMED_UPLOAD for a type that does not tell. */
export function boundaryOf(contentType: string): string {
  const { value, parameters } = readHeader(contentType)
  const boundary = parameters.get('boundary')
  if (value === 'multipart/form-data' && boundary !== undefined && BOUNDARY.test(boundary)) return boundary
  throw malformed('it is not multipart/form-data with a boundary')
}

/** The parts in their order, as views of the body. Throws MALFORMED_UPLOAD. */
export function readParts(body: Buffer, boundary: string, most: number): readonly FilePart[] {
  const delimiter = Buffer.from(`${CRLF}--${boundary}`, 'latin1')
  const parts: FilePart[] = []
  let at = afterFirst(body, delimiter)
  while (body.toString('latin1', at, at + 2) !== '--') {
    if (parts.length === most) throw malformed(`it has more than ${most} parts`)
    const head = headAt(body, at)
    const end = body.indexOf(delimiter, head.end)
    if (end < 0) throw malformed('it broke off')
    parts.push({ ...fileOf(head.text), bytes: body.subarray(head.end, end) })
    at = end + delimiter.length
  }
  return parts
}

/** It may begin the body. What comes before it, or after the last one, is for nobody. */
function afterFirst(body: Buffer, delimiter: Buffer): number {
  const atOnce = delimiter.subarray(CRLF.length)
  if (body.subarray(0, atOnce.length).equals(atOnce)) return atOnce.length
  const at = body.indexOf(delimiter)
  if (at < 0) throw malformed('it has no part')
  return at + delimiter.length
}

/** The headers of the part whose delimiter ends there, each on a line that CRLF begins; and where its bytes begin. */
function headAt(body: Buffer, at: number): { readonly text: string; readonly end: number } {
  const text = body.toString('latin1', at, at + MAX_HEAD)
  const end = text.indexOf(CRLF + CRLF)
  if (end < 0) throw malformed(text.length < MAX_HEAD ? 'it broke off' : `a part has over ${MAX_HEAD} bytes of headers`)
  return { text: text.slice(0, end), end: at + end + 2 * CRLF.length }
}

function fileOf(head: string): Omit<FilePart, 'bytes'> {
  // What follows the delimiter on its own line can be blanks alone, or it was none.
  const [rest = '', ...lines] = head.replace(/\r\n[ \t]+/g, ' ').split(CRLF)
  if (/[^ \t]/.test(rest)) throw malformed('what divides its parts is within one of them')
  const headers = headersOf(lines)
  const disposition = readHeader(headers.get('content-disposition') ?? '')
  const filename = disposition.parameters.get('filename')
  // `filename*` is not for forms (RFC 7578 4.2).
  if (disposition.value !== 'form-data' || filename === undefined) throw nameless()
  return { filename, type: readHeader(headers.get('content-type') ?? '').value }
}

function headersOf(lines: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name = '', value = ''] = /^([!#-'*+.0-9A-Z^-z|~-]+):[ \t]*(.*)$/.exec(line) ?? []
    if (name === '' || headers.has(name.toLowerCase())) throw malformed('a part has headers that are none')
    headers.set(name.toLowerCase(), value)
  }
  return headers
}

type Header = { readonly value: string; readonly parameters: ReadonlyMap<string, string> }

/** `value; name=token; name="quoted"`, the value and names in lower case. What reads otherwise has no parameters. */
function readHeader(text: string): Header {
  const [value = ''] = text.split(';', 1)
  const rest = text.slice(value.length)
  const parameters = new Map<string, string>()
  let at = 0
  for (const { 0: whole, 1: name = '', 2: quoted, 3: token = '' } of rest.matchAll(PARAMETER)) {
    at += whole.length
    parameters.set(name.toLowerCase(), quoted === undefined ? token : quoted.replace(/\\(["\\])/g, '$1'))
  }
  return { value: value.trim().toLowerCase(), parameters: rest.slice(at).trim() === '' ? parameters : new Map() }
}
const PARAMETER = /[ \t]*;[ \t]*([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/gy

function nameless(): Problem {
  return new Problem('MALFORMED_UPLOAD', { reason: 'a part has no file name', missing: 'file name' })
}

export function malformed(reason: string): Problem {
  return new Problem('MALFORMED_UPLOAD', { reason })
}
