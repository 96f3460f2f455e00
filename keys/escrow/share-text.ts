import { fromBase32, toBase32 } from '../base32.ts'
import { concat, fromHex } from '../bytes.ts'
import { KeyError } from '../errors.ts'
import { isKeyName } from '../keystore/key-file.ts'
import type { NotaryNote } from '../keystore/keystore.ts'
import { hash } from '../native/hash.ts'

/**
 * The text of one share of a private key: for a file, for paper, and for whoever types it back from paper.
 *
 * Every line of base32 ends in a check of its own, so that a slip of the pen is told by its line; the last line checks
 * all of it. Blanks, blank lines, the case of letters in the base32, and the words at the beginning are nobody's
 * business; everything else is as it was written (ADR 0028).
 */
export type Share = {
  readonly number: number
  readonly of: number
  readonly threshold: number
  /** The TUF key id of the key that the shares bring back. */
  readonly id: string
  readonly name?: string
  readonly notary?: NotaryNote
  /** One for every splitting: shares of two of them do not fit together, though the key be the same. */
  readonly set: string
  /** The caller's, to be wiped. */
  readonly bytes: Uint8Array
}

const FIRST_LINE = 'tagseal key share, format 1'
const IS_SHARE = /^\s*tagseal key share/i
const LINE_BYTES = 20
/** More than an RSA key of 8192 bits needs. */
const MAX_LINES = 512
/** In bits: what a slip of the pen gets past once in a million times, and what nobody gets past by chance. */
const [LINE_CHECK, WHOLE_CHECK] = [20, 80]

/** Whether a file means to be a share. */
export function isShareText(text: string): boolean {
  return IS_SHARE.test(text)
}

export function writeShare(share: Share): string {
  const [title = '', ...lines] = linesOf(share)
  return `${[title, '', ...adviceOf(share), '', ...lines].join('\n')}\n`
}

/** Throws SHARE_MALFORMED, and SHARE_DAMAGED where a check does not fit. `file` is for errors. */
export function readShare(text: string, file: string): Share {
  const typed = text.split('\n').map((line) => line.trim().replaceAll(/\s+/g, ' '))
  const lines = typed.filter((line) => line !== '')
  const share = parse(lines, file)
  const known = new Set(adviceOf(share))
  const written = lines.filter((line) => !known.has(line)).map(asWritten)
  if (written.join('\n') === linesOf(share).map(asWritten).join('\n')) return share
  share.bytes.fill(0)
  throw malformed(file, 'it was changed since it was written')
}

/** What everybody sees who finds one: that it is worth keeping, and what for. */
function adviceOf({ number, of, threshold }: Share): readonly string[] {
  const files = Array.from({ length: threshold }, () => 'SHARE').join(' ')
  return [
    `This is share ${number} of ${of} of a private key. Any ${threshold} of them bring it back; fewer say nothing of it.`,
    'Keep it apart from the others, and show it to nobody who does not hold one.',
    `To bring the key back: tagseal key import ${threshold > 5 ? 'SHARE SHARE ...' : files}`,
  ]
}

function linesOf(share: Share): readonly string[] {
  const { number, of, threshold, id, name, notary, set } = share
  const lines = [
    FIRST_LINE,
    `key: ${id}`,
    ...(name === undefined ? [] : [`name: ${name}`]),
    ...(notary === undefined ? [] : [`notary-role: ${notary.role}`]),
    ...(notary?.gun === undefined ? [] : [`notary-gun: ${notary.gun}`]),
    `set: ${set}`,
    `share: ${number} of ${of}`,
    `threshold: ${threshold}`,
    ...rows(share.bytes).map((row, i) => `${i + 1}: ${grouped(toBase32(row) + checkOf(row, i + 1))}`),
  ]
  return [...lines, `check: ${grouped(wholeCheck(lines))}`]
}

