import { nativeSuite } from '../../keys/native/suite.ts'
import { readLabelledPem } from '../../keys/pem.ts'
import { publicMaterial } from '../../keys/schemes/table.ts'
import { tufCodec } from '../../tuf/index.ts'
import type { PublicKey } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { readUserFile } from '../files.ts'
import { publicKeyOf } from '../publish/found.ts'

const MAX_PEM = 32 * 1024

/** A public key that somebody named: a PEM file with it, as openssl or docker writes it, or a key of this machine. */
export async function givenKey(context: Context, given: string): Promise<PublicKey> {
  if (!/[/.]/.test(given)) return publicKeyOf(await (await context.keystore()).find(given), tufCodec, nativeSuite)
  const pem = Buffer.from(await readUserFile(given, MAX_PEM)).toString('latin1')
  return publicKeyOf({ public: publicMaterial(readLabelledPem(pem, 'PUBLIC KEY').der) }, tufCodec, nativeSuite)
}
