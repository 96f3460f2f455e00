import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openssl } from './secrets.ts'

/** A certificate that openssl made, and the key that it is for. */
export type Certified = {
  readonly pem: string
  readonly der: Buffer
  readonly key: KeyObject
  readonly files: CertifiedFiles
}
type CertifiedFiles = { readonly cert: string; readonly key: string }

export type CertificatePlan = {
  readonly issuer?: Certified
  /** As openssl writes it: `critical,CA:TRUE,pathlen:0`. */
  readonly constraints?: string
  readonly days?: number
  readonly rsa?: boolean
  /** In hex; a random one where none is named. */
  readonly serial?: string
}

let count = 0

/** Makes one, signed by its issuer or by itself. */
export function certify(
  dir: string,
  { issuer, constraints = 'CA:FALSE', days = 2, rsa, serial }: CertificatePlan = {},
): Certified {
  mkdirSync(dir, { recursive: true })
  const name = `c${++count}`
  const [config, cert, key] = [join(dir, 'empty.cnf'), join(dir, `${name}.crt`), join(dir, `${name}.key`)]
  writeFileSync(config, '[req]\ndistinguished_name=dn\n[dn]\n')
  const kind = rsa === true ? ['-newkey', 'rsa:2048'] : ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
  const by = issuer === undefined ? [] : ['-CA', issuer.files.cert, '-CAkey', issuer.files.key]
  const numbered = serial === undefined ? [] : ['-set_serial', `0x${serial}`]
  const facts = [
    ...numbered,
    '-subj',
    `/CN=${name}`,
    '-days',
    String(days),
    '-addext',
    `basicConstraints=${constraints}`,
  ]
  openssl(['req', '-x509', '-config', config, '-nodes', ...kind, ...by, ...facts, '-keyout', key, '-out', cert])
  const pem = readFileSync(cert, 'utf8')
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  return { pem, der, key: createPrivateKey(readFileSync(key)), files: { cert, key } }
}
