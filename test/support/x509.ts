import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate that openssl made, as PEM; files of it lie in the folder of the maker. */
export type Made = { readonly name: string; readonly pem: Buffer }

export type CertificateWish = {
  readonly issuer?: Made
  readonly subject?: string
  /** What `openssl genpkey` is told. */
  readonly key?: readonly string[]
  /** Has the key of that one instead of one of its own. */
  readonly keyOf?: Made
  readonly digest?: string
  readonly extensions?: readonly string[]
  readonly days?: number
}

const P256 = ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
const CNF = '[req]\ndistinguished_name=dn\n[dn]\n'
export const CA = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']

/** Makes certificates in a folder; one without an issuer issues itself. */
export function certificateMaker(dir: string): (name: string, wish?: CertificateWish) => Made {
  mkdirSync(dir, { recursive: true })
  const path = (name: string) => join(dir, name)
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  writeFileSync(path('openssl.cnf'), CNF)
  return (
    name,
    { issuer, subject = `/CN=${name}`, key = P256, keyOf, digest = 'sha256', extensions = [], days = 30 } = {},
  ) => {
    if (keyOf === undefined) openssl('genpkey', '-algorithm', ...key, '-out', `${name}.key`)
    else copyFileSync(path(`${keyOf.name}.key`), path(`${name}.key`))
    const request = ['-key', `${name}.key`, '-subj', subject, '-config', 'openssl.cnf', '-out', `${name}.csr`]
    openssl('req', '-new', ...request)
    writeFileSync(path(`${name}.ext`), extensions.join('\n'))
    const by =
      issuer === undefined ? ['-signkey', `${name}.key`] : ['-CA', `${issuer.name}.crt`, '-CAkey', `${issuer.name}.key`]
    const serial = ['-set_serial', String(1 + Math.trunc(name.length * 97))]
    const files = ['-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.crt`]
    openssl('x509', '-req', ...files, ...by, ...serial, '-days', String(days), `-${digest}`)
    return { name, pem: readFileSync(path(`${name}.crt`)) }
  }
}