function parse(lines: readonly string[], file: string): Share {
  if (lines[0] !== FIRST_LINE) throw malformed(file, `its first line is not "${FIRST_LINE}"`)
  const check = fieldOf(lines, 'check', /^[A-Za-z2-7 ]+$/, file)
  const [, number = '', of = ''] = /^(\d{1,3}) of (\d{1,3})$/.exec(fieldOf(lines, 'share', /./, file)) ?? []
  const name = optionalField(lines, 'name')
  if (name !== undefined && !isKeyName(name)) throw malformed(file, 'its name is none that a key can have')
  const role = optionalField(lines, 'notary-role')
  const gun = optionalField(lines, 'notary-gun')
  const share = {
    number: Number(number),
    of: Number(of),
    threshold: Number(fieldOf(lines, 'threshold', /^\d{1,3}$/, file)),
    id: fieldOf(lines, 'key', /^[0-9a-f]{64}$/, file),
    ...(name !== undefined && { name }),
    ...(role !== undefined && { notary: { role, ...(gun !== undefined && { gun }) } }),
    set: fieldOf(lines, 'set', /^[0-9a-f]{16}$/, file),
    bytes: bytesOf(lines, file),
  }
  refuseNumbers(share, file)
  if (wholeCheck(linesOf(share).slice(0, -1)) === compact(check)) return share
  share.bytes.fill(0)
  throw new KeyError('SHARE_DAMAGED', { file, where: 'its check does not fit: a line is wrong, missing or too many' })
}

function refuseNumbers({ number, of, threshold, bytes }: Share, file: string): void {
  if (threshold >= 2 && threshold <= of && of <= 255 && number >= 1 && number <= of) return
  bytes.fill(0)
  throw malformed(file, `there is no share ${number} of ${of} of which ${threshold} are needed`)
}

function bytesOf(lines: readonly string[], file: string): Uint8Array {
  const numbered = lines.filter((line) => /^\d+:/.test(line))
  if (numbered.length === 0 || numbered.length > MAX_LINES) throw malformed(file, 'the lines of the share are missing')
  return concat(...numbered.map((line, i) => rowOf(line, i + 1, file)))
}

function rowOf(line: string, number: number, file: string): Uint8Array {
  const [, at = '', text = ''] = /^(\d+): ?(.*)$/.exec(line) ?? []
  const letters = compact(text)
  const row = fromBase32(letters.slice(0, -LINE_CHECK / 5))
  if (
    at !== String(number) ||
    row === undefined ||
    row.length > LINE_BYTES ||
    checkOf(row, number) !== letters.slice(-LINE_CHECK / 5)
  ) {
    throw new KeyError('SHARE_DAMAGED', { file, where: `line ${number} is missing or wrong` })
  }
  return row
}

function rows(bytes: Uint8Array): readonly Uint8Array[] {
  const count = Math.ceil(bytes.length / LINE_BYTES)
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * LINE_BYTES, (i + 1) * LINE_BYTES))
}

function checkOf(row: Uint8Array, number: number): string {
  return digits(concat(Buffer.from(`${number}:`), row), LINE_CHECK)
}

function wholeCheck(lines: readonly string[]): string {
  return digits(Buffer.from(lines.join('\n')), WHOLE_CHECK)
}

/** The first bits of a hash, as letters. */
function digits(bytes: Uint8Array, bits: number): string {
  return toBase32(fromHex(hash('sha256', bytes)) ?? new Uint8Array()).slice(0, bits / 5)
}

function grouped(letters: string): string {
  return (letters.match(/.{1,4}/g) ?? []).join(' ')
}

function compact(text: string): string {
  return text.replaceAll(' ', '').toUpperCase()
}

/** The one line whose letters may be small or large, and in other groups. */
function asWritten(line: string): string {
  return /^(?:\d+|check):/.test(line) ? compact(line) : line
}

function fieldOf(lines: readonly string[], field: string, form: RegExp, file: string): string {
  const text = optionalField(lines, field)
  if (text === undefined || !form.test(text)) throw malformed(file, `its line "${field}:" is missing or wrong`)
  return text
}

function optionalField(lines: readonly string[], field: string): string | undefined {
  return lines.find((line) => line.startsWith(`${field}: `))?.slice(field.length + 2)
}

function malformed(file: string, why: string): KeyError {
  return new KeyError('SHARE_MALFORMED', { file, why })
}
