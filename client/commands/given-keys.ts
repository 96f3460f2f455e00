import { readPemBlocks, writePem } from '../../keys/pem.ts'
import { publicMaterial } from '../../keys/schemes/table.ts'
import { isReference } from '../../keys/signers/reference.ts'
import { isPublicLine, readPublicLine } from '../../keys/signers/ssh/public-line.ts'
import { readCertificate } from '../../keys/x509/certificate.ts'
import type { Context } from '../context.ts'
import { readUserFile } from '../files.ts'
import type { GivenKey } from '../publish/customs.ts'
import { usage } from './errors.ts'

const MAX_PEM = 32 * 1024

/** A public key that somebody named: a file with it or with its certificate, the line of an ssh key, or a key of this machine. */
export async function givenKey(context: Context, given: string): Promise<GivenKey> {
  if (isPublicLine(given)) return { public: readPublicLine(given) }
  if (isReference(given) || !/[/.]/.test(given)) return await (await context.keystore()).find(given)
  const pem = Buffer.from(await readUserFile(given, MAX_PEM)).toString('latin1')
  if (isPublicLine(pem)) return { public: readPublicLine(pem) }
  const [block, ...more] = readPemBlocks(pem, given)
  if (block?.label === 'CERTIFICATE') return fromCertificate(block.der, given, context.clock())
  if (block?.label === 'PUBLIC KEY' && more.length === 0) return { public: publicMaterial(block.der) }
  throw usage(`${given} holds neither a public key nor a certificate, in PEM`)
}

/** The certificate of a root key, and behind it those that vouch for it, as Go writes them: the key's id is made from that. */
export async function givenCertificate(context: Context, file: string): Promise<GivenKey> {
  const pem = Buffer.from(await readUserFile(file, MAX_PEM)).toString('latin1')
  const blocks = readPemBlocks(pem, file)
  const [leaf] = blocks
  if (leaf === undefined || blocks.some(({ label }) => label !== 'CERTIFICATE')) {
    throw usage(`${file} holds something else than certificates, in PEM`)
  }
  const certificate = blocks.map(({ der }) => writePem('CERTIFICATE', der)).join('')
  return { ...fromCertificate(leaf.der, file, context.clock()), certificate }
}

/** Those that follow the first vouch for it, and nobody asks them here. */
function fromCertificate(der: Uint8Array, given: string, now: number): GivenKey {
  const { spki, notBefore, notAfter } = readCertificate(der)
  if (now > notAfter) throw usage(`the certificate in ${given} expired at ${new Date(notAfter).toISOString()}`)
  if (now < notBefore) throw usage(`the certificate in ${given} begins at ${new Date(notBefore).toISOString()}`)
  return { public: publicMaterial(spki), certificate: writePem('CERTIFICATE', der) }
}
