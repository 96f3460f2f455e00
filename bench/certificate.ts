import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './measure.ts'

export type Certificate = { readonly cert: string; readonly key: string; readonly ca: string }

/** A certificate for 127.0.0.1 from an authority made for this run; both servers use the same one. */
export async function makeCertificate(dir: string): Promise<Certificate> {
  const file = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => run({ command: 'openssl', args })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await mkdir(dir, { recursive: true })
  await writeFile(file('extensions'), 'subjectAltName=IP:127.0.0.1\n')
  const ca = ['-x509', ...newKey, '-days', '2', '-subj', '/CN=bench', '-keyout', file('ca.key'), '-out', file('ca.crt')]
  await openssl('req', ...ca)
  await openssl('req', ...newKey, '-subj', '/CN=127.0.0.1', '-keyout', file('server.key'), '-out', file('server.csr'))
  const signed = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2']
  await openssl(
    'x509',
    '-req',
    '-in',
    file('server.csr'),
    ...signed,
    '-extfile',
    file('extensions'),
    '-out',
    file('server.crt'),
  )
  return { cert: file('server.crt'), key: file('server.key'), ca: file('ca.crt') }
}
