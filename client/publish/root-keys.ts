import type { KeyInfo, Keystore } from '../../keys/keystore/keystore.ts'
import { writePem } from '../../keys/pem.ts'
import { selfSigned } from '../../keys/self-signed.ts'
import { readBundle } from '../../keys/x509/bundle.ts'
import type { Codec, PublicKey, Suite } from '../../tuf/index.ts'
import { customsOf, isDue } from './customs.ts'
import type { GivenKey } from './customs.ts'
import { publicKeyOf } from './found.ts'

export type RootKeysWish = {
  readonly repository: string
  readonly keystore: Pick<Keystore, 'open'>
  readonly codec: Codec
  readonly suite: Suite
  readonly clock: () => number
  /** The root keys so far. One that stays is listed as before: its id may come from a certificate. */
  readonly before: readonly PublicKey[]
}

/** Keys of this machine as root lists them. Where that is in a certificate, each makes one for itself. */
export async function rootKeysOf(keys: readonly KeyInfo[], wish: RootKeysWish): Promise<readonly PublicKey[]> {
  const { codec, suite, before } = wish
  const listed = new Map(before.map((key) => [suite.open(key)?.identity, key]))
  return await Promise.all(
    keys.map(async (key) => {
      const plain = publicKeyOf(key, codec, suite)
      const known = listed.get(suite.open(plain)?.identity)
      if (!customsOf(codec).rootHasCertificates) return known ?? plain
      if (known !== undefined && !isEnding(known, wish)) return known
      return publicKeyOf(await certified(key, wish), codec, suite)
    }),
  )
}

/** With a fifth of its life left. Its key goes on; to everybody else it is another key. */
function isEnding(key: PublicKey, { codec, clock }: RootKeysWish): boolean {
  const { leaf } = readBundle(Buffer.from(key.public, 'base64'))
  return isDue(codec, 'root', leaf.notAfter, clock())
}

/** The certificate that `notary` makes: for the repository's name, good for as long as the root itself. */
async function certified(key: KeyInfo, { repository, keystore, codec, clock }: RootKeysWish): Promise<GivenKey> {
  const signer = await keystore.open(key.id)
  try {
    const from = clock()
    const until = from + customsOf(codec).lifetimes.root
    const der = await selfSigned(signer, { name: repository, from, until, purpose: 'notary root' })
    return { public: key.public, certificate: writePem('CERTIFICATE', der) }
  } finally {
    signer.close()
  }
}
