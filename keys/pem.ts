import { fromBase64, toBase64 } from './bytes.ts'
import { KeyError } from './errors.ts'

/** A key of 8192 bits, private and encrypted, stays below 10 kB. */
const MAX_PEM = 32 * 1024

/** One PEM block (RFC 7468) and nothing else but blank lines at its end. Lines end in LF or CRLF. */
export function readPem(text: string, label: string): Uint8Array {
  const blocks = readPemBlocks(text, label)
  const [block] = blocks
  if (blocks.length !== 1 || block === undefined) throw malformed(label, `there are ${blocks.length} PEM blocks`)
  if (block.label !== label) throw malformed(label, `it is a ${block.label}`)
  if (block.before.trim() !== '' || block.after.trim() !== '') throw malformed(label, 'there is text around it')
  return block.der
}

export type PemBlock = {
  readonly label: string
  readonly der: Uint8Array
  /** The text between the block before and this one. */
  readonly before: string
  /** The text after this block, up to the next one. */
  readonly after: string
}

/** Every block of a text, with what stands around it. `what` names the text in errors. */
export function readPemBlocks(text: string, what: string): PemBlock[] {
  if (text.length > MAX_PEM) throw malformed(what, `it is longer than ${MAX_PEM} characters`)
  const lines = text.split(/\r?\n/)
  const blocks: PemBlock[] = []
  let at = 0
  while (true) {
    const begin = lines.findIndex((line, i) => i >= at && line.startsWith('-----BEGIN '))
    if (begin < 0) break
    const label = /^-----BEGIN ([A-Z0-9 ]+)-----$/.exec(lines[begin] ?? '')?.[1]
    const end = lines.indexOf(`-----END ${label}-----`, begin)
    if (label === undefined || end < 0) throw malformed(what, 'a PEM block does not end')
    const next = lines.findIndex((line, i) => i > end && line.startsWith('-----BEGIN '))
    blocks.push({
      label,
      der: body(lines.slice(begin + 1, end), label),
      before: lines.slice(at, begin).join('\n'),
      after: lines.slice(end + 1, next < 0 ? undefined : next).join('\n'),
    })
    at = end + 1
  }
  return blocks
}

function body(lines: readonly string[], label: string): Uint8Array {
  if (lines.some((line) => line.includes(':')))
    throw malformed(label, 'it has headers; openssl pkcs8 -topk8 rewrites it')
  const bytes = fromBase64(lines.join(''))
  if (bytes === undefined || bytes.length === 0) throw malformed(label, 'its base64 is not canonical')
  return bytes
}

/** Lines of 64 characters, LF, and a newline at the end: what OpenSSL and python-tuf write. */
export function writePem(label: string, der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

function malformed(what: string, why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what, why })
}
