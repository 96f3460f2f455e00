import { sameBytes, toHex } from '../bytes.ts'
import { DerReader } from '../der.ts'
import type { DerElement } from '../der.ts'
import { KeyError } from '../errors.ts'
import { readTime } from './time.ts'

/**
 * The fields of an X.509 certificate (RFC 5280 4.1) that trust rules look at, strictly DER.
 *
 * Names and object identifiers are hex of their DER where they are only compared.
 */
export type ParsedCertificate = {
  /** The whole certificate. */
  readonly der: Uint8Array
  /** The part that its issuer signed. */
  readonly signedPart: Uint8Array
  /** The algorithm's object identifier, with its parameters. */
  readonly signatureAlgorithm: string
  readonly signature: Uint8Array
  readonly issuer: string
  readonly subject: string
  /** The last one, as Go reads it; undefined where there is none, or where that one is no text. */
  readonly commonName: string | undefined
  /** In milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  readonly spki: Uint8Array
  readonly isCa: boolean
  readonly pathLength: number | undefined
  /** The first byte of the key usage, its highest bit `digitalSignature`; undefined where nothing is said. */
  readonly keyUsage: number | undefined
  /** Object identifiers; undefined where nothing is said. */
  readonly extendedKeyUsage: readonly string[] | undefined
  /** There is a critical extension that we do not know. */
  readonly isBeyondUs: boolean
}

/** Throws KEY_MALFORMED. */
export function readCertificate(der: Uint8Array): ParsedCertificate {
  const whole = new DerReader(der, 'certificate')
  const certificate = whole.sequence()
  whole.end()
  const signedPart = certificate.any()
  const algorithm = certificate.any()
  const signature = certificate.bits()
  certificate.end()
  const body = readSignedPart(signedPart, algorithm)
  return { der, signedPart: signedPart.whole, signatureAlgorithm: toHex(algorithm.body), signature, ...body }
}

const VERSION = 0xa0
const UNIQUE_IDS = [0x81, 0x82]
const EXTENSIONS = 0xa3

function readSignedPart({ whole }: DerElement, algorithm: DerElement) {
  const outer = new DerReader(whole, 'certificate')
  const part = outer.sequence()
  outer.end()
  part.optional(VERSION)?.small()
  part.integer() // the serial number
  if (!sameBytes(part.any().whole, algorithm.whole)) throw malformed('it names two signature algorithms') // 4.1.1.2
  const issuer = part.any().whole
  const [notBefore, notAfter] = readValidity(part.sequence())
  const subject = part.any().whole
  const spki = part.any().whole
  for (const tag of UNIQUE_IDS) part.optional(tag)
  const extensions = readExtensions(part.optional(EXTENSIONS))
  part.end()
  return {
    issuer: toHex(issuer),
    subject: toHex(subject),
    commonName: readCommonName(subject),
    notBefore,
    notAfter,
    spki,
    ...extensions,
  }
}

function readValidity(validity: DerReader): [number, number] {
  const times: [number, number] = [readTime(validity.any()), readTime(validity.any())]
  validity.end()
  return times
}

const COMMON_NAME = '550403' // 2.5.4.3

function readCommonName(name: Uint8Array): string | undefined {
  let last: DerElement | undefined
  const parts = new DerReader(name, 'certificate').sequence()
  while (parts.more) {
    const attributes = parts.set()
    while (attributes.more) {
      const attribute = attributes.sequence()
      const type = toHex(attribute.oid())
      const value = attribute.any()
      attribute.end()
      if (type === COMMON_NAME) last = value
    }
  }
  return last && textOf(last)
}

const UTF8_STRING = 0x0c
/** PrintableString, and where it has no letter for something: TeletexString of old openssl, IA5String. */
const ASCII_STRINGS = [0x13, 0x14, 0x16]
const BMP_STRING = 0x1e

/** The kinds of text that Go reads, as far as they read in one way only. */
function textOf({ tag, body }: DerElement): string | undefined {
  const isAscii = ASCII_STRINGS.includes(tag)
  if (tag !== UTF8_STRING && tag !== BMP_STRING && !isAscii) return undefined
  try {
    const label = tag === BMP_STRING ? 'utf-16be' : 'utf-8'
    const text = new TextDecoder(label, { fatal: true, ignoreBOM: true }).decode(body)
    return !isAscii || /^[\x20-\x7e]*$/.test(text) ? text : undefined
  } catch {
    return undefined // it is no text, whatever it says it is
  }
}

type Extensions = Pick<ParsedCertificate, 'isCa' | 'pathLength' | 'keyUsage' | 'extendedKeyUsage' | 'isBeyondUs'>

function readExtensions(within: DerReader | undefined): Extensions {
  const found = new Map<string, DerReader>()
  let isBeyondUs = false
  const list = within?.sequence()
  within?.end()
  while (list?.more === true) {
    const extension = list.sequence()
    const id = toHex(extension.oid())
    const isCritical = extension.boolean(false)
    const value = new DerReader(extension.octets(), 'certificate')
    extension.end()
    if (found.has(id)) throw malformed('an extension is there twice') // 4.2
    found.set(id, value)
    if (isCritical && !KNOWN.has(id)) isBeyondUs = true
  }
  return {
    ...readBasicConstraints(found.get(BASIC_CONSTRAINTS)),
    keyUsage: readKeyUsage(found.get(KEY_USAGE)),
    extendedKeyUsage: readUsages(found.get(EXTENDED_KEY_USAGE)),
    isBeyondUs,
  }
}

const BASIC_CONSTRAINTS = '551d13' // 2.5.29.19
const KEY_USAGE = '551d0f' // 2.5.29.15
const EXTENDED_KEY_USAGE = '551d25' // 2.5.29.37
/** What a certificate may say besides, also critically: as in Go, nothing of it says who may sign. */
const HARMLESS = {
  subjectKeyId: '551d0e', // 2.5.29.14
  alternativeNames: '551d11', // 2.5.29.17
  revocationLists: '551d1f', // 2.5.29.31
  policies: '551d20', // 2.5.29.32
  authorityKeyId: '551d23', // 2.5.29.35
}
const KNOWN: ReadonlySet<string> = new Set([
  BASIC_CONSTRAINTS,
  KEY_USAGE,
  EXTENDED_KEY_USAGE,
  ...Object.values(HARMLESS),
])

function readBasicConstraints(value: DerReader | undefined): Pick<Extensions, 'isCa' | 'pathLength'> {
  const constraints = value?.sequence()
  value?.end()
  const isCa = constraints?.boolean(false) ?? false
  const pathLength = constraints?.more === true ? constraints.smallOrZero() : undefined
  constraints?.end()
  return { isCa, pathLength }
}

/** A bit string whose last byte may be used in part. */
function readKeyUsage(value: DerReader | undefined): number | undefined {
  const bits = value?.any()
  value?.end()
  if (bits === undefined) return undefined
  if (bits.tag !== 0x03 || bits.body.length < 2) throw malformed('its key usage is no bit string')
  return bits.body[1]
}

function readUsages(value: DerReader | undefined): readonly string[] | undefined {
  const list = value?.sequence()
  value?.end()
  if (list === undefined) return undefined
  const usages: string[] = []
  while (list.more) usages.push(toHex(list.oid()))
  return usages
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'certificate', why })
}
