import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** PEM files; `ca` is their own authority, and `caText` what is in it. */
export type TestCertificate = {
  readonly cert: string
  readonly key: string
  readonly ca: string
  readonly caText: string
}

const run = promisify(execFile)

/** A certificate for 127.0.0.1 and localhost that is its own authority, made by openssl. */
export async function makeCertificate(dir: string, names = 'IP:127.0.0.1,DNS:localhost'): Promise<TestCertificate> {
  await mkdir(dir, { recursive: true })
  const [cert, key] = [join(dir, 'server.crt'), join(dir, 'server.key')]
  await writeFile(join(dir, 'empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n')
  const made = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=tagseal test',
  ]
  const extensions = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:TRUE']
  await run('openssl', [
    'req',
    '-x509',
    '-config',
    join(dir, 'empty.cnf'),
    ...made,
    ...extensions,
    '-keyout',
    key,
    '-out',
    cert,
  ])
  return { cert, key, ca: cert, caText: await readFile(cert, 'utf8') }
}

export async function whyNoOpenssl(): Promise<string | undefined> {
  try {
    await run('openssl', ['version'])
    return undefined
  } catch {
    return 'SKIPPED: openssl is not installed'
  }
}
