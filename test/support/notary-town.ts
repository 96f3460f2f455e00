import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { serverHere } from './in-process.ts'
import { NOTARY_PASSPHRASES, whyNoNotary } from './notary.ts'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'
import { makeCertificate, whyNoOpenssl } from './tls.ts'
import type { TestCertificate } from './tls.ts'

/** Somebody with Debian's `notary`, keys and a cache of their own. */
export type Notary = {
  /** As `~/.notary`. */
  readonly dir: string
  /** What it printed; throws unless it ends with 0. */
  readonly run: (command: string, input?: string) => Promise<string>
  /** What it printed; throws unless it ends with another code than 0. */
  readonly fails: (command: string, input?: string) => Promise<string>
  readonly try: (command: string, input?: string) => Promise<Ran>
}

/** Our server, over TLS and open to everybody, and people who use it with the unmodified `notary`. */
export type NotaryTown = {
  readonly url: string
  readonly certificate: TestCertificate
  /** The same name is the same person; at another server where its URL is given. */
  readonly user: (name: string, url?: string) => Notary
  /** A file to be signed, or a key, by its path. */
  readonly file: (name: string, text: string) => string
  /** A key for a delegation: its certificate or public key, and the private key. */
  readonly signer: (name: string, kind?: SignerKind) => Promise<{ readonly pem: string; readonly key: string }>
  /** A root key as `notary` takes it from a file. */
  readonly rootKey: (name: string) => Promise<string>
  /** `200 GET /v2/`, one for each request so far. */
  readonly requests: () => Promise<readonly string[]>
}
export type SignerKind = 'certificate' | 'public key' | 'P-384' | 'rsa'

export const whyNotNotary = async () => (await whyNoNotary()) ?? (await whyNoOpenssl())

export type Start = (certificate: TestCertificate) => Promise<{
  readonly url: string
  readonly stop: () => Promise<void>
  readonly log?: () => string
  readonly remove?: () => Promise<void>
}>

export async function openNotaryTown(t: Test, start: Start = startOurs): Promise<NotaryTown> {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-notary-town-'))
  const certificate = await makeCertificate(join(dir, 'tls'))
  const server = await start(certificate)
  t.teardown(async () => {
    await server.stop()
    await server.remove?.()
    rmSync(dir, { recursive: true, force: true })
  })
  return {
    url: server.url,
    certificate,
    user: (name, url = server.url) => notaryIn(join(dir, name), dir, url, certificate.ca),
    file(name, text) {
      writeFileSync(join(dir, name), text)
      return join(dir, name)
    },
    signer: (name, kind = 'certificate') => makeSigner(dir, name, kind),
    rootKey: (name) => makeRootKey(dir, name),
    async requests() {
      await pause(100) // a line is written after its answer
      return requestsIn(server.log?.() ?? '')
    },
  }
}

export const startOurs: Start = ({ cert, key }) => serverHere({ tlsCert: cert, tlsKey: key })

function notaryIn(dir: string, cwd: string, url: string, ca: string): Notary {
  const env = { PATH: process.env['PATH'], ...NOTARY_PASSPHRASES, HOME: dir }
  const place = ['--trustDir', dir, '--server', url, '--tlscacert', ca]
  const attempt = (command: string, input?: string) =>
    runProgram('notary', [...place, ...command.split(' ')], { env, cwd, input })
  const expecting = (good: (code: number | null) => boolean) => async (command: string, input?: string) => {
    const { code, stdout, stderr } = await attempt(command, input)
    if (!good(code)) throw new Error(`notary ${command} ended with ${String(code)}: ${stdout}${stderr}`)
    return stdout + stderr
  }
  return { dir, run: expecting((code) => code === 0), fails: expecting((code) => code !== 0), try: attempt }
}

async function makeSigner(dir: string, name: string, kind: SignerKind) {
  const [pem, key] = [join(dir, `${name}.pem`), join(dir, `${name}.key`)]
  const algorithm =
    kind === 'rsa' ? ['RSA', 'rsa_keygen_bits:2048'] : ['EC', `ec_paramgen_curve:${kind === 'P-384' ? kind : 'P-256'}`]
  const [type = '', option = ''] = algorithm
  await openssl('genpkey', '-algorithm', type, '-pkeyopt', option, '-out', key)
  if (kind === 'public key') await openssl('pkey', '-in', key, '-pubout', '-out', pem)
  else await openssl('req', '-x509', '-new', '-key', key, '-days', '400', '-subj', `/CN=${name}`, '-out', pem)
  return { pem, key }
}

/** notary reads no other encryption than this, and knows the role by a header of its own. */
async function makeRootKey(dir: string, name: string): Promise<string> {
  const { key } = await makeSigner(dir, name, 'public key')
  const [sealed, path] = [join(dir, `${name}.sealed`), join(dir, `${name}.root`)]
  const how = ['-topk8', '-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA1']
  await openssl(
    'pkcs8',
    ...how,
    '-passout',
    `pass:${NOTARY_PASSPHRASES.NOTARY_ROOT_PASSPHRASE}`,
    '-in',
    key,
    '-out',
    sealed,
  )
  writeFileSync(path, readText(sealed).replace('\n', '\nrole: root\n\n'))
  return path
}

async function openssl(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram('openssl', args)
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`)
}

/** One line of the log for each request. */
function requestsIn(log: string): readonly string[] {
  return log.split('\n').flatMap((line) => {
    if (!line.includes('"msg":"request"')) return []
    const { status, method, url } = JSON.parse(line) as { status: number; method: string; url: string }
    return [`${status} ${method} ${url}`]
  })
}

/** NAME and ROLE of every target that `notary list` prints. */
export function targetsIn(listing: string): readonly string[] {
  return listing.split('\n').flatMap((line) => {
    const [, name, role] = /^(\S+)\s+[0-9a-f]{64}\s+\d+\s+(\S+)$/.exec(line.trim()) ?? []
    return name === undefined ? [] : [`${name} ${role}`]
  })
}

/** Ids of a role's keys in `notary key list`. */
export function keysIn(listing: string, role: string): readonly string[] {
  return [...listing.matchAll(new RegExp(`^${role}\\s.*?([0-9a-f]{64})`, 'gm'))].flatMap(([, id]) => id ?? [])
}

function readText(path: string): string {
  return readFileSync(path, 'utf8')
}
