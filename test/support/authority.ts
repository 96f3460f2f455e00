import { generateKey } from '../../keys/native/generate.ts'
import { writePem } from '../../keys/pem.ts'
import { selfSigned } from '../../keys/self-signed.ts'

/** A certificate that vouches for itself, in PEM, where openssl need not be there. */
export async function madeAuthority(until = Date.now() + 3_600_000): Promise<string> {
  const secret = await generateKey('ecdsa-p256')
  try {
    const facts = { name: 'trust', from: until - 7_200_000, until, purpose: 'notary root' } as const
    return writePem('CERTIFICATE', await selfSigned(secret, facts))
  } finally {
    secret.close()
  }
}
