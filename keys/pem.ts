import { fromBase64, toBase64 } from './bytes.ts'
import { KeyError } from './errors.ts'

/** A key of 8192 bits, private and encrypted, stays below 10 kB. */
const MAX_PEM = 32 * 1024
/** Of headers inside a block (RFC 1421), more than anybody writes. */
const MOST_HEADERS = 16
const LONGEST_HEADER = 1024

/** One PEM block (RFC 7468) and nothing else but blank lines at its end. Lines end in LF or CRLF. */
export function readPem(text: string, label: string): Uint8Array {
  const { der, headers } = readLabelledPem(text, label)
  if (headers.size > 0) throw malformed(label, 'it has headers; openssl pkcs8 -topk8 rewrites it')
  return der
}

/** The same, with headers inside the block: `docker trust key generate` writes who a public key is for. */
export function readLabelledPem(text: string, label: string): PemBlock {
  const blocks = readPemBlocks(text, label)
  const [block] = blocks
  if (blocks.length !== 1 || block === undefined) throw malformed(label, `there are ${blocks.length} PEM blocks`)
  if (block.label !== label) throw malformed(label, `it is a ${block.label}`)
  if (block.before.trim() !== '' || block.after.trim() !== '') throw malformed(label, 'there is text around it')
  return block
}

export type PemBlock = {
  readonly label: string
  readonly der: Uint8Array
  /** The lines inside the block before its base64, by their names as they are written. */
  readonly headers: ReadonlyMap<string, string>
  /** The text between the block before and this one. */
  readonly before: string
  /** The text after this block, up to the next one. */
  readonly after: string
}

/** Every block of a text, with what stands around it. `what` names the text in errors. */
export function readPemBlocks(text: string, what: string, most = MAX_PEM): PemBlock[] {
  if (text.length > most) throw malformed(what, `it is longer than ${most} characters`)
  const lines = text.split(/\r?\n/)
  const begins = lines.flatMap((line, i) => (line.startsWith('-----BEGIN ') ? [i] : []))
  const blocks: PemBlock[] = []
  let at = 0
  for (const [i, begin] of begins.entries()) {
    const label = /^-----BEGIN ([A-Z0-9 ]+)-----$/.exec(lines[begin] ?? '')?.[1]
    const next = begins[i + 1] ?? lines.length
    const inside = lines.slice(begin + 1, next)
    const end = inside.indexOf(`-----END ${label}-----`)
    if (label === undefined || end < 0) throw malformed(what, 'a PEM block does not end')
    const { headers, base64 } = takeHeaders(inside.slice(0, end), label)
    blocks.push({
      label,
      der: decoded(base64, label),
      headers,
      before: lines.slice(at, begin).join('\n'),
      after: inside.slice(end + 1).join('\n'),
    })
    at = begin + 1 + end + 1
  }
  return blocks
}

type Body = { readonly headers: ReadonlyMap<string, string>; readonly base64: string }

/** Headers end at the first blank line, and there are none where the first line is base64, which has no colon. */
function takeHeaders(lines: readonly string[], label: string): Body {
  const headers = new Map<string, string>()
  if (!(lines[0] ?? '').includes(':')) return { headers, base64: lines.join('') }
  const blank = lines.indexOf('')
  if (blank < 0 || blank > MOST_HEADERS) throw malformed(label, 'its headers do not end')
  for (const line of lines.slice(0, blank)) {
    const [, name, value] = /^([A-Za-z][A-Za-z0-9-]*): *([\x20-\x7e]*)$/.exec(line) ?? []
    if (name === undefined || value === undefined || line.length > LONGEST_HEADER) {
      throw malformed(label, 'one of its headers is none')
    }
    if (headers.has(name)) throw malformed(label, `its header ${name} is there twice`)
    headers.set(name, value.trimEnd())
  }
  return { headers, base64: lines.slice(blank + 1).join('') }
}

function decoded(base64: string, label: string): Uint8Array {
  const bytes = fromBase64(base64)
  if (bytes === undefined || bytes.length === 0) throw malformed(label, 'its base64 is not canonical')
  return bytes
}

/**
 * Lines of 64 characters, LF, and a newline at the end: what OpenSSL and python-tuf write. Headers are sorted, with a
 * blank line after them: what Go's encoder writes.
 */
export function writePem(label: string, der: Uint8Array, headers: ReadonlyMap<string, string> = new Map()): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? []
  const names = [...headers.keys()].toSorted()
  const head = names.length === 0 ? [] : [...names.map((name) => `${name}: ${headers.get(name)}`), '']
  return `-----BEGIN ${label}-----\n${[...head, ...lines].join('\n')}\n-----END ${label}-----\n`
}

function malformed(what: string, why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what, why })
}
