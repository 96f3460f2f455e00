import { X509Certificate } from 'node:crypto'
import { KeyError } from '../errors.ts'
import { readPemBlocks, writePem } from '../pem.ts'
import { hash } from './hash.ts'

/** Certificates by which a TLS client tells the one server that it means. */
export type Authorities = {
  /** In one form, without what stood around them: lines of 64 characters, LF. */
  readonly pem: string
  readonly certificates: readonly {
    /** As OpenSSL prints it, on one line; empty where it has none. */
    readonly subject: string
    /** Of its DER. */
    readonly sha256: string
    /** Milliseconds since 1970. */
    readonly notAfter: number
    /** Whether it may vouch for others, or is its own authority. */
    readonly isAuthority: boolean
  }[]
}

/** As text. A server has one authority or a few; a whole list of the world's is some 200 kB. */
export const MAX_AUTHORITIES = 64 * 1024

/**
 * Every certificate of a text, whatever is written around them. Throws KEY_MALFORMED for one that OpenSSL would pass over
 * in silence, and for anything but certificates: a private key beside one is not to be copied along.
 */
export function readAuthorities(text: string, what: string): Authorities {
  const ders = certificatesOf(text, what)
  return {
    pem: pemOf(ders),
    certificates: ders.map((der, i) => {
      const x509 = open(der)
      // Bytes behind a certificate would say what it is trusted for, in a form of OpenSSL's own.
      if (x509?.raw.equals(der) !== true)
        throw new KeyError('KEY_MALFORMED', { what, why: `certificate ${i + 1} in it cannot be read` })
      return {
        subject: x509.subject?.split('\n').join(', ') ?? '',
        sha256: hash('sha256', der),
        notAfter: Date.parse(x509.validTo),
        isAuthority: x509.ca || x509.checkIssued(x509),
      }
    }),
  }
}

/** Their one form, with no look into the certificates, which takes OpenSSL a millisecond. Throws KEY_MALFORMED. */
export function formOfAuthorities(text: string, what: string): string {
  return pemOf(certificatesOf(text, what))
}

function certificatesOf(text: string, what: string): readonly Uint8Array[] {
  const blocks = readPemBlocks(text, what, MAX_AUTHORITIES)
  if (blocks.length === 0) throw new KeyError('KEY_MALFORMED', { what, why: 'there is no certificate in it, in PEM' })
  for (const { label } of blocks) {
    if (label !== 'CERTIFICATE') {
      throw new KeyError('KEY_MALFORMED', { what, why: `it must hold certificates and nothing else, not a ${label}` })
    }
  }
  return blocks.map(({ der }) => der)
}

function pemOf(ders: readonly Uint8Array[]): string {
  return ders.map((der) => writePem('CERTIFICATE', der)).join('')
}

function open(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    // OpenSSL's reason says nothing to anybody.
    return undefined
  }
}
